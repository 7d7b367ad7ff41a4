/** Where rows stand in the tree, and what proves it: the member `chain` of an exported entry. */
import type { Db, Tx } from '../../db/connect.ts'
import { desc, sql } from '../../db/drizzle.ts'
import { auditCheckpoints } from '../../db/schema.ts'
import type { ChainedEntry, LeafPlace } from '../leaf.ts'
import { type Row, toChained } from '../row.ts'
import { createProver } from './inclusion.ts'
import { tileStore } from './tiles.ts'
import { HASH_BYTES } from './tree.ts'

export type ChainPlace = LeafPlace & Pick<ChainedEntry, 'salt' | 'payload_hash' | 'erased_by'>

export interface ChainMember extends ChainPlace {
  /** The leaf's place in the tree; null with the two others while no checkpoint holds it. */
  index: number | null
  tree_size: number | null
  /** The hashes (base64) of its inclusion proof, from the leaf up. */
  path: string[] | null
}

export type StoredCheckpoint = typeof auditCheckpoints.$inferSelect

export async function newestCheckpoint(db: Db | Tx): Promise<StoredCheckpoint | undefined> {
  const [newest] = await db.select().from(auditCheckpoints).orderBy(desc(auditCheckpoints.treeSize)).limit(1)
  return newest
}

/** Null for a row that has no place yet. */
export function placeOf(row: Row): ChainPlace | null {
  const chained = toChained(row)
  if (!chained) return null
  const { writer_id, seq, tenant_prev, salt, payload_hash, erased_by } = chained
  return { writer_id, seq, tenant_prev, salt, payload_hash, erased_by }
}

export interface Leaf {
  hash: Buffer
  /** Null while no checkpoint holds it. */
  index: number | null
}

/** The leaves of places, as batches have them; undefined where no batch does. */
export async function leavesAt(db: Db | Tx, places: readonly (LeafPlace | null)[]): Promise<(Leaf | undefined)[]> {
  const asked = JSON.stringify(places.flatMap((place, i) => (place ? [{ i, writer_id: place.writer_id, seq: place.seq }] : [])))
  const rows = await db.execute<{ i: number; hash: Buffer; index: string | null }>(sql`
    select r.i, substring(b.leaves from ((r.seq - b.first_seq) * ${HASH_BYTES} + 1)::integer for ${HASH_BYTES}) as hash, b.tree_index + r.seq - b.first_seq as index
    from jsonb_to_recordset(${asked}::text::jsonb) as r(i integer, writer_id text, seq bigint)
    cross join lateral (
      select first_seq, leaves, tree_index from audit_batches where writer_id = r.writer_id and first_seq <= r.seq order by first_seq desc limit 1
    ) b where r.seq < b.first_seq + octet_length(b.leaves) / ${HASH_BYTES}`)
  const leaves: (Leaf | undefined)[] = places.map(() => undefined)
  for (const { i, hash, index } of rows) leaves[i] = { hash, index: index === null ? null : Number(index) }
  return leaves
}

/** `chain` of each row in turn, for the tree of `size`. Null for a row without a place. Reads each tile once, as long as rows that stand together come together. */
export function createProofs(db: Db | Tx, size: number): (rows: readonly Row[]) => Promise<(ChainMember | null)[]> {
  const prover = createProver((ids) => tileStore(db).read(ids), size)
  return async (rows) => {
    const places = rows.map(placeOf)
    const indexes = (await leavesAt(db, places)).map((leaf) => (leaf && leaf.index !== null && leaf.index < size ? leaf.index : null))
    const paths = await prover.pathsOf(indexes.filter((index) => index !== null))
    let proved = 0
    return places.map((place, i): ChainMember | null => {
      const index = indexes[i] ?? null
      const path = index === null ? null : paths[proved++].map((hash) => hash.toString('base64'))
      return place && { ...place, index, tree_size: index === null ? null : size, path }
    })
  }
}
