/** The records of a log as its database holds them, as they were at one moment: a log that is being written raises no alarm. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { SQL } from 'drizzle-orm'
import type { AuditEntry } from '../audit/entry.ts'
import { contentOf } from '../audit/leaf.ts'
import type { Database, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { leafOfRow } from './check-row.ts'
import type { Chained, LogRecord, Seal } from './record.ts'
import { entryOfRow } from './row-entry.ts'

/** Rows that are asked for at once. */
const PAGE = 1_000
/** Stands for the seal of what the database itself tells: that a budget is being used up. */
const BUDGET_SEAL = 'budget'
const budgetReasons: readonly (string | null)[] = ['budget.threshold', 'budget.exceeded']

type Row = Record<string, unknown>

/** On a connection and in a transaction of its own. `sealKey`: null where it is not known, so that nobody can tell right seals from wrong ones. */
export function readDatabase<T>(database: Database, sealKey: Buffer | null, work: (records: AsyncIterable<LogRecord>) => Promise<T>): Promise<T> {
  return database.apart((db) => db.transaction((tx) => work(recordsFrom(tx, sealKey)), { isolationLevel: 'repeatable read', accessMode: 'read only' }))
}

/** The same in a transaction that there is, which sees one moment only if it is `repeatable read`. */
export async function* recordsFrom(tx: Tx, sealKey: Buffer | null): AsyncGenerator<LogRecord> {
  const [log] = await tx.execute<Row>(sql`select origin, (select coalesce(max(tree_size), 0) from audit_checkpoints) as tree_size from audit_log`)
  yield { kind: 'log', origin: String(log?.origin ?? ''), tree_size: Number(log?.tree_size ?? 0) }
  for await (const row of rowsOf(tx, sql`select tree_size, root, note from audit_checkpoints order by tree_size`))
    yield { kind: 'checkpoint', note: String(row.note), tree_size: Number(row.tree_size), root: row.root as Buffer }
  for await (const row of rowsOf(tx, sql`select id, public_key, closed_at is not null as closed, last_seq from audit_writers order by id`))
    yield { kind: 'writer', id: String(row.id), public_key: String(row.public_key), closed: row.closed === true, last_seq: countOrNull(row.last_seq) }
  for await (const row of rowsOf(
    tx,
    sql`select writer_id, first_seq, leaves, chain_hash, signature, tree_index from audit_batches order by writer_id, first_seq`,
  ))
    yield {
      kind: 'batch',
      writer_id: String(row.writer_id),
      first_seq: Number(row.first_seq),
      leaves: row.leaves as Buffer,
      chain_hash: row.chain_hash as Buffer,
      signature: row.signature as Buffer,
      tree_index: countOrNull(row.tree_index),
    }
  let entries = 0
  for await (const row of rowsOf(tx, sql`select ${columns} from audit_entries where writer_id is not null and seq is not null order by writer_id, seq`)) {
    entries++
    yield placed(row)
  }
  for await (const row of rowsOf(tx, sql`select ${columns} from audit_entries where writer_id is null or seq is null`)) {
    entries++
    yield unplaced(row, sealKey)
  }
  for await (const row of rowsOf(tx, sql`select writer_id, seq, audit_id, row from audit_superseded order by writer_id, seq`))
    yield { kind: 'superseded', writer_id: String(row.writer_id), seq: Number(row.seq), audit_id: String(row.audit_id), row: row.row as Row }
  yield { kind: 'end', entries }
}

/** The columns of an entry that come as they are; a time comes as the API writes it. */
const columns = sql.raw(`to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "timestamp",
  audit_id, kind, tenant_id, request_id, agent_id, key_prefix, user_id, status, outcome, reason, dialect, endpoint, model, upstream, attempts, stream,
  rules_evaluated, rules_triggered, findings, policy_version, metadata, prompt_hash, forwarded_hash, uninspected_bytes, degraded, usage, cost_usd, budgets,
  latency_ms, upstream_ms, first_byte_ms, overhead_ms, http_status, escalation_id, approved_by, held_audit_id,
  writer_id, seq, tenant_prev, salt, payload_hash, erased_by, seal`)

function placed(row: Row): LogRecord {
  const { writer_id, seq, tenant_prev, salt, payload_hash, erased_by, seal, ...rest } = row
  const place = { writer_id: String(writer_id), seq: Number(seq), tenant_prev: Number(tenant_prev ?? Number.NaN) }
  const chain = { ...place, salt, payload_hash, erased_by } as Chained
  const entry = entryOf(rest)
  return { kind: 'entry', entry, chain, leaf: leafOfRow(entry, chain), seal: seal === null ? 'none' : 'wrong' }
}

function unplaced(row: Row, sealKey: Buffer | null): LogRecord {
  const { writer_id: _, seq: __, tenant_prev: ___, salt: ____, payload_hash: _____, erased_by: ______, seal, ...rest } = row
  const entry = entryOf(rest)
  return { kind: 'entry', entry, chain: null, leaf: null, seal: sealOf(entry, seal as string | null, sealKey) }
}

/** A time that is none stays as it is: the leaf is of another. */
function entryOf(row: Row): AuditEntry {
  try {
    return entryOfRow(row)
  } catch {
    return row as unknown as AuditEntry
  }
}

function sealOf(entry: AuditEntry, seal: string | null, key: Buffer | null): Seal {
  if (seal === null) return 'none'
  if (seal === BUDGET_SEAL) return entry.kind === 'change' && budgetReasons.includes(entry.reason) && entry.metadata.actor === 'system' ? 'right' : 'wrong'
  if (key === null) return 'unknown'
  try {
    const right = createHmac('sha256', key).update(contentOf(entry)).digest()
    const given = Buffer.from(seal, 'base64url')
    return given.length === right.length && timingSafeEqual(given, right) ? 'right' : 'wrong'
  } catch {
    return 'wrong'
  }
}

/** Page by page, with a cursor of the server. */
async function* rowsOf(tx: Tx, query: SQL): AsyncGenerator<Row> {
  await tx.execute(sql`declare verify_page no scroll cursor for ${query}`)
  for (;;) {
    const rows = await tx.execute<Row>(sql.raw(`fetch forward ${PAGE} from verify_page`))
    yield* rows
    if (rows.length < PAGE) break
  }
  await tx.execute(sql`close verify_page`)
}

const countOrNull = (value: unknown): number | null => (value === null ? null : Number(value))
