/**
 * The statements that write the audit log. What a call cost is settled in the very statement that writes its row, and only where the row is new: sent
 * again after an answer that was lost, or closed by another process meanwhile, a row charges nothing a second time.
 */
import type { SQL } from 'drizzle-orm'
import { addToWindows, NANO_PER_CALL_MAX, TOKENS_PER_CALL_MAX } from '../db/budget-windows.ts'
import { sql } from '../db/drizzle.ts'
import { DEAD_AFTER_SECONDS } from '../db/processes.ts'
import { newId } from '../ids.ts'
import { batchParts } from './chain/batch-parts.ts'
import { BUDGET_SEAL } from './chain/unchained.ts'
import type { ChainWriter, SealedBatch } from './chain/writer.ts'
import { columnNames, columns, columnTypes, placeColumns, placeNames, placeTypes, toJson } from './columns.ts'
import type { AuditEntry } from './entry.ts'

/** So many percent of a budget are spent now, which they were not before. */
export interface BudgetCrossing {
  tenantId: string
  budgetId: string
  percent: 50 | 80 | 100
  /** The beginning (ISO 8601) of the budget's window. */
  window: string
  /** Nano-dollars or tokens, as the budget counts. */
  spent: number
  amount: number
  unit: 'usd' | 'tokens'
}

/** What either statement answers: how many rows are new, and what their charges crossed. */
export interface Written {
  written: number
  /** Rows that are neither new nor there: another process wrote them at the same moment. Sent again, the statement sees them. */
  missed: number
  /** Null: none. */
  crossings: BudgetCrossing[] | null
}

/** Puts exchanges on record that are on their way. Each comes with the seal of the row that it becomes when its process dies. */
export function openRecords(entries: readonly (AuditEntry & { seal: string })[], processId: string): SQL {
  const opened = entries.map((entry) => ({ audit_id: entry.audit_id, tenant_id: entry.tenant_id, opened_at: entry.timestamp, entry }))
  return sql`
    insert into audit_open (audit_id, tenant_id, process_id, opened_at, entry)
    select audit_id, tenant_id, ${processId}, opened_at, entry
    from jsonb_to_recordset(${toJson(opened)}::text::jsonb) as r(audit_id text, tenant_id text, opened_at timestamptz, entry jsonb)
    on conflict do nothing`
}

/**
 * Writes leaves of a chain with their rows, their charges and the end of their reservations. A row that is there already stays as it is; only one that says
 * `unknown` is written over, and what had been charged for it is given back. `at` is milliseconds since 1970.
 */
export const writeRows = (writer: ChainWriter, { rows, batch, isFirst }: SealedBatch, at: number): SQL => sql`
  with closed as materialized (
    select *, null::text as seal from jsonb_to_recordset(${toJson(rows)}::text::jsonb) as r(${sql.raw(`${columnTypes}, ${placeTypes}`)})
  ), over as (
    delete from audit_open using closed where audit_open.audit_id = closed.audit_id
  ), ${batchParts(writer, { batch, isFirst })}, last as (
    update audit_writers w set closed_at = now(), last_seq = c.seq from closed c
    where c.kind = 'chain' and c.reason = 'writer.close' and c.writer_id = w.id and c.metadata->>'subject' = w.id
  ), was as materialized (
    select e.* from audit_entries e join closed c on c.audit_id = e.audit_id and c.timestamp = e.timestamp
    where e.outcome = 'unknown' and c.outcome <> 'unknown' for update of e
  ), upgraded as (
    update audit_entries e set ${upgrade} from closed c join was w using (audit_id, timestamp) where e.audit_id = c.audit_id and e.timestamp = c.timestamp returning e.*
  ), there as (
    select c.*, (e.writer_id, e.seq) is distinct from (c.writer_id, c.seq) as is_another from closed c
    join audit_entries e on e.audit_id = c.audit_id and e.timestamp = c.timestamp where not exists (select from was where was.audit_id = c.audit_id)
  ), superseded as (
    insert into audit_superseded (writer_id, seq, audit_id, row)
    select writer_id, seq, audit_id, ${rowOf('was')} from was where seq is not null
    union all select writer_id, seq, audit_id, ${rowOf('there')} - 'is_another' from there where is_another
    on conflict do nothing
  ), ${settlement(sql`false`, at)}`

/** Which of these exchanges have rows, and with which outcome. */
export const existingRows = (entries: readonly AuditEntry[]): SQL => sql`
  select e.audit_id, e.outcome from jsonb_to_recordset(${toJson(entries.map(({ audit_id, timestamp }) => ({ audit_id, timestamp })))}::text::jsonb)
    as r(audit_id text, timestamp timestamptz) join audit_entries e on e.audit_id = r.audit_id and e.timestamp = r.timestamp`

/** Everything but which exchange it is of, and when. */
const upgrade = sql.raw([...Object.keys(columns).slice(2), ...Object.keys(placeColumns), 'seal'].map((name) => `"${name}" = c."${name}"`).join(', '))

/** A row as JSON in the API's names, decimal numbers and times as text. */
const rowOf = (alias: string): SQL =>
  sql.raw(`to_jsonb(${alias}) || jsonb_build_object('cost_usd', ${alias}.cost_usd::text,
    'timestamp', to_char(${alias}.timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`)

/**
 * Writes a row, with outcome `unknown`, for every record a dead process left open; it is charged what the record says the call may cost. All
 * that a dead process had reserved ends too, also for calls it did not come to open, and windows of budgets that are no more go.
 */
