/** The whole log as lines of JSON, from which it can be verified without us. See README.md here for the format. */
import type { Database, Db, Tx } from '../../db/connect.ts'
import { and, asc, count, gt, inArray, isNotNull, isNull, lte, sql } from '../../db/drizzle.ts'
import { auditBatches, auditCheckpoints, auditEntries, auditSuperseded } from '../../db/schema.ts'
import { inSnapshot } from '../../db/snapshot.ts'
import { type Row, toEntry } from '../row.ts'
import { newestCheckpoint, placeOf } from './proofs.ts'

/** Rows that are held at once. */
const PAGE = 500
/** A transaction that is open keeps the database from tidying up: a reader who is slower gets the file in vain. */
const SNAPSHOT_MS_MAX = 1_800_000
/** What changes rows that are written out already. */
const erasing = ['audit.erase', 'audit.prune']

/** Of each writer its last leaf: what comes later is left out. */
type Ends = ReadonlyMap<string, number>

/**
 * On a server as it was at one moment. The embedded database has one session, which nobody may keep for so long: there whatever is written meanwhile is left
 * out, and if rows were changed meanwhile it rejects before the last line.
 */
export const completeLog = (database: Pick<Database, 'engine' | 'apart' | 'db'>, origin: string): AsyncGenerator<string, void> =>
  database.engine === 'postgres' ? inSnapshot(database, SNAPSHOT_MS_MAX, (tx) => linesOf(tx, origin)) : linesIfUnchanged(database.db, origin)

async function* linesIfUnchanged(db: Db, origin: string): AsyncGenerator<string, void> {
  const before = await changesOf(db)
  yield* linesOf(db, origin, async () => {
    if ((await changesOf(db)) !== before) throw new Error('Rows of the audit log were changed while it was written out. Ask for it again.')
  })
}

async function changesOf(db: Db): Promise<string> {
  const [superseded] = await db.select({ rows: count() }).from(auditSuperseded)
  const [erased] = await db.select({ rows: count() }).from(auditEntries).where(inArray(auditEntries.reason, erasing))
  return `${superseded?.rows} ${erased?.rows}`
}

async function* linesOf(db: Db | Tx, origin: string, beforeEnd: () => Promise<void> = async () => {}): AsyncGenerator<string, void> {
  const size = (await newestCheckpoint(db))?.treeSize ?? 0
  const writers = await writersOf(db)
  const ends: Ends = new Map(writers.map(({ id, end }) => [id, end]))
  const line = (value: object): string => `${JSON.stringify(value)}\n`
  yield line({ kind: 'log', origin, tree_size: size })
  for await (const notes of notesOf(db, size)) yield notes.map((note) => line({ kind: 'checkpoint', note })).join('')
  for (let i = 0; i < writers.length; i += PAGE)
    yield writers
      .slice(i, i + PAGE)
      .map(({ end: _, ...writer }) => line({ kind: 'writer', ...writer }))
      .join('')
  for await (const batches of batchesOf(db)) {
    yield batches
      .filter(({ writerId, firstSeq }) => firstSeq <= (ends.get(writerId) ?? 0))
      .map(({ writerId, firstSeq, leaves, chainHash, signature, treeIndex }) =>
        line({
          kind: 'batch',
          writer_id: writerId,
          first_seq: firstSeq,
          leaves: leaves.toString('base64'),
          chain_hash: chainHash.toString('base64'),
          signature: signature.toString('base64'),
          tree_index: treeIndex !== null && treeIndex < size ? treeIndex : null,
        }),
      )
      .join('')
  }
  let entries = 0
  for await (const rows of rowsOf(db)) {
    const those = rows.filter(({ writerId, seq }) => writerId === null || seq === null || seq <= (ends.get(writerId) ?? 0))
    entries += those.length
    yield those.map((row) => line({ ...toEntry(row), chain: placeOf(row) })).join('')
  }
  for await (const rows of supersededOf(db)) {
    yield rows
      .filter(({ writerId, seq }) => seq <= (ends.get(writerId) ?? 0))
      .map(({ writerId, seq, row }) => line({ kind: 'superseded', writer_id: writerId, seq, row }))
      .join('')
  }
  await beforeEnd()
  yield line({ kind: 'end', entries })
}

/** One for each chain: they are held all at once. */
async function writersOf(db: Db | Tx): Promise<{ id: string; public_key: string; closed: boolean; last_seq: number | null; end: number }[]> {
  const rows = await db.execute<{ id: string; public_key: string; closed: boolean; last_seq: string | null; end: string }>(sql`
    select w.id, w.public_key, w.closed_at is not null as closed, w.last_seq, coalesce(b.end, 0) as end from audit_writers w left join lateral (
      select first_seq + octet_length(leaves) / 32 - 1 as end from audit_batches where writer_id = w.id order by first_seq desc limit 1) b on true order by w.id`)
  return rows.map(({ last_seq, end, ...writer }) => ({ ...writer, last_seq: last_seq === null ? null : Number(last_seq), end: Number(end) }))
}

/** Page after page of what `read` reads after the last one of the page before. */
async function* pagesOf<Item>(read: (last: Item | undefined) => PromiseLike<Item[]>): AsyncGenerator<Item[]> {
  for (let last: Item | undefined; ; ) {
    const page: Item[] = await read(last)
    if (page.length > 0) yield page
    if (page.length < PAGE) return
    last = page.at(-1)
  }
}

async function* notesOf(db: Db | Tx, size: number): AsyncGenerator<string[]> {
  const { treeSize, note } = auditCheckpoints
  const pages = pagesOf<{ treeSize: number; note: string }>((last) =>
    db
      .select({ treeSize, note })
      .from(auditCheckpoints)
      .where(and(lte(treeSize, size), gt(treeSize, last?.treeSize ?? -1)))
      .orderBy(asc(treeSize))
      .limit(PAGE),
  )
  for await (const page of pages) yield page.map((one) => one.note)
}

function batchesOf(db: Db | Tx): AsyncGenerator<(typeof auditBatches.$inferSelect)[]> {
  const { writerId, firstSeq } = auditBatches
  return pagesOf((last) =>
    db
      .select()
      .from(auditBatches)
      .where(last && sql`(${writerId}, ${firstSeq}) > (${last.writerId}, ${last.firstSeq}::bigint)`)
      .orderBy(asc(writerId), asc(firstSeq))
      .limit(PAGE),
  )
}

/** By leaf, and last those that have none, by their ids. */
async function* rowsOf(db: Db | Tx): AsyncGenerator<Row[]> {
  const { writerId, seq, auditId } = auditEntries
  yield* pagesOf<Row>((last) =>
    db
      .select()
      .from(auditEntries)
      .where(and(isNotNull(seq), last && sql`(${writerId}, ${seq}) > (${last.writerId}, ${last.seq}::bigint)`))
      .orderBy(asc(writerId), asc(seq))
      .limit(PAGE),
  )
  yield* pagesOf<Row>((last) =>
    db
      .select()
      .from(auditEntries)
      .where(and(isNull(seq), last && gt(auditId, last.auditId)))
      .orderBy(asc(auditId))
      .limit(PAGE),
  )
}

function supersededOf(db: Db | Tx): AsyncGenerator<(typeof auditSuperseded.$inferSelect)[]> {
  const { writerId, seq } = auditSuperseded
  return pagesOf((last) =>
    db
      .select()
      .from(auditSuperseded)
      .where(last && sql`(${writerId}, ${seq}) > (${last.writerId}, ${last.seq}::bigint)`)
      .orderBy(asc(writerId), asc(seq))
      .limit(PAGE),
  )
}
