/** What a budget looks like in the API. Rows count nano-dollars, the API dollars; tokens are tokens in both. */
import { z } from 'zod'
import { type Budget, scopes } from '../budgets/budget.ts'
import { type BudgetState, listBudgets } from '../budgets/store.ts'
import { windows } from '../budgets/window.ts'
import type { Db, Tx } from '../db/connect.ts'
import { Refusal } from '../errors.ts'
import { NANO_PER_DOLLAR, toNano } from '../prices/dollars.ts'
import { ignored } from './read-only.ts'
import { timestamp } from './shapes.ts'

const DOLLARS_MAX = 1_000_000
const TOKENS_MAX = 1_000_000_000_000_000
/** As long as what callers may say of themselves. */
const SCOPE_ID_CHARACTERS_MAX = 256

const fields = {
  scope: z.enum(scopes),
  scope_id: z
    .string()
    .min(1)
    .max(SCOPE_ID_CHARACTERS_MAX)
    .regex(/^[^\p{Cc}]+$/u, 'Must not contain control characters.')
    .meta({ description: "The agent's id, the key's prefix, or the user as calls name it; for the scope tenant its own id, which may be left out." }),
  amount: z.number().min(0).max(TOKENS_MAX).meta({ description: 'Dollars with at most nine decimals, or whole tokens. 0: nothing may be spent.' }),
  unit: z.enum(['usd', 'tokens']),
  window: z.enum(windows).meta({ description: 'Of the calendar, in UTC; a week begins on Monday.' }),
  mode: z.enum(['hard', 'soft']).meta({ description: 'A hard budget refuses what it does not hold (BUDGET_EXCEEDED), a soft one only counts.' }),
}

/** Only answers say them. They may be sent, so that what a GET answered can be sent back. */
const said = { id: ignored, tenant_id: ignored, spent: ignored, reserved: ignored, resets_at: ignored, created_at: ignored }

export const budget = z.strictObject({
  id: z.string(),
  tenant_id: z.string(),
  ...fields,
  spent: z.number().meta({ description: 'In the present window, by calls whose record is written.' }),
  reserved: z.number().meta({ description: 'For calls under way; hard budgets only.' }),
  resets_at: timestamp,
  created_at: timestamp,
})
export const newBudget = z.strictObject({ ...said, ...fields, scope_id: fields.scope_id.optional(), mode: fields.mode.default('hard') })
/** What cannot be changed may be repeated. */
export const changedBudget = z.strictObject({ ...said, ...fields }).partial()
export const budgetFilter = { scope: fields.scope.optional(), scope_id: fields.scope_id.optional() }

/** As rows count it. Throws a Refusal for more, or for smaller parts, than a budget can count. */
export function toAmount(amount: number, unit: Budget['unit']): number {
  const refuse = (message: string): never => {
    throw new Refusal('invalid_request', `amount: ${message}`, { context: { field: 'amount' } })
  }
  if (unit === 'tokens') return Number.isInteger(amount) ? amount : refuse('Must be whole tokens.')
  if (amount > DOLLARS_MAX) refuse(`Must be at most ${DOLLARS_MAX} dollars.`)
  const nano = toNano(amount)
  return nano / NANO_PER_DOLLAR === amount ? nano : refuse('Must have at most nine decimals.')
}

export function shownBudget(row: BudgetState): z.input<typeof budget> {
  const { id, tenantId, scope, scopeId, unit, window, mode } = row
  // Of at most fifteen digits, so that the number reads as what is counted, to the last of them.
  const shown = (amount: number): number => (unit === 'usd' ? amount / NANO_PER_DOLLAR : amount)
  return {
    id,
    tenant_id: tenantId,
    scope,
    scope_id: scopeId,
    amount: shown(row.amount),
    unit,
    window,
    mode,
    spent: shown(row.spent),
    reserved: shown(row.reserved),
    resets_at: row.resetsAt.toISOString(),
    created_at: row.createdAt.toISOString(),
  }
}

/** Budgets shown with their agents, all agents of a page together. */
const AGENT_BUDGETS_MAX = 10_000

/** The budgets of agents, as the API shows them, by the agent's id. `at` is milliseconds since 1970. */
export async function budgetsOfAgents(
  db: Db | Tx,
  tenantId: string | null,
  agentIds: readonly string[],
  at: number,
): Promise<ReadonlyMap<string, z.input<typeof budget>[]>> {
  if (agentIds.length === 0) return new Map()
  const { rows } = await listBudgets(db, tenantId, { scope: 'agent', scopeId: agentIds }, { at, limit: AGENT_BUDGETS_MAX })
  return Map.groupBy(rows.map(shownBudget), ({ scope_id }) => scope_id)
}
