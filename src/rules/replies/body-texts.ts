import type { TextSlot, Texts } from '../../call.ts'
import { createJsonReader, type JsonReader } from '../../dialects/bodies/json-reader.ts'
import { isText } from '../../dialects/bodies/text-bytes.ts'
import { collect, type Edit } from '../../dialects/bodies/texts.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { Failure } from '../../errors.ts'
import { firstByte, readReply, repeatsIn, unreadable } from './judgement.ts'

/** What a reply in one piece says it is: JSON, JSON line by line, text; or nothing that tells. */
export type BodyKind = 'json' | 'lines' | 'text' | 'unsaid'

export interface BodyTexts extends Texts {
  /** What tells the text once more. */
  repeats: readonly Edit[]
  /** The texts stand in strings of JSON. */
  isJson: boolean
}

const LF = 0x0a
const JSON_BEGINS = new Set([0x7b, 0x5b, 0x22])
/** What a client that did not look at the type would read as events. */
const EVENTS = /^\uFEFF?(?:(?:data|event|id|retry)?:|[\r\n])/

/** Every text of a reply in one piece; null where it turns out to be none. Throws a Failure where it cannot be read. */
export function readBody(body: Buffer, kind: BodyKind, dialect: Dialect): BodyTexts | null {
  const readJson = createJsonReader()
  if (kind === 'json') return readJsonBody(readJson, dialect, body)
  if (kind === 'lines') return joined(linesOf(body).map(({ start, end }) => readJsonBody(readJson, dialect, body, start, end)))
  if (!isText(body)) {
    if (kind === 'unsaid') return null
    throw unreadable('The reply is not valid UTF-8.')
  }
  // A client may read it by what it is instead of by what it says it is.
  if (JSON_BEGINS.has(firstByte(body) ?? 0)) {
    try {
      return readJsonBody(readJson, dialect, body)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
    }
  }
  if (EVENTS.test(body.toString('latin1', 0, 16))) throw unreadable('The reply is an event stream that does not say so.')
  return {
    slots: [{ role: 'other', start: 0, end: body.length, escaped: false, from: 0, to: body.length }],
    text: body,
    promptEnd: 0,
    opaqueBytes: 0,
    sealedBytes: 0,
    repeats: [],
    isJson: false,
  }
}

function readJsonBody(readJson: JsonReader, dialect: Dialect, body: Buffer, start?: number, end?: number): BodyTexts {
  const json = readReply(readJson, body, start, end)
  const repeats = repeatsIn(json, dialect)
  return { ...collect(json, (mark) => dialect.readReply(json, mark)), repeats, isJson: true }
}

/** Lines that are not empty. */
function linesOf(body: Buffer): { start: number; end: number }[] {
  const lines: { start: number; end: number }[] = []
  for (let start = 0; start < body.length; ) {
    const found = body.indexOf(LF, start)
    const end = found < 0 ? body.length : found
    if (firstByte(body, start, end) !== undefined) lines.push({ start, end })
    start = end + 1
  }
  return lines
}

/** Texts of one body, one after the other. */
function joined(all: readonly BodyTexts[]): BodyTexts {
  const parts: Buffer[] = []
  const slots: TextSlot[] = []
  const repeats: Edit[] = []
  let offset = 0
  let opaqueBytes = 0
  let sealedBytes = 0
  for (const texts of all) {
    for (const slot of texts.slots) slots.push({ ...slot, from: slot.from + offset, to: slot.to + offset })
    for (const repeat of texts.repeats) repeats.push(repeat)
    parts.push(texts.text, BREAK)
    offset += texts.text.length + BREAK.length
    opaqueBytes += texts.opaqueBytes
    sealedBytes += texts.sealedBytes
  }
  return { slots, text: Buffer.concat(parts), promptEnd: 0, opaqueBytes, sealedBytes, repeats, isJson: true }
}

const BREAK = Buffer.from('\n')
