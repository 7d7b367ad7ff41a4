/** Reads a log from its first byte to its last, and gives each line either as a row or as it was. Holds a chunk, a line and a batch. */
import assert from 'node:assert/strict'
import type { AuditEntry } from '../audit/entry.ts'
import { type Converted, contentOf } from './read-line.ts'
import { createLineSplitter, type Line } from './split-lines.ts'

/** A longer line is rejected unread. The largest body of a call is of this size, where nothing else is set. */
export const LINE_BYTES_MAX = 32 << 20
/** Rows that are written at once: so many, or of so many characters. */
const BATCH_ROWS_MAX = 500
const BATCH_CHARACTERS_MAX = 4 << 20

/** Every line is a row, or rejected, or blank. */
export interface Counts {
  lines: number
  rows: number
  rejected: number
  blank: number
  /** Read so far. */
  bytes: number
}

export interface ConvertOptions {
  source: AsyncIterable<Buffer>
  readLine(content: Buffer, number: number): Converted | string
  /** Says whose entry it is and what its prompt hashes to; a sentence where there is no such tenant. */
  complete(converted: Converted): AuditEntry | string | Promise<AuditEntry | string>
  /** Takes rows, each as JSON. */
  writeRows(rows: readonly string[]): Promise<void>
  /** Takes rejected lines, unchanged. */
  writeRejected(bytes: Buffer): Promise<void>
  /** Hears why a line is rejected. */
  onRejected(number: number, why: string): void
  /** Hears how far it is, chunk by chunk. */
  onProgress(counts: Readonly<Counts>): void
  lineBytesMax?: number
}

export async function convertLog(options: ConvertOptions): Promise<Counts> {
  const { source, readLine, complete, writeRows, writeRejected, onRejected, onProgress, lineBytesMax = LINE_BYTES_MAX } = options
  const counts: Counts = { lines: 0, rows: 0, rejected: 0, blank: 0, bytes: 0 }
  const splitter = createLineSplitter(lineBytesMax)
  let rows: string[] = []
  let rowCharacters = 0
  let rejected: Buffer[] = []

  for await (const chunk of source) {
    counts.bytes += chunk.length
    await takeAll(splitter.feed(chunk))
    onProgress(counts)
  }
  await takeAll(splitter.end())
  await flushRows()
  assert.equal(counts.rows + counts.rejected + counts.blank, counts.lines, 'a line is neither a row, nor rejected, nor blank')
  return counts

  async function takeAll(lines: Iterable<Line>): Promise<void> {
    for (const line of lines) {
      counts.lines = line.number
      // No promise for most lines: there are millions.
      const taking = take(line)
      if (taking) await taking
    }
    if (rejected.length > 0) await writeRejected(Buffer.concat(rejected))
    rejected = []
  }

  function take(line: Line): Promise<void> | undefined {
    if (line.part !== 'whole') {
      rejected.push(line.bytes)
      if (line.part === 'last piece') countRejected(line.number, `it is longer than ${lineBytesMax} bytes`)
      return undefined
    }
    const content = contentOf(line.bytes)
    if (content === null) {
      counts.blank++
      return undefined
    }
    const read = readLine(content, line.number)
    const completed = typeof read === 'string' ? read : complete(read)
    return completed instanceof Promise ? completed.then((done) => put(line, done)) : put(line, completed)
  }

  function put(line: Line, completed: AuditEntry | string): Promise<void> | undefined {
    if (typeof completed === 'string') {
      rejected.push(line.bytes)
      countRejected(line.number, line.isTorn ? `${completed}; it is the last one, and has no end` : completed)
      return undefined
    }
    const row = JSON.stringify(completed)
    rows.push(row)
    rowCharacters += row.length
    return rows.length >= BATCH_ROWS_MAX || rowCharacters >= BATCH_CHARACTERS_MAX ? flushRows() : undefined
  }

  async function flushRows(): Promise<void> {
    const batch = rows
    rows = []
    rowCharacters = 0
    if (batch.length > 0) await writeRows(batch)
    counts.rows += batch.length
  }

  function countRejected(number: number, why: string): void {
    counts.rejected++
    onRejected(number, why)
  }
}
