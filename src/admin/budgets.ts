import { z } from 'zod'
import { lockTenant } from '../access/tenants.ts'
import type { Budget } from '../budgets/budget.ts'
import { BUDGETS_PER_TENANT_MAX, changeBudget, countBudgets, findBudget, hasPayer, insertBudget, listBudgets, removeBudget } from '../budgets/store.ts'
import { Refusal } from '../errors.ts'
import { budget, budgetFilter, changedBudget, newBudget, shownBudget, toAmount } from './budget-shape.ts'
import { changeOrTry, dryRunQuery } from './dry-run.ts'
import { type AdminParts, change } from './parts.ts'
import { type Route, route } from './route.ts'
import { listOf, pageQuery } from './shapes.ts'

const one = z.object({ id: z.string() })
const noBudget = (): Refusal => new Refusal('not_found', 'There is no such budget.')
const wrong = (field: string, message: string): Refusal => new Refusal('config', `${field}: ${message}`, { context: { field } })

export function budgetRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts

  return [
    route({
      method: 'GET',
      path: '/v1/budgets',
      scope: 'any',
      tenant: 'optional',
      summary: "Lists budgets, newest first, as they stand in their present windows. A tenant's key sees its own tenant's.",
      query: z.strictObject({ ...pageQuery(), ...budgetFilter }),
      answer: listOf('budgets', budget),
      async run({ tenantId, query: { scope, scope_id, limit, offset } }) {
        const { rows, total } = await listBudgets(db, tenantId, { scope, scopeId: scope_id }, { at: now(), limit, offset })
        return { budgets: rows.map(shownBudget), total, limit, offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/budgets',
      scope: 'budgets:write',
      tenant: 'required',
      summary:
        'Adds a budget of the tenant, or of one of its agents, keys or users. It counts what is spent from now on. dry_run=true only says what would come of it.',
      query: z.strictObject(dryRunQuery),
      body: newBudget.meta({ examples: [{ scope: 'tenant', amount: 500, unit: 'usd', window: 'month', mode: 'hard' }] }),
      answer: budget,
      status: 201,
      async run({ tenantId, query: { dry_run }, body, actor, requestId }) {
        const { scope, scope_id, unit, window, mode } = body
        if (scope_id === undefined && scope !== 'tenant') {
          throw new Refusal('invalid_request', `scope_id: Say which ${scope} it is for.`, { context: { field: 'scope_id' } })
        }
        const fields: Omit<Budget, 'id'> = { tenantId, scope, scopeId: scope_id ?? tenantId, amount: toAmount(body.amount, unit), unit, window, mode }
        const row = await changeOrTry(parts, { actor, requestId, dry_run }, async (tx) => {
          await lockTenant(tx, tenantId)
          if (!(await hasPayer(tx, tenantId, fields))) throw wrong('scope_id', `The tenant has no such ${scope}.`)
          if ((await countBudgets(tx, tenantId)) >= BUDGETS_PER_TENANT_MAX) {
            throw new Refusal('config', `A tenant can have at most ${BUDGETS_PER_TENANT_MAX} budgets. Delete some.`)
          }
          const made = await insertBudget(tx, fields, now())
          return { result: made, done: { action: 'budget.create', tenantId, subject: made.id, changes: ['budgets'] } }
        })
        return shownBudget(row)
      },
    }),

    route({
      method: 'GET',
      path: '/v1/budgets/{id}',
      scope: 'any',
      tenant: 'optional',
      summary: "One budget, as it stands in its present window. A tenant's key may read its own tenant's.",
      params: one,
      answer: budget,
      async run({ tenantId, params }) {
        const row = await findBudget(db, tenantId, params.id, now())
        if (!row) throw noBudget()
        return shownBudget(row)
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/budgets/{id}',
      scope: 'budgets:write',
      tenant: 'required',
      summary:
        'Changes amount and mode; what was spent stays spent. For another scope, unit or window add another budget. dry_run=true only says what would come of it.',
      params: one,
      query: z.strictObject(dryRunQuery),
      body: changedBudget.meta({ examples: [{ amount: 750 }] }),
      answer: budget,
      async run({ tenantId, params, query: { dry_run }, body, actor, requestId }) {
        const row = await changeOrTry(parts, { actor, requestId, dry_run }, async (tx) => {
          const before = await findBudget(tx, tenantId, params.id, now())
          if (!before) throw noBudget()
          refuseMove(before, body)
          const amount = body.amount === undefined ? undefined : toAmount(body.amount, before.unit)
          const after = await changeBudget(tx, tenantId, params.id, { amount, mode: body.mode }, now())
          if (!after) throw noBudget()
          return { result: after, done: { action: 'budget.update', tenantId, subject: params.id, changes: ['budgets'] } }
        })
        return shownBudget(row)
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/budgets/{id}',
      scope: 'budgets:write',
      tenant: 'required',
      summary: 'Removes a budget. What calls cost stays in the audit log and in GET /v1/costs.',
      params: one,
      answer: null,
      async run({ tenantId, params, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          if (!(await removeBudget(tx, tenantId, params.id))) throw noBudget()
          return { result: undefined, done: { action: 'budget.delete', tenantId, subject: params.id, changes: ['budgets'] } }
        })
      },
    }),
  ]
}

/** What was spent was spent by somebody, in something, in a time: none of these can become another. */
function refuseMove(before: Budget, { scope, scope_id, unit, window }: z.output<typeof changedBudget>): void {
  for (const [field, given, kept] of [
    ['scope', scope, before.scope],
    ['scope_id', scope_id, before.scopeId],
    ['unit', unit, before.unit],
    ['window', window, before.window],
  ] as const) {
    if (given !== undefined && given !== kept) throw wrong(field, 'Cannot be changed; add another budget.')
  }
}
