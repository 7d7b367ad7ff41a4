/** Gives batches that no checkpoint holds yet their places at the end of the tree: writer by writer, each in its order and without a gap. */
import type { Tx } from '../../db/connect.ts'
import { sql } from '../../db/drizzle.ts'
import { HASH_BYTES } from './tree.ts'

/** Of one checkpoint, some 20 ms of hashing. A batch that alone has more is taken alone. */
export const LEAVES_PER_CHECKPOINT_MAX = 32_768
const BATCHES_PER_CHECKPOINT_MAX = 4_096

/** Leaves that a chain must have had, and of which there is no batch: what follows waits. */
export interface Gap {
  writer_id: string
  expected_seq: number
  found_seq: number
}

export interface Taken {
  /** Their hashes, 32 bytes each, in the order of the tree. */
  leaves: Buffer
  gaps: Gap[]
  hasMore: boolean
}

interface Placed {
  writer_id: string
  first_seq: number
  tree_index: number
}

export async function takeBatches(tx: Tx, treeSize: number, leavesMax: number = LEAVES_PER_CHECKPOINT_MAX): Promise<Taken> {
  const { next, gaps } = await findStarts(tx)
  if (next.size === 0) return { leaves: Buffer.alloc(0), gaps, hasMore: false }
  const waiting = await tx.execute<{ writer_id: string; first_seq: string; leaves: number }>(sql`
    select writer_id, first_seq, octet_length(leaves) / ${HASH_BYTES} as leaves from audit_batches
    where tree_index is null and writer_id in (select jsonb_array_elements_text(${JSON.stringify([...next.keys()])}::text::jsonb))
    order by writer_id, first_seq limit ${BATCHES_PER_CHECKPOINT_MAX}`)
  const placed: Placed[] = []
  let end = treeSize
  let isFull = false
  for (const { writer_id, first_seq: first, leaves } of waiting) {
    const first_seq = Number(first)
    const expected = next.get(writer_id)
    if (expected === undefined) continue
    if (first_seq !== expected) {
      gaps.push({ writer_id, expected_seq: expected, found_seq: first_seq })
      next.delete(writer_id)
      continue
    }
    isFull = placed.length > 0 && end + leaves - treeSize > leavesMax
    if (isFull) break
    placed.push({ writer_id, first_seq, tree_index: end })
    next.set(writer_id, first_seq + leaves)
    end += leaves
  }
  const leaves = await place(tx, placed)
  if (leaves.length !== (end - treeSize) * HASH_BYTES) throw new Error('A batch of the audit log changed while it was put into the tree.')
  return { leaves, gaps, hasMore: isFull || waiting.length === BATCHES_PER_CHECKPOINT_MAX }
}

/** Of each writer that has new batches, the leaf its chain goes on with; those whose first new batch is another one have a gap. */
async function findStarts(tx: Tx): Promise<{ next: Map<string, number>; gaps: Gap[] }> {
  const rows = await tx.execute<{ writer_id: string; found: string; expected: string }>(sql`
    select f.writer_id, f.first_seq as found, coalesce(p.next, 1) as expected
    from (select writer_id, min(first_seq) as first_seq from audit_batches where tree_index is null group by writer_id) f
    left join lateral (
      select b.first_seq + octet_length(b.leaves) / ${HASH_BYTES} as next from audit_batches b
      where b.writer_id = f.writer_id and b.first_seq < f.first_seq order by b.first_seq desc limit 1) p on true`)
  const next = new Map<string, number>()
  const gaps: Gap[] = []
  for (const { writer_id, found, expected } of rows) {
    if (Number(found) === Number(expected)) next.set(writer_id, Number(expected))
    else gaps.push({ writer_id, expected_seq: Number(expected), found_seq: Number(found) })
  }
  return { next, gaps }
}

async function place(tx: Tx, batches: readonly Placed[]): Promise<Buffer> {
  const rows = await tx.execute<{ tree_index: string; leaves: Buffer }>(sql`
    update audit_batches b set tree_index = r.tree_index
    from jsonb_to_recordset(${JSON.stringify(batches)}::text::jsonb) as r(writer_id text, first_seq bigint, tree_index bigint)
    where b.writer_id = r.writer_id and b.first_seq = r.first_seq and b.tree_index is null returning b.tree_index, b.leaves`)
  return Buffer.concat([...rows].sort((a, b) => Number(a.tree_index) - Number(b.tree_index)).map(({ leaves }) => leaves))
}
