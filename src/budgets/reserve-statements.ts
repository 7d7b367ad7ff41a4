/** The statements with which budgets are reserved and given back. */
import type { SQL } from 'drizzle-orm'
import { addToWindows } from '../db/budget-windows.ts'
import { sql } from '../db/drizzle.ts'

/** What a call under way may take of a budget's window. */
export interface Part {
  audit_id: string
  budget_id: string
  /** ISO 8601. */
  starts_at: string
  amount: number
  /** Added to what the call has reserved already, if it still has. */
  more: boolean
}

/**
 * Locks windows, in the order of their keys, until the transaction ends, and answers how they stand: `{budget_id, starts_at, spent, reserved, amount}`.
 * Windows that do not exist yet begin with nothing. A budget that is no longer there, or no longer hard, has no row.
 */
export const lockWindows = (windows: readonly { tenant_id: string; budget_id: string; starts_at: string }[]): SQL => sql`
  with locked as (
    insert into budget_windows as w (budget_id, starts_at)
    select a.budget_id, a.starts_at
    from jsonb_to_recordset(${JSON.stringify(windows)}::text::jsonb) as a(tenant_id text, budget_id text, starts_at timestamptz)
    join budgets b on b.id = a.budget_id and b.tenant_id = a.tenant_id and b.mode = 'hard'
    order by a.budget_id, a.starts_at
    on conflict (budget_id, starts_at) do update set reserved = w.reserved
    returning w.budget_id, w.starts_at, w.spent, w.reserved
  )
  select locked.*, budgets.amount from locked join budgets on budgets.id = locked.budget_id`

/**
 * Keeps what was granted. Answers the ids of the calls whose reservation is there now. One that is being ended at this moment is not waited for: whoever
 * ends it waits for the windows, which are locked here.
 */
export const keepParts = (parts: readonly Part[], processId: string): SQL => sql`
  with part as materialized (
    select * from jsonb_to_recordset(${JSON.stringify(parts)}::text::jsonb)
      as p(audit_id text, budget_id text, starts_at timestamptz, amount bigint, more boolean)
  ), made as (
    insert into reservations as r (audit_id, budget_id, starts_at, amount, process_id)
    select audit_id, budget_id, starts_at, amount, ${processId} from part where not more on conflict do nothing
    returning r.audit_id, r.budget_id, r.starts_at, r.amount
  ), held as materialized (
    select audit_id, budget_id from reservations where (audit_id, budget_id) in (select audit_id, budget_id from part where more) for update skip locked
  ), grown as (
    update reservations r set amount = r.amount + p.amount
    from (select audit_id, budget_id, sum(amount) as amount from part join held using (audit_id, budget_id) where more group by audit_id, budget_id) p
    where r.audit_id = p.audit_id and r.budget_id = p.budget_id
    returning r.audit_id, r.budget_id, r.starts_at, p.amount
  ), each_change as (
    select budget_id, starts_at, 0 as spent, amount as reserved from made union all select budget_id, starts_at, 0, amount from grown
  ), ${addToWindows}
  select audit_id from made union select audit_id from grown`

/** Ends reservations. Those that have ended already, with the call's row, are not there to end again. */
export const endReservations = (auditIds: readonly string[]): SQL => sql`
  with over as (
    delete from reservations where audit_id in (select jsonb_array_elements_text(${JSON.stringify(auditIds)}::text::jsonb))
    returning budget_id, starts_at, amount
  ), each_change as (
    select budget_id, starts_at, 0 as spent, -amount as reserved from over
  ), ${addToWindows}
  select count(*) from changed_window`
