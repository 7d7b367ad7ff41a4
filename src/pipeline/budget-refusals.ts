import type { Exhausted } from '../budgets/budgets.ts'
import { Refusal } from '../errors.ts'

/** A budget that is used up: the libraries are told not to try again, for only time or an administrator can help. `now` is milliseconds since 1970. */
export function budgetUsedUp({ budget, resetsAt }: Pick<Exhausted, 'budget' | 'resetsAt'>, now: number): Refusal {
  const seconds = Math.max(1, Math.ceil((resetsAt.getTime() - now) / 1000))
  return new Refusal(
    'budget_exceeded',
    `The budget of this ${budget.scope} for the ${budget.window} is used up; it begins anew at ${resetsAt.toISOString()}.`,
    {
      headers: ['retry-after', String(seconds)],
      context: { retry_after_seconds: seconds, budget_id: budget.id, resets_at: resetsAt.toISOString() },
    },
  )
}

/** None of those who serve this model has a price for it. */
export const unpriced = (): Refusal =>
  new Refusal('model_not_allowed', 'No price is known for this model, and a hard budget in USD applies; an administrator sets `prices` on the upstream.', {
    context: { param: 'model' },
  })
