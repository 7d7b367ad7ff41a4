/** Records as they go from one thread to another: of entries what is looked at, with the hashes of their leaves; other lines as they are. */

import { linesOf, recordIn } from './read-records.ts'
import type { EntryFacts, LogRecord, Standing } from './record.ts'

export interface PackedRecords {
  /** JSON: copies of a text cost less than copies of objects. */
  items: string
  /** 32 bytes for each entry with a place. */
  hashes: Uint8Array<ArrayBuffer>
}

type Item = string | { entry: EntryFacts; chain: Standing | null; problem: string | null; bytes: number }

/** The slow half of reading: does what costs time for each entry. */
export function packRecords(piece: Buffer): PackedRecords {
  const hashes: Buffer[] = []
  const items = Array.from(linesOf(piece), (line): Item => {
    const [record] = recordIn(line, 0)
    if (record?.kind !== 'entry') return line
    const { audit_id, timestamp, kind, tenant_id, outcome, reason, metadata } = record.entry
    const { chain, leaf } = record
    if (leaf) hashes.push(leaf.hash)
    return {
      // What an exchange says of itself is proved, and nothing follows from it.
      entry: { audit_id, timestamp, kind, tenant_id, outcome, reason, metadata: kind === 'exchange' ? {} : metadata },
      chain: chain && { writer_id: chain.writer_id, seq: chain.seq, tenant_prev: chain.tenant_prev, erased_by: chain.erased_by, index: chain.index ?? null },
      problem: leaf?.problem ?? null,
      bytes: leaf?.hash.length ?? 0,
    }
  })
  return { items: JSON.stringify(items), hashes: Uint8Array.from(Buffer.concat(hashes)) }
}

/** The quick half. `before`: so many lines came before these. Returns how many these were. */
export function* unpackRecords({ items, hashes }: PackedRecords, before: number): Generator<LogRecord, number> {
  const all = Buffer.from(hashes.buffer)
  const list = JSON.parse(items) as Item[]
  let at = 0
  for (const [i, item] of list.entries()) {
    if (typeof item === 'string') {
      yield* recordIn(item, before + i + 1)
      continue
    }
    const { entry, chain, problem, bytes } = item
    const leaf = chain && { hash: all.subarray(at, at + bytes), problem }
    at += bytes
    yield { kind: 'entry', entry, chain, leaf, seal: 'unknown' }
  }
  return list.length
}
