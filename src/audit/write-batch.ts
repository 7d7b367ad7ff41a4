/** The statements that write the audit log. What a call cost is settled, and what it was is told, in the very statement that writes its row. */
import type { SQL } from 'drizzle-orm'
import { sql } from '../db/drizzle.ts'
import { eventColumns, type NewEvent, toldAs } from '../db/outbox.ts'
import { DEAD_AFTER_SECONDS } from '../db/processes.ts'
import { prepared, type Statement } from '../db/run-prepared.ts'
import { toJson } from '../db/to-json.ts'
import { type BatchValue, batchParts, batchValues } from './chain/batch-parts.ts'
import type { ChainWriter, SealedBatch } from './chain/writer.ts'
import { columns, columnTypes, placeColumns, placeTypes } from './columns.ts'
import type { AuditEntry } from './entry.ts'
import { type NoteValue, noteValues, settlement, written } from './settlement.ts'

/** An exchange that is on its way, with the seal of the row that it becomes when its process dies, and the events that are told then. */
export interface OpenRecord extends AuditEntry {
  seal: string
  events: readonly NewEvent[]
}

/** Puts exchanges on record that are on their way. Of one that is there already the later says more. */
export function openRecords(entries: readonly OpenRecord[], processId: string): Statement {
  const opened = entries.map((entry) => ({ audit_id: entry.audit_id, tenant_id: entry.tenant_id, opened_at: entry.timestamp, entry }))
  return openStatement({ process_id: processId, opened: toJson(opened) })
}
const openStatement = prepared<'process_id' | 'opened'>(
  (value) => sql`
    insert into audit_open (audit_id, tenant_id, process_id, opened_at, entry)
    select audit_id, tenant_id, ${value('process_id')}, opened_at, entry
    from jsonb_to_recordset(${value('opened')}::text::jsonb) as r(audit_id text, tenant_id text, opened_at timestamptz, entry jsonb)
    on conflict (audit_id) do update set entry = excluded.entry`,
)

/**
 * Writes leaves of a chain with their rows, their charges, the end of their reservations, and the events of those that are new. A row that is there already
 * stays as it is; only one that says `unknown` is written over, and what had been charged for it is given back. `at` is milliseconds since 1970.
 */
export const writeRows = (writer: ChainWriter, sealed: SealedBatch, events: readonly NewEvent[], at: number): Statement =>
  rowsStatement({
    ...batchValues(writer, sealed),
    ...noteValues(at),
    rows: `[${sealed.rows.map(({ json }) => json).join()}]`,
    events: toJson(events),
  })

// Only of rows that could not be written it is looked up what is there, which is of next to none.
const rowsStatement = prepared<'rows' | 'events' | BatchValue | NoteValue>(
  (value) => sql`
  with closed as materialized (
    select *, null::text as seal from jsonb_to_recordset(${value('rows')}::text::jsonb) as r(${sql.raw(`${columnTypes}, ${placeTypes}`)})
  ), over as (
    delete from audit_open using closed where audit_open.audit_id = closed.audit_id
  ), ${batchParts(value)}, last as (
    update audit_writers w set closed_at = now(), last_seq = c.seq from closed c
    where c.kind = 'chain' and c.reason = 'writer.close' and c.writer_id = w.id and c.metadata->>'subject' = w.id
  ), ${written}, met as materialized (
    select * from closed where audit_id not in (select audit_id from written)
  ), was as materialized (
    select e.* from met c cross join lateral (
      select * from audit_entries where audit_id = c.audit_id and timestamp = c.timestamp and outcome = 'unknown' and c.outcome <> 'unknown' for update
    ) e
  ), upgraded as (
    update audit_entries e set ${upgrade} from met c join was w using (audit_id, timestamp) where e.audit_id = c.audit_id and e.timestamp = c.timestamp returning e.*
  ), there as (
    select c.*, (e.writer_id, e.seq) is distinct from (c.writer_id, c.seq) as is_another from met c
    cross join lateral (select writer_id, seq from audit_entries where audit_id = c.audit_id and timestamp = c.timestamp offset 0) e
    where not exists (select from was where was.audit_id = c.audit_id)
  ), superseded as (
    insert into audit_superseded (writer_id, seq, audit_id, row)
    select writer_id, seq, audit_id, ${rowOf('was')} from was where seq is not null
    union all select writer_id, seq, audit_id, ${rowOf('there')} - 'is_another' from there where is_another
    on conflict do nothing
  ), ${settlement({ alsoOver: sql`false`, events: toldAs(value('events')), value })}`,
)

/** Which of these exchanges have rows, and with which outcome. */
export const existingRows = (entries: readonly AuditEntry[]): Statement =>
  existingStatement({ keys: toJson(entries.map(({ audit_id, timestamp }) => ({ audit_id, timestamp }))) })
const existingStatement = prepared<'keys'>(
  (value) => sql`
  select e.audit_id, e.outcome from jsonb_to_recordset(${value('keys')}::text::jsonb)
    as r(audit_id text, timestamp timestamptz) join audit_entries e on e.audit_id = r.audit_id and e.timestamp = r.timestamp`,
)

/** Everything but which exchange it is of, and when. */
const upgrade = sql.raw([...Object.keys(columns).slice(2), ...Object.keys(placeColumns), 'seal'].map((name) => `"${name}" = c."${name}"`).join(', '))

/** A row as JSON in the API's names, decimal numbers and times as text. */
const rowOf = (alias: string): SQL =>
  sql.raw(`to_jsonb(${alias}) || jsonb_build_object('cost_usd', ${alias}.cost_usd::text,
    'timestamp', to_char(${alias}.timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`)

/** Dead processes' records that one statement closes, with all their events for all who listen. */
export const ABANDONED_MAX = 100

/**
 * Writes a row, with outcome `unknown`, for some of the records that dead processes left open, and tells of it; it is charged what the record says the call may
 * cost. Those that another process is at are left to it. What was reserved for a call ends with its record; what dead processes had reserved for calls they did
 * not come to open ends too, and windows of budgets that are no more go.
 */
export const writeAbandoned = (at: number): Statement => abandonedStatement(noteValues(at))

const abandonedStatement = prepared<NoteValue>((value) => {
  const isDead = (processId: SQL): SQL => sql`not exists (
    select 1 from processes where processes.id = ${processId} and processes.heartbeat_at > now() - make_interval(secs => ${sql.raw(String(DEAD_AFTER_SECONDS))}))`
  const isUnopened = sql`not exists (select 1 from audit_open where audit_open.audit_id = r.audit_id)`
  const events = sql`select t.* from dead, jsonb_to_recordset(dead.entry->'events') as t(${eventColumns})`
  return sql`
    with picked as materialized (
      select audit_id from audit_open where ${isDead(sql`audit_open.process_id`)} limit ${sql.raw(String(ABANDONED_MAX))} for update skip locked
    ), dead as (
      delete from audit_open using picked where audit_open.audit_id = picked.audit_id returning entry
    ), closed as materialized (
      select r.* from dead, jsonb_to_record(dead.entry) as r(${sql.raw(`${columnTypes}, ${placeTypes}, seal text`)})
    ), was as materialized (select * from audit_entries where false), upgraded as (select * from was), there as (select * from closed where false), ${written}, forgotten as (
      delete from budget_windows where not exists (select 1 from budgets where budgets.id = budget_windows.budget_id)
    ), ${settlement({ alsoOver: sql`${isDead(sql`r.process_id`)} and ${isUnopened}`, events, value })}`
})
