/** Finds any of many texts in bytes, however many there are, in one pass that looks at every ninth place only. */

/** A text to be found in any of these forms. */
export interface Sought {
  kind: string
  forms: readonly Buffer[]
}

/** Shorter ones would be found by chance. */
export const SOUGHT_BYTES_MIN = 16
const GRAM_BYTES = 8
/** Whatever is at least so long covers one of every `STEP` places whole, whichever it begins at. */
const STEP = SOUGHT_BYTES_MIN - GRAM_BYTES + 1
const FILTER_SIZE = 1 << 16

interface Place {
  sought: Sought
  form: Buffer
  /** Of the gram in the form. */
  at: number
}

/** Says of bytes which of what is sought they contain. Forms that are too short are left out. */
export function createFinder(all: Iterable<Sought>): (bytes: Buffer) => Set<Sought> {
  const byGram = new Map<number, Place[]>()
  const filter = new Uint8Array(FILTER_SIZE)
  for (const sought of all) {
    for (const form of sought.forms) {
      if (form.length < SOUGHT_BYTES_MIN) continue
      for (let at = 0; at < STEP; at++) {
        const gram = gramAt(form, at)
        filter[gram & (FILTER_SIZE - 1)] = 1
        const places = byGram.get(gram)
        if (places) places.push({ sought, form, at })
        else byGram.set(gram, [{ sought, form, at }])
      }
    }
  }
  return (bytes) => {
    const found = new Set<Sought>()
    for (let i = 0; i + GRAM_BYTES <= bytes.length; i += STEP) {
      const gram = gramAt(bytes, i)
      if (filter[gram & (FILTER_SIZE - 1)] === 0) continue
      for (const { sought, form, at } of byGram.get(gram) ?? []) {
        if (i >= at && !found.has(sought) && bytes.subarray(i - at, i - at + form.length).equals(form)) found.add(sought)
      }
    }
    return found
  }
}

/** A number for the eight bytes from there on. */
const gramAt = (bytes: Buffer, at: number): number => {
  const mixed = Math.imul(bytes.readUInt32LE(at), 0x9e3779b1) ^ Math.imul(bytes.readUInt32LE(at + 4), 0x85ebca6b)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

/** A secret as it may have been written down: as it is, in JSON, in hex, in base64 and base64url wherever in it the secret begins. */
export function formsOfSecret(secret: string | Buffer): Buffer[] {
  const bytes = Buffer.from(secret as string)
  const json = typeof secret === 'string' ? [JSON.stringify(secret).slice(1, -1)] : []
  const base64 = [0, 1, 2].flatMap((before) => [inBase64(bytes, before, 'base64'), inBase64(bytes, before, 'base64url')])
  return [bytes, ...[...new Set([...json, bytes.toString('hex'), ...base64])].map((form) => Buffer.from(form))]
}

/** A text as it may have been written down: as it is, in JSON, and in hex, which is how bytes of a database are dumped. */
export function formsOfText(text: string): Buffer[] {
  return [...new Set([text, JSON.stringify(text).slice(1, -1), Buffer.from(text).toString('hex')])].map((form) => Buffer.from(form))
}

/** The characters that these bytes alone decide when so many others stand before them. */
function inBase64(bytes: Buffer, before: number, alphabet: 'base64' | 'base64url'): string {
  const whole = Buffer.concat([Buffer.alloc(before), bytes])
  return whole.toString(alphabet).slice(Math.ceil((before * 8) / 6), Math.floor((whole.length * 8) / 6))
}
