/** The names in a certificate, in the one spelling in which a key may have them: `uri:spiffe://…`, `dns:…`, `email:…`, `cn:…`. */
import type { X509Certificate } from 'node:crypto'

const NAMES_MAX = 100
const NAME_CHARACTERS_MAX = 1_000
const spelling: Readonly<Record<string, string>> = { URI: 'uri', DNS: 'dns', email: 'email' }

// The first three are ASCII in a certificate (RFC 5280, section 4.2.1.6), and none of them has blanks.
const NAME = /^(?:(?:uri|dns|email):[\x21-\x7e]+|cn:[^\p{Cc}\p{Zl}\p{Zp}]+)$/u

/** Whether the text is a name in a certificate, as `namesIn` would write it. */
export const isCertificateName = (text: string): boolean => text.length <= NAME_CHARACTERS_MAX && NAME.test(text)

/**
 * The alternative names of kinds URI, DNS and email, and the subject's common name where there is one of it, values exactly as they are. None at all
 * where the certificate has more than a hundred, or names in which something is hidden.
 */
export function namesIn(certificate: X509Certificate): readonly string[] {
  const alternative = alternativeNames(certificate.subjectAltName ?? '')
  const commonName: unknown = certificate.toLegacyObject().subject?.CN // a list where there are several
  if (alternative === null || alternative.length > NAMES_MAX) return []
  const names = [...alternative, ...(typeof commonName === 'string' ? [`cn:${commonName}`] : [])]
  return names.every(isCertificateName) ? names : []
}

// As Node writes them since CVE-2021-44532: separated by comma and blank, and whatever could be taken for more than one value as a JSON string.
const ENTRY = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y

/** Null where the text is not understood to its end. */
function alternativeNames(text: string): string[] | null {
  const names: string[] = []
  for (let at = 0; at < text.length; at = ENTRY.lastIndex) {
    ENTRY.lastIndex = at
    const [, kind, value] = ENTRY.exec(text) ?? []
    if (kind === undefined || value === undefined) return null
    if (!Object.hasOwn(spelling, kind)) continue
    const read = value.startsWith('"') ? unquoted(value) : value
    if (read === null) return null
    names.push(`${spelling[kind]}:${read}`)
  }
  return names
}

function unquoted(text: string): string | null {
  try {
    return String(JSON.parse(text))
  } catch {
    return null
  }
}
