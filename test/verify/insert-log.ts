/** Puts a built log into a database, as Earthflow would have written it. */
import { columnNames, columns, columnTypes, placeNames, placeTypes } from '../../src/audit/columns.ts'
import type { ChainedEntry } from '../../src/audit/leaf.ts'
import type { Db, Tx } from '../../src/db/connect.ts'
import { sql } from '../../src/db/drizzle.ts'
import { toJson } from '../../src/db/to-json.ts'
import type { BuiltLog } from './build-log.ts'

/** In one statement. */
const ROWS_MAX = 500

/** Into a database without one. */
export async function insertLog(db: Db, log: BuiltLog): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`update audit_log set origin = ${log.origin}`)
    for (const { id, process_id, public_key, closed, last_seq } of log.writers)
      await tx.execute(sql`insert into audit_writers (id, process_id, public_key, closed_at, last_seq)
        values (${id}, ${process_id}, ${public_key}, case when ${closed}::boolean then now() end, ${last_seq})`)
    await insertBatches(tx, log.batches)
    for (const { tree_size, root, note } of log.checkpoints)
      await tx.execute(
        sql`insert into audit_checkpoints (tree_size, root, note, created_at) values (${tree_size}, decode(${root.toString('hex')}, 'hex'), ${note}, now())`,
      )
    await insertRows(tx, log.rows)
    for (const { entry, seal } of log.unplaced) {
      await tx.execute(sql`insert into audit_entries (${sql.raw(columnNames)}, seal)
        select ${sql.raw(columnNames)}, ${seal} from jsonb_to_record(${toJson([entry]).slice(1, -1)}::text::jsonb) as r(${sql.raw(columnTypes)})`)
    }
    for (const { writer_id, seq, row } of log.superseded)
      await tx.execute(
        sql`insert into audit_superseded (writer_id, seq, audit_id, row) values (${writer_id}, ${seq}, ${row.audit_id}, ${JSON.stringify(row)}::text::jsonb)`,
      )
  })
}

export async function insertBatches(tx: Tx, batches: BuiltLog['batches']): Promise<void> {
  for (let i = 0; i < batches.length; i += ROWS_MAX) {
    const values = batches.slice(i, i + ROWS_MAX).map(({ leaves, chain_hash, signature, ...rest }) => ({
      ...rest,
      leaves: leaves.toString('hex'),
      chain_hash: chain_hash.toString('hex'),
      signature: signature.toString('hex'),
    }))
    await tx.execute(sql`
      insert into audit_batches (writer_id, first_seq, leaves, chain_hash, signature, tree_index)
      select writer_id, first_seq, decode(leaves, 'hex'), decode(chain_hash, 'hex'), decode(signature, 'hex'), tree_index
      from jsonb_to_recordset(${JSON.stringify(values)}::text::jsonb)
        as r(writer_id text, first_seq bigint, leaves text, chain_hash text, signature text, tree_index bigint)`)
  }
}

export async function insertRows(tx: Tx, rows: readonly ChainedEntry[]): Promise<void> {
  const names = sql.raw(`${columnNames}, ${placeNames}, erased_by`)
  const types = sql.raw(`${columnTypes}, ${placeTypes}, erased_by text`)
  for (let i = 0; i < rows.length; i += ROWS_MAX)
    await tx.execute(
      sql`insert into audit_entries (${names}) select ${names} from jsonb_to_recordset(${toJson(rows.slice(i, i + ROWS_MAX))}::text::jsonb) as r(${types})`,
    )
}

/** The columns that an entry is made of, and their types. */
export const entryColumns: Readonly<Record<string, string>> = columns
