/** What a budget is, and where it will stand when its window ends, should it go on as it has until now. */
import { exact, money } from '../parts/figures.ts'

export interface Budget {
  id: string
  tenant_id: string
  scope: 'tenant' | 'agent' | 'key' | 'user'
  scope_id: string
  amount: number
  unit: 'usd' | 'tokens'
  window: 'hour' | 'day' | 'week' | 'month'
  mode: 'hard' | 'soft'
  spent: number
  reserved: number
  resets_at: string
  created_at: string
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Before so much of its window nothing can be told from what was spent. */
const SHARE_MIN = 0.02

export const amountOf = ({ unit }: Pick<Budget, 'unit'>, amount: number): string => (unit === 'usd' ? money(amount) : `${exact(amount)} tokens`)

/** What is neither spent nor reserved; never below nothing. */
export const leftOf = ({ amount, spent, reserved }: Budget): number => Math.max(0, amount - spent - reserved)

export interface Projection {
  /** What will be spent when the window ends; null: it is too early to tell. */
  spent: number | null
  /** When all of it will be spent, before the window ends; null: it will not. */
  usedUpAt: string | null
}

/** At the pace of the present window, or of its part since the budget was made. */
export function project(budget: Budget, now: Date): Projection {
  const ends = Date.parse(budget.resets_at)
  const begins = Math.max(startOf(budget), Date.parse(budget.created_at))
  const passed = now.getTime() - begins
  if (passed < SHARE_MIN * (ends - begins)) return { spent: null, usedUpAt: null }
  const perMs = budget.spent / passed
  const usedUp = budget.spent >= budget.amount || perMs === 0 ? null : begins + budget.amount / perMs
  return { spent: perMs * (ends - begins), usedUpAt: usedUp !== null && usedUp < ends ? new Date(usedUp).toISOString() : null }
}

/** Windows are those of the calendar, in UTC. */
function startOf({ window, resets_at: resetsAt }: Budget): number {
  const ends = new Date(resetsAt)
  if (window === 'month') return Date.UTC(ends.getUTCFullYear(), ends.getUTCMonth() - 1, 1)
  return ends.getTime() - (window === 'hour' ? HOUR_MS : window === 'day' ? DAY_MS : 7 * DAY_MS)
}
