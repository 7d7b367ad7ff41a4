/** Reads what a form sends. */

/** A rule with a long list of words, or the text that is tried on rules. */
const FORM_BYTES_MAX = 2 * 1024 * 1024
/** More than the largest of ours has. Reading names without a value takes Node the square of their number: of a million half a minute. */
const FIELDS_MAX = 10_000
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;|$)/i

export interface Unreadable {
  status: number
  title: string
  message: string
}

const TITLE = 'Not understood'
const tooLarge = (bytesMax: number): Unreadable => ({
  status: 413,
  title: TITLE,
  message: `This form sends at most ${bytesMax / 1024} KiB. Use the API for more.`,
})
const tooMany: Unreadable = { status: 413, title: TITLE, message: `A form has at most ${FIELDS_MAX} fields.` }

/** Of a text as forms are sent; null where it has too many to be one of ours. */
export function fieldsIn(text: string): URLSearchParams | null {
  let fields = 1
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1)) if (++fields > FIELDS_MAX) return null
  return new URLSearchParams(text)
}

/** Stops reading where it is too large. */
export async function readForm({ headers, body }: Request, bytesMax = FORM_BYTES_MAX): Promise<URLSearchParams | Unreadable> {
  if (body === null) return new URLSearchParams()
  if (!FORM_TYPE.test(headers.get('content-type') ?? '')) return { status: 415, title: TITLE, message: 'Forms are sent as application/x-www-form-urlencoded.' }
  if (Number(headers.get('content-length') ?? 0) > bytesMax) return tooLarge(bytesMax)
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > bytesMax) return tooLarge(bytesMax)
      chunks.push(chunk)
    }
  } catch {
    return { status: 400, title: TITLE, message: 'The form did not arrive as a whole.' }
  }
  const sent = fieldsIn(Buffer.concat(chunks).toString())
  if (sent === null) return tooMany
  // Browsers end lines of a textarea with CR LF (HTML, section 4.10.22.4); nobody typed the CR.
  return new URLSearchParams([...sent].map(([name, value]) => [name, value.replaceAll('\r\n', '\n')]))
}
