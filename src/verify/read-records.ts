/** Records from a file, piece after piece of it. */
import { type LogRecord, readRecord } from './record.ts'

/** The longest line that is read. An entry's metadata is bounded far below it. */
export const LINE_BYTES_MAX = 16 << 20

const LINE_FEED = 0x0a

export const recordsIn = (source: AsyncIterable<Buffer>): AsyncGenerator<LogRecord> => recordsOf(piecesOf(source))

export async function* recordsOf(pieces: AsyncIterable<Buffer | null>): AsyncGenerator<LogRecord> {
  let number = 0
  for await (const piece of pieces) {
    if (piece === null) yield tooLong(++number)
    else for (const line of linesOf(piece)) yield* recordIn(line, ++number)
  }
}

/** Whole lines, as many as come at once; null: a line that is too long to be read. */
export async function* piecesOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer | null> {
  let held: Buffer[] = []
  let size = 0
  for await (const chunk of source) {
    const end = chunk.lastIndexOf(LINE_FEED) + 1
    if (end > 0 && size <= LINE_BYTES_MAX) yield Buffer.concat([...held, chunk.subarray(0, end)])
    else if (end > 0) {
      // The end of the line that is too long, and what comes after it.
      const rest = chunk.indexOf(LINE_FEED) + 1
      yield null
      if (rest < end) yield chunk.subarray(rest, end)
    }
    if (end > 0) [held, size] = [[], 0]
    size += chunk.length - end
    if (size > LINE_BYTES_MAX) held = []
    else if (end < chunk.length) held.push(chunk.subarray(end))
  }
  if (size > 0) yield size > LINE_BYTES_MAX ? null : Buffer.concat(held)
}

/** The lines of a piece. One after the other, since most of them are plain ASCII, and a text that is not takes twice the memory. */
export function* linesOf(piece: Buffer): Generator<string> {
  let start = 0
  for (let end = piece.indexOf(LINE_FEED); end !== -1; end = piece.indexOf(LINE_FEED, start)) {
    yield piece.toString('utf8', start, end)
    start = end + 1
  }
  if (start < piece.length) yield piece.toString('utf8', start)
}

/** None for a blank line. */
export function* recordIn(line: string, number: number): Generator<LogRecord> {
  if (line === '') return
  try {
    yield readRecord(line)
  } catch (error) {
    // What V8 says of JSON quotes it.
    yield { kind: 'unreadable', line: number, why: error instanceof SyntaxError ? 'it is no JSON' : (error as Error).message }
  }
}

export const tooLong = (number: number): LogRecord => ({ kind: 'unreadable', line: number, why: `it is longer than ${LINE_BYTES_MAX} bytes` })
