import type { BudgetCharge } from '../call.ts'
import { NANO_PER_CALL_MAX, TOKENS_PER_CALL_MAX } from '../db/budget-windows.ts'
import type { Budget } from './budget.ts'
import { windowAt } from './window.ts'

/** What a call used, or may use: nano-dollars (null: no price is known) and tokens. */
export interface Used {
  nano: number | null
  tokens: number
}

/** What a call takes of a budget; null where that counts money and nobody knows the price. */
export function amountIn({ unit }: Budget, { nano, tokens }: Used): number | null {
  if (unit === 'tokens') return Math.min(Math.ceil(tokens), TOKENS_PER_CALL_MAX)
  return nano === null ? null : Math.min(Math.ceil(nano), NANO_PER_CALL_MAX)
}

/** What a call is charged to, in the windows in which it arrived (milliseconds since 1970). What has no known price is charged to no budget in money. */
export function chargesOf(budgets: readonly Budget[], used: Used, arrivedAt: number): BudgetCharge[] {
  return budgets.flatMap((budget) => {
    const amount = amountIn(budget, used)
    return amount === null || amount === 0 ? [] : [{ budget_id: budget.id, window: windowAt(budget.window, arrivedAt).startsAt.toISOString(), amount }]
  })
}
