/** The one way in which what is spent and reserved in the windows of budgets changes. */
import { sql } from './drizzle.ts'

/** What one call is charged at most, in tokens and in nano-dollars: beyond, a count is no count, and sums of it would not fit into a bigint. */
export const TOKENS_PER_CALL_MAX = 10 ** 12
export const NANO_PER_CALL_MAX = 10 ** 14

/**
 * Two parts of a `with` list that follow a part `each_change (budget_id, starts_at, spent, reserved)`: `window_change` adds it up, `changed_window` adds
 * every sum to its row and holds the rows as they are then. Rows are taken in the order of their keys, so that no two statements wait for each other.
 * What belongs to a budget that is no more is left out: it does not come back.
 */
export const addToWindows = sql.raw(`
  window_change as (
    select budget_id, starts_at, sum(spent) as spent, sum(reserved) as reserved from each_change group by budget_id, starts_at
  ), changed_window as (
    insert into budget_windows as w (budget_id, starts_at, spent, reserved)
    select c.budget_id, c.starts_at, c.spent, c.reserved from window_change c join budgets on budgets.id = c.budget_id
    order by c.budget_id, c.starts_at
    on conflict (budget_id, starts_at) do update set spent = w.spent + excluded.spent, reserved = w.reserved + excluded.reserved
    returning w.budget_id, w.starts_at, w.spent
  )`)
