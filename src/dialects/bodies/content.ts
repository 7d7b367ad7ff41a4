/** What lies in a file, or in a body that does not say what it is: JSON, lines of JSON, text, or what nobody can read. */
import { isUtf8 } from 'node:buffer'
import { UnreadableCall } from '../dialect.ts'
import { markStrings } from '../generic-json.ts'
import { createGathering, type Gathering, within } from './gathering.ts'
import { createJsonReader, UnreadableJson } from './json-reader.ts'
import { createLinesReader, pathInLines, type Range } from './jsonl.ts'
import { isText, textIn } from './text-bytes.ts'
import { collect, NO_TEXTS, pathAt, rawText, retoldText } from './texts.ts'

export type ContentFormat = 'json' | 'jsonl' | 'text' | 'binary'

export const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/
export const LINES_TYPE = /^(?:application|text)\/(?:x-)?(?:jsonl|ndjson|jsonlines|json-lines)$/
const LINES_NAME = /\.(?:jsonl|ndjson)$/i
const JSON_NAME = /\.json$/i

/** What a file says it is, by its media type or its name; null where it says neither of these. */
export function saidOf(type: string, filename: string | null): 'json' | 'jsonl' | null {
  const media = type.split(';', 1)[0].trim().toLowerCase()
  if (LINES_TYPE.test(media) || (filename !== null && LINES_NAME.test(filename))) return 'jsonl'
  return JSON_TYPE.test(media) || (filename !== null && JSON_NAME.test(filename)) ? 'json' : null
}

/** The place of a body that is no part of another. */
export const WHOLE = 'the body'

export interface ContentReader {
  /** Gathers what a stretch of the body says. Throws UnreadableCall for what says it is JSON and is none. */
  read(bytes: Buffer, range: Range, said: 'json' | 'jsonl' | null, gathering: Gathering, place: string): ContentFormat
  formatOf(bytes: Buffer, range: Range, said: 'json' | 'jsonl' | null): ContentFormat
}

export function createContentReader(): ContentReader {
  const readJson = createJsonReader()
  const readLines = createLinesReader()

  /** What looks like JSON and can be read as such is: an escape is no place to hide a word. What only looks like it is text. */
  const formatOf: ContentReader['formatOf'] = (bytes, range, said) => {
    if (said !== null) return said
    if (!isText(bytes.subarray(range.start, range.end))) return 'binary'
    if (!looksLikeJson(bytes, range)) return 'text'
    if (succeeds(() => readJson(bytes, range.start, range.end))) return 'json'
    return succeeds(() => readLines(bytes, range, createGathering())) ? 'jsonl' : 'text'
  }

  return {
    formatOf,
    read(bytes, range, said, gathering, place) {
      const format = formatOf(bytes, range, said)
      if (said !== null && !isUtf8(bytes.subarray(range.start, range.end))) throw new UnreadableCall(`In ${place}: it is not valid UTF-8.`, place)
      if (format === 'jsonl') readLines(bytes, range, gathering, place === WHOLE ? '' : `${place} `)
      else if (format === 'binary') {
        gathering.add({ ...NO_TEXTS, opaqueBytes: range.end - range.start })
        // In another character set, or with a byte that belongs to none, it is a text to whoever reads it.
        const told = textIn(bytes.subarray(range.start, range.end))
        if (told !== null) gathering.add(retoldText(told, range))
      } else if (format === 'text') gathering.add(rawText(bytes, range.start, range.end, 'other'))
      else {
        within(place, () => {
          const json = readJson(bytes, range.start, range.end)
          gathering.add(collect(json, (mark) => markStrings(json, mark)))
        })
      }
      return format
    },
  }
}

/** Where in such content the string that holds this byte stands, with the content's own place before it. */
export function pathInContent(bytes: Buffer, range: Range, said: 'json' | 'jsonl' | null, place: string, offset: number): string {
  switch (createContentReader().formatOf(bytes, range, said)) {
    case 'json': {
      const path = pathAt(createJsonReader()(bytes, range.start, range.end), offset)
      return path === '' ? place : `${place}: ${path}`
    }
    case 'jsonl':
      return `${place} ${pathInLines(bytes, range, offset)}`
    default:
      return place
  }
}

function looksLikeJson(bytes: Buffer, { start, end }: Range): boolean {
  let at = start
  while (at < end && (bytes[at] === 0x20 || (bytes[at] >= 0x09 && bytes[at] <= 0x0d))) at++
  return at < end && (bytes[at] === 0x7b || bytes[at] === 0x5b)
}

function succeeds(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (error) {
    if (error instanceof UnreadableJson || error instanceof UnreadableCall) return false
    throw error
  }
}
