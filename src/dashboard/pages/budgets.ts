/** Budgets with what is left of them, and what calls cost. */
import type { Refused } from '../api.ts'
import { html } from '../html.ts'
import { type Page, type Reply, redirect, type Visit, view } from '../page.ts'
import { heading, postButton } from '../parts/controls.ts'
import { groupedForm, sentValues } from '../parts/field-groups.ts'
import { badge, code, time } from '../parts/figures.ts'
import { changesIn, type FieldGroup, readForm, shownIn } from '../parts/form-fields.ts'
import { facts } from '../parts/table.ts'
import { noTenantYet, seesSeveral, tenantChoice, tenantName, tenantOf } from '../parts/tenant-choice.ts'
import { agentNames } from './agent-names.ts'
import { amountOf, type Budget, leftOf } from './budget-figures.ts'
import { allowance, pace, whose } from './budget-table.ts'
import { type BudgetsFound, budgetsPage, type CostsFound } from './budgets-view.ts'
import { only } from './only.ts'

const PAGE = 50
const COSTS_SHOWN = 20

export const budgetPages: readonly Page[] = [
  { path: '/budgets', nav: { label: 'Budgets', group: 'Govern', scope: 'rules:read' }, get: list, post: create },
  { path: '/budgets/new', get: only('budgets:write', async (visit) => newBudget(visit, newValues(), null)) },
  { path: '/budgets/:id', get: async (visit) => shown(visit, null), post: change },
  { path: '/budgets/:id/delete', post: remove },
]

const mode = {
  name: 'mode',
  label: 'When it is spent',
  kind: 'choice',
  options: [
    { value: 'hard', label: 'Refuse calls (hard)' },
    { value: 'soft', label: 'Only count, and tell (soft)' },
  ],
} as const
const amount = {
  name: 'amount',
  label: 'Amount',
  kind: 'number',
  required: true,
  min: 0,
  step: 'any',
  hint: 'US dollars with at most nine decimals, or whole tokens. 0: nothing may be spent.',
} as const

const newGroups: readonly FieldGroup[] = [
  {
    legend: 'Whose it is',
    fields: [
      {
        name: 'scope',
        label: 'For',
        kind: 'choice',
        options: [
          { value: 'tenant', label: 'The whole tenant' },
          { value: 'agent', label: 'One agent' },
          { value: 'key', label: 'One key' },
          { value: 'user', label: 'One user, as calls name it' },
        ],
      },
      { name: 'scope_id', label: 'Which one', kind: 'text', hint: 'The agent’s id, the key’s prefix, or the user’s name. Empty for the whole tenant.' },
    ],
  },
  {
    legend: 'How much',
    fields: [
      amount,
      {
        name: 'unit',
        label: 'Counted in',
        kind: 'choice',
        options: [
          { value: 'usd', label: 'US dollars' },
          { value: 'tokens', label: 'Tokens' },
        ],
      },
      {
        name: 'window',
        label: 'For each',
        kind: 'choice',
        options: [
          { value: 'hour', label: 'Hour' },
          { value: 'day', label: 'Day' },
          { value: 'week', label: 'Week, from Monday' },
          { value: 'month', label: 'Month' },
        ],
        hint: 'Of the calendar, in UTC.',
      },
      mode,
    ],
  },
]
const changedGroups: readonly FieldGroup[] = [
  { legend: 'Change it', hint: 'What was spent stays spent. For another owner, unit or window add another budget.', fields: [amount, mode] },
]

const newValues = (): URLSearchParams => new URLSearchParams({ scope: 'tenant', unit: 'usd', window: 'month', mode: 'hard' })

async function list(visit: Visit): Promise<Reply> {
  const found = await visit.api.get<BudgetsFound>('/v1/budgets', { limit: PAGE, offset: visit.query.get('offset') })
  const costs = (by: string): Promise<CostsFound> => visit.api.get<CostsFound>('/v1/costs', { group_by: by, limit: COSTS_SHOWN })
  return view(
    'Budgets',
    budgetsPage(
      visit,
      found,
      await agentNames(visit),
      visit.may('stats:read') ? { byModel: await costs('model'), byAgent: await costs('agent'), byDay: await costs('day') } : null,
    ),
  )
}

function newBudget(visit: Visit, values: URLSearchParams, refused: Refused | null): Reply {
  const body =
    noTenantYet(visit, 'A budget') ??
    groupedForm({
      action: visit.link('/budgets'),
      groups: newGroups,
      values,
      refused,
      submit: 'Add the budget',
      cancel: visit.link('/budgets'),
      before: tenantChoice(visit, values, { refused }),
    })
  return view('Add a budget', body, { status: refused?.status ?? 200 })
}

async function create(visit: Visit): Promise<Reply> {
  const answer = await visit.api.ask<Budget>('POST', '/v1/budgets', { body: readForm(newGroups, visit.form), tenant: tenantOf(visit) })
  if (!answer.ok) return newBudget(visit, sentValues(newGroups, visit.form), answer)
  return redirect(visit.link('/budgets'), `The budget of ${allowance(answer.json)} was added. It counts what is spent from now on.`)
}

const budgetOf = (visit: Visit): Promise<Budget> => visit.api.get<Budget>(`/v1/budgets/${encodeURIComponent(visit.params.id ?? '')}`)

async function shown(visit: Visit, refused: Refused | null): Promise<Reply> {
  const budget = await budgetOf(visit)
  const agents = await agentNames(visit)
  const was = shownIn(changedGroups, budget)
  const mayWrite = visit.may('budgets:write')
  const body = html`${facts([
    ['Whose', whose(visit, budget, agents)],
    seesSeveral(visit) ? ['Tenant', tenantName(visit, budget.tenant_id)] : null,
    ['Budget', html`${allowance(budget)} ${badge(budget.mode, 'info')}`],
    ['Spent', amountOf(budget, budget.spent)],
    ['Reserved for calls under way', amountOf(budget, budget.reserved)],
    ['Left', amountOf(budget, leftOf(budget))],
    ['At this pace', pace(budget, visit.now)],
    ['Begins anew', time(budget.resets_at)],
    ['Added', time(budget.created_at)],
    ['Id', code(budget.id)],
  ])}
  ${
    mayWrite
      ? html`${groupedForm({
          action: visit.link(`/budgets/${budget.id}`),
          groups: changedGroups,
          values: refused === null ? was : sentValues(changedGroups, visit.form),
          was,
          refused,
          submit: 'Save',
          cancel: visit.link('/budgets'),
        })}
        ${heading('Delete it')}
        <p>What calls cost stays in the audit log.</p>
        ${postButton({ action: visit.link(`/budgets/${budget.id}/delete`), label: 'Delete the budget', isDangerous: true, confirm: 'Delete this budget? What calls cost stays in the audit log.' })}`
      : null
  }`
  return view('Budget', body, { status: refused?.status ?? 200 })
}

async function change(visit: Visit): Promise<Reply> {
  const budget = await budgetOf(visit)
  const answer = await visit.api.ask<Budget>('PATCH', `/v1/budgets/${budget.id}`, { body: changesIn(changedGroups, visit.form), tenant: budget.tenant_id })
  return answer.ok ? redirect(visit.link('/budgets'), `The budget is ${allowance(answer.json)} now.`) : shown(visit, answer)
}

async function remove(visit: Visit): Promise<Reply> {
  const budget = await budgetOf(visit)
  const answer = await visit.api.ask('DELETE', `/v1/budgets/${budget.id}`, { tenant: budget.tenant_id })
  return answer.ok ? redirect(visit.link('/budgets'), 'The budget was deleted.') : shown(visit, answer)
}
