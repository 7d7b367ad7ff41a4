/**
 * What follows from rows of the audit log, in the statement that writes them, and only where they are new: sent again after an answer that was lost, or
 * closed by another process meanwhile, a row charges nothing a second time, and tells nobody again.
 */
import type { SQL } from 'drizzle-orm'
import { addToWindows, NANO_PER_CALL_MAX, TOKENS_PER_CALL_MAX } from '../db/budget-windows.ts'
import { sql } from '../db/drizzle.ts'
import { queueEvents } from '../db/outbox.ts'
import { newId } from '../ids.ts'
import { BUDGET_SEAL } from './chain/unchained.ts'
import { columnNames, placeNames } from './columns.ts'

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

/** What a statement answers: how many rows are new, what their charges crossed, and who is to be told. */
export interface Written {
  written: number
  /** Rows that are neither new nor there: another process wrote them at the same moment. Sent again, the statement sees them. */
  missed: number
  /** Null: none. */
  crossings: BudgetCrossing[] | null
  /** Deliveries of events that wait now. */
  deliveries: number
}

const rowNames = sql.raw(`${columnNames}, ${placeNames}, seal`)

/** The part `written` of such a statement: those of `closed` that are new. */
export const written = sql`
  written as (
    insert into audit_entries (${rowNames}) select ${rowNames} from closed on conflict do nothing returning *
  )`

/**
 * The rest of it: all that follows from those of `closed` that are new, or that were `unknown` until now: those are counted off as they `was`. Of the `events`,
 * those are told whose entry is one of these rows. `alsoOver` says which reservations `r` end beside theirs. Its values are those of `noteValues`.
 */
export const settlement = ({ alsoOver, events, value }: { alsoOver: SQL; events: SQL; value: (name: NoteValue) => unknown }): SQL => sql`
  counted as (
    select 1 as sign, * from written union all select 1, * from upgraded union all select -1, * from was
  ), over_reservations as (
    delete from reservations r where r.audit_id in (select audit_id from closed) or (${alsoOver}) returning r.budget_id, r.starts_at, r.amount
  ), billed as (${addToLedger}), each_change as (
    select c.budget_id, c."window" as starts_at, sign * c.amount as spent, 0 as reserved
    from counted, jsonb_to_recordset(counted.budgets) as c(budget_id text, "window" timestamptz, amount bigint)
    union all select budget_id, starts_at, 0, -amount from over_reservations
  ), ${addToWindows}, crossed as (${crossed}), note as (${note(value)}), noted as (
    insert into audit_entries (audit_id, timestamp, kind, tenant_id, request_id, outcome, reason, seal, metadata)
    select audit_id, timestamp, 'change', "tenantId", request_id, 'completed', reason, ${sql.raw(`'${BUDGET_SEAL}'`)},
      jsonb_build_object('actor', 'system', 'subject', "budgetId", 'percent', percent, 'window', "window") from note
  ), told as (
    select events.* from (${events}) as events
    where exists (select from written where audit_id = events.data->>'audit_id') or exists (select from upgraded where audit_id = events.data->>'audit_id')
    union all select ${eventOfNote} from note
  ), ${queueEvents}
  select (select count(*)::int from written) as written, (select jsonb_agg(to_jsonb(crossed)) from crossed) as crossings,
    (select count(*)::int from delivery_rows) as deliveries,
    ((select count(*) from closed) - (select count(*) from written) - (select count(*) from upgraded) - (select count(*) from there))::int as missed`

/** Rows count nano-dollars, the API dollars. */
const inUnits = (count: string): string => `case unit when 'usd' then trim_scale(${count} / 1000000000.0) else ${count} end`

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

/** What the notes of a statement are made of. `at` is milliseconds since 1970. */
export const noteValues = (at: number) => ({ note_id: newId('aud', at), note_request_id: newId('req', at), note_at: new Date(at).toISOString() })
export type NoteValue = keyof ReturnType<typeof noteValues>

/** What is written down of each that was crossed. Its ids are like all others: ten characters of time, sixteen that nobody else has. */
const note = (value: (name: NoteValue) => unknown): SQL => sql`
  select left(${value('note_id')}, 14) || left(md5(${value('note_id')} || "budgetId" || "window" || percent), 16) as audit_id,
    ${value('note_request_id')}::text as request_id, ${value('note_at')}::timestamptz as timestamp,
    case percent when 100 then 'budget.exceeded' else 'budget.threshold' end as reason, * from crossed`

/** The event of a note, in the API's terms, with the columns of NewEvent. One that is exceeded is counted by its budget, and the calls it refuses by their keys. */
const eventOfNote = sql.raw(`
  'evt_' || substr(audit_id, 5), case percent when 100 then 'BUDGET_EXCEEDED' else 'BUDGET_THRESHOLD' end, "tenantId", request_id, timestamp,
  jsonb_build_object('audit_id', audit_id, 'budget_id', "budgetId", 'percent', percent, 'window', "window", 'unit', unit,
    'spent', ${inUnits('spent')}, 'amount', ${inUnits('amount')}),
  case percent when 100 then "budgetId" end`)
