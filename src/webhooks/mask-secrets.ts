/** Takes our secrets out of what a receiver said, in every form in which it may repeat them. */

const PREFIX = 'whsec_'
const MASK = '…'
/** So many characters with which a text ends are taken for the beginning of a secret that was cut off. */
const BEGINNING_MIN = 8

/** Not even the beginning of one is left where the text was cut within it. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const forms = secrets.flatMap(formsOf).sort((a, b) => b.length - a.length)
  for (const form of forms) text = text.replaceAll(form, MASK)
  const cut = Math.max(0, ...forms.map((form) => beginningAtEnd(text, form)))
  return cut === 0 ? text : text.slice(0, -cut) + MASK
}

/** How many characters of the form's beginning the text ends with; 0: too few to tell. */
function beginningAtEnd(text: string, form: string): number {
  for (let length = form.length - 1; length >= BEGINNING_MIN; length--) if (text.endsWith(form.slice(0, length))) return length
  return 0
}

/** As it is, as JSON writes it (some write `\/`), and in a URL; of a `whsec_` secret also what follows that, with and without padding, and in base64url. */
function formsOf(secret: string): string[] {
  if (!secret.startsWith(PREFIX)) return written(secret)
  const texts = [secret, secret.slice(PREFIX.length)].flatMap((text) => [text, text.replace(/=+$/, '')])
  return [...texts, ...texts.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))].flatMap(written)
}

function written(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1)
  const percent = encodeURIComponent(text)
  const percentSmall = percent.replaceAll(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase())
  return [...new Set([text, json, json.replaceAll('/', '\\/'), percent, percentSmall])]
}
