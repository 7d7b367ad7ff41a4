/** What stands in a certificate and its chain, and whether it can be served. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { Told } from '../cli/told.ts'

export interface CertificateFacts {
  subject: string
  names: string[]
  issuer: string
  valid_from: string
  expires_at: string
  days_left: number
  fingerprint_sha256: string
  key_type: string
  /** Whom the chain leads to, each signed by the next. */
  chain: { subject: string; expires_at: string }[]
  /** Null where no key was given. */
  key_matches: boolean | null
  /** Sentences; it can be served where there are none. */
  problems: string[]
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const DAY_MS = 86_400_000

/** `cert`: PEM, the leaf first. `daysMin`: that it should last at least. `now`: milliseconds since 1970. Throws Told where there is no certificate. */
export function describeCertificate({ cert, key, daysMin, now }: { cert: string; key: string | null; daysMin: number; now: number }): CertificateFacts {
  const [leaf, ...others] = certificatesIn(cert)
  const expires = leaf.validToDate.getTime()
  const daysLeft = Math.floor((expires - now) / DAY_MS)
  const isFitting = key === null ? null : isKeyOf(key, leaf)
  const problems: string[] = []
  if (now >= expires) problems.push(`It expired on ${leaf.validToDate.toISOString()}.`)
  else if (daysLeft < daysMin) problems.push(`It expires in ${daysLeft} days.`)
  if (now < leaf.validFromDate.getTime()) problems.push('It is not valid yet.')
  if (isFitting === false) problems.push('The key is not the one of this certificate.')
  const broken = [leaf, ...others].findIndex((one, i) => i < others.length && !one.checkIssued(others[i]))
  if (broken !== -1)
    problems.push(`The chain is broken: certificate ${broken + 1} was not signed by the next one. Put the leaf first, and each authority after what it signed.`)
  else if (others.length === 0 && leaf.subject !== leaf.issuer)
    problems.push('The chain is missing: clients may not know who signed it. Use the full chain (fullchain.pem).')
  return {
    subject: leaf.subject.replaceAll('\n', ', '),
    names: namesOf(leaf),
    issuer: leaf.issuer.replaceAll('\n', ', '),
    valid_from: leaf.validFromDate.toISOString(),
    expires_at: leaf.validToDate.toISOString(),
    days_left: daysLeft,
    fingerprint_sha256: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    key_type: leaf.publicKey.asymmetricKeyType ?? 'unknown',
    chain: others.map((one) => ({ subject: one.subject.replaceAll('\n', ', '), expires_at: one.validToDate.toISOString() })),
    key_matches: isFitting,
    problems,
  }
}

function certificatesIn(pem: string): X509Certificate[] {
  try {
    const found = (pem.match(BLOCK) ?? []).map((block) => new X509Certificate(block))
    if (found.length > 0) return found
  } catch {
    // said below
  }
  throw new Told('There is no certificate in the file, or one that cannot be read: it must be PEM.')
}

const namesOf = ({ subjectAltName }: X509Certificate): string[] =>
  (subjectAltName ?? '').split(', ').flatMap((name) => (name === '' ? [] : [name.replace(/^DNS:|^IP Address:/, '')]))

function isKeyOf(key: string, leaf: X509Certificate): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}