export function writeAbandoned(at: number): SQL {
  const isDead = (processId: SQL): SQL => sql`not exists (
    select 1 from processes where processes.id = ${processId} and processes.heartbeat_at > now() - make_interval(secs => ${DEAD_AFTER_SECONDS}))`
  return sql`
    with dead as (
      delete from audit_open where ${isDead(sql`audit_open.process_id`)} returning entry
    ), closed as materialized (
      select r.* from dead, jsonb_to_record(dead.entry) as r(${sql.raw(`${columnTypes}, ${placeTypes}, seal text`)})
    ), was as materialized (select * from audit_entries where false), upgraded as (select * from was), there as (select * from closed where false), forgotten as (
      delete from budget_windows where not exists (select 1 from budgets where budgets.id = budget_windows.budget_id)
    ), ${settlement(isDead(sql`r.process_id`), at)}`
}

const rowNames = sql.raw(`${columnNames}, ${placeNames}, seal`)

/**
 * The rest of either statement: all that follows from the rows of `closed` that are new, or that were `unknown` until now: those are counted off as they
 * `was`. `alsoOver` says which reservations `r` end beside theirs.
 */
const settlement = (alsoOver: SQL, at: number): SQL => sql`
  written as (
    insert into audit_entries (${rowNames}) select ${rowNames} from closed on conflict do nothing returning *
  ), counted as (
    select 1 as sign, * from written union all select 1, * from upgraded union all select -1, * from was
  ), over_reservations as (
    delete from reservations r where r.audit_id in (select audit_id from closed) or (${alsoOver}) returning r.budget_id, r.starts_at, r.amount
  ), billed as (${addToLedger}), each_change as (
    select c.budget_id, c."window" as starts_at, sign * c.amount as spent, 0 as reserved
    from counted, jsonb_to_recordset(counted.budgets) as c(budget_id text, "window" timestamptz, amount bigint)
    union all select budget_id, starts_at, 0, -amount from over_reservations
  ), ${addToWindows}, crossed as (${crossed}), noted as (${noteOf(at)})
  select (select count(*)::int from written) as written, (select jsonb_agg(to_jsonb(crossed)) from crossed) as crossings,
    ((select count(*) from closed) - (select count(*) from written) - (select count(*) from upgraded) - (select count(*) from there))::int as missed`

/** Not least(null, …), which is the bound. */
const sumOf = (value: string, most: number): string => `sum(sign * least(coalesce(${value}, 0), ${most}))`

/** Calls that used tokens, or may have: those without usage reached no provider, or asked for nothing that is counted. */
const addToLedger = sql.raw(`
  insert into cost_ledger as l (
    tenant_id, day, agent_id, key_prefix, user_id, model, upstream, requests, unpriced, estimated, input_tokens, output_tokens, cost_nano
  )
  select tenant_id, (timestamp at time zone 'UTC')::date, coalesce(agent_id, ''), coalesce(key_prefix, ''), coalesce(user_id, ''), coalesce(model, ''),
    coalesce(upstream, ''), sum(sign), coalesce(sum(sign) filter (where cost_usd is null), 0),
    coalesce(sum(sign) filter (where usage->>'estimated' = 'true'), 0),
    ${sumOf("(usage->>'input_tokens')::numeric", TOKENS_PER_CALL_MAX)}, ${sumOf("(usage->>'output_tokens')::numeric", TOKENS_PER_CALL_MAX)},
    ${sumOf('cost_usd * 1000000000', NANO_PER_CALL_MAX)}
  from counted where usage is not null and tenant_id is not null group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
  on conflict (tenant_id, day, agent_id, key_prefix, user_id, model, upstream) do update set
    requests = l.requests + excluded.requests, unpriced = l.unpriced + excluded.unpriced, estimated = l.estimated + excluded.estimated,
    input_tokens = l.input_tokens + excluded.input_tokens, output_tokens = l.output_tokens + excluded.output_tokens,
    cost_nano = l.cost_nano + excluded.cost_nano`)

/** The row of a window is locked while it changes, so what it was before and what it is now meet each threshold once. Of nothing, all is spent with the first bit. */
const crossed = sql.raw(`
  select b.tenant_id as "tenantId", b.id as "budgetId", t.percent, w.spent, b.amount, b.unit,
    to_char(w.starts_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "window"
  from changed_window w join window_change c using (budget_id, starts_at) join budgets b on b.id = w.budget_id
  join (values (50), (80), (100)) as t(percent)
    on w.spent - c.spent < greatest(b.amount * t.percent / 100.0, 1) and w.spent >= greatest(b.amount * t.percent / 100.0, 1)`)

/** The record of what was crossed. Its ids are like all others: ten characters of time, sixteen that nobody else has. */
function noteOf(at: number): SQL {
  const id = newId('aud', at)
  return sql`
    insert into audit_entries (audit_id, timestamp, kind, tenant_id, request_id, outcome, reason, seal, metadata)
    select left(${id}, 14) || left(md5(${id} || "budgetId" || "window" || percent), 16), ${new Date(at).toISOString()}::timestamptz, 'change', "tenantId",
      ${newId('req', at)}, 'completed', case percent when 100 then 'budget.exceeded' else 'budget.threshold' end, ${BUDGET_SEAL},
      jsonb_build_object('actor', 'system', 'subject', "budgetId", 'percent', percent, 'window', "window")
    from crossed`
}
