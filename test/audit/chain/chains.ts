/** Chains as processes write them, for tests of what is made of them; and the tree over them, computed anew. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { batchParts, batchValues } from '../../../src/audit/chain/batch-parts.ts'
import { type CheckpointerOptions, createCheckpointer } from '../../../src/audit/chain/checkpointer.ts'
import { createLogKey, type LogKey } from '../../../src/audit/chain/note.ts'
import type { ChainWriter, SealedBatch } from '../../../src/audit/chain/writer.ts'
import { columnNames, columnTypes, placeNames, placeTypes } from '../../../src/audit/columns.ts'
import type { AuditEntry } from '../../../src/audit/entry.ts'
import { toRow } from '../../../src/audit/row.ts'
import { createSeal } from '../../../src/audit/seal.ts'
import type { Database } from '../../../src/db/connect.ts'
import { asc, isNotNull, sql } from '../../../src/db/drizzle.ts'
import { auditBatches, auditCheckpoints, auditEntries } from '../../../src/db/schema.ts'
import { openCheckpoint } from './read-note.ts'

type Db = Pick<Database, 'db'>

export const seal = createSeal(Buffer.alloc(32, 5))
export const logKeyOn = ({ db }: Db): (() => Promise<LogKey>) => createLogKey({ db, checkpointKey: async () => Buffer.alloc(32, 3) })

export interface Reported {
  error: unknown
  context: Record<string, unknown> | undefined
}

/** A checkpointer that makes one whenever it is asked, and what it reported. */
export function checkpointerOn(database: Database, more: Partial<CheckpointerOptions> = {}) {
  const reported: Reported[] = []
  const report = (error: unknown, context?: Record<string, unknown>): void => void reported.push({ error, context })
  const options = { database, processId: 'p_1', version: '1', logKey: logKeyOn(database), seal, sink: null, everyMs: 0, report }
  return Object.assign(createCheckpointer({ ...options, ...more }), { reported })
}

/** Writes a batch, as if the process committed it now. */
export async function commit({ db }: Db, writer: ChainWriter, sealed: SealedBatch): Promise<void> {
  const values = batchValues(writer, sealed)
  await db.execute(sql`
    with rows as (
      insert into audit_entries (${sql.raw(`${columnNames}, ${placeNames}`)})
      select ${sql.raw(`${columnNames}, ${placeNames}`)} from jsonb_to_recordset(${`[${sealed.rows.map(({ json }) => json).join()}]`}::text::jsonb) as r(${sql.raw(`${columnTypes}, ${placeTypes}`)})
    ), ${batchParts((name) => values[name])} select 1`)
}

/** The next batch of a chain, committed. */
export async function write(database: Db, writer: ChainWriter, entries: readonly AuditEntry[]): Promise<SealedBatch> {
  const sealed = writer.seal(entries, Date.now())
  await commit(database, writer, sealed)
  writer.written(sealed)
  return sealed
}

/** A row without a place. */
export const writeUnchained = (database: Db, entry: AuditEntry, given: string | null = seal(entry)): Promise<void> =>
  writeAllUnchained(database, [entry], given)

export async function writeAllUnchained({ db }: Db, entries: readonly AuditEntry[], given?: string | null): Promise<void> {
  await db.insert(auditEntries).values(entries.map((entry) => ({ ...toRow(entry), seal: given === undefined ? seal(entry) : given })))
}

const sha256 = (...parts: Uint8Array[]): Buffer => parts.reduce((all, part) => all.update(part), createHash('sha256')).digest()

/** RFC 6962, section 2.1, word for word. */
export function naiveRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length <= 1) return leaves[0] ?? sha256()
  const k = 2 ** Math.floor(Math.log2(leaves.length - 1))
  return sha256(Buffer.of(1), naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)))
}

/** Checkpoints, oldest first, each of which was found to be signed and to be over the leaves that stand in the tree, in which no leaf is missing or twice. */
export async function checkedCheckpoints(database: Db): Promise<{ size: number; note: string; deliveredAt: Date | null }[]> {
  const { db } = database
  const { vkey, origin } = await logKeyOn(database)()
  const batches = await db.select().from(auditBatches).where(isNotNull(auditBatches.treeIndex)).orderBy(asc(auditBatches.treeIndex))
  const leaves: Buffer[] = []
  for (const batch of batches) {
    assert.equal(batch.treeIndex, leaves.length)
    for (let at = 0; at < batch.leaves.length; at += 32) leaves.push(batch.leaves.subarray(at, at + 32))
  }
  const checkpoints = await db.select().from(auditCheckpoints).orderBy(asc(auditCheckpoints.treeSize))
  for (const { treeSize, root, note } of checkpoints) {
    assert.deepEqual(openCheckpoint(note, vkey), { origin, size: treeSize, root })
    assert.ok(naiveRoot(leaves.slice(0, treeSize)).equals(root), `root of ${treeSize}`)
  }
  assert.equal(checkpoints.at(-1)?.treeSize ?? 0, leaves.length)
  return checkpoints.map(({ treeSize, note, deliveredAt }) => ({ size: treeSize, note, deliveredAt }))
}
