/** Reads what a form sends. */

/** A rule with a long list of words, or the text that is tried on rules. */
const FORM_BYTES_MAX = 2 * 1024 * 1024
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;|$)/i

interface Unreadable {
  status: number
  title: string
  message: string
}

const TITLE = 'Not understood'
const tooLarge: Unreadable = { status: 413, title: TITLE, message: `A form sends at most ${FORM_BYTES_MAX / 1024 / 1024} MiB. Use the API for more.` }

/** Stops reading where it is too large. */
export async function readForm({ headers, body }: Request): Promise<URLSearchParams | Unreadable> {
  if (body === null) return new URLSearchParams()
  if (!FORM_TYPE.test(headers.get('content-type') ?? '')) return { status: 415, title: TITLE, message: 'Forms are sent as application/x-www-form-urlencoded.' }
  if (Number(headers.get('content-length') ?? 0) > FORM_BYTES_MAX) return tooLarge
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > FORM_BYTES_MAX) return tooLarge
      chunks.push(chunk)
    }
  } catch {
    return { status: 400, title: TITLE, message: 'The form did not arrive as a whole.' }
  }
  const sent = new URLSearchParams(Buffer.concat(chunks).toString())
  // Browsers end lines of a textarea with CR LF (HTML, section 4.10.22.4); nobody typed the CR.
  return new URLSearchParams([...sent].map(([name, value]) => [name, value.replaceAll('\r\n', '\n')]))
}
