/** Budgets as they burn down. */
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { linkButton, meter } from '../parts/controls.ts'
import { badge, code, percent, time } from '../parts/figures.ts'
import { table } from '../parts/table.ts'
import { seesSeveral, tenantName } from '../parts/tenant-choice.ts'
import { type AgentNames, agentLink } from './agent-names.ts'
import { amountOf, type Budget, leftOf, project } from './budget-figures.ts'

const scopeWords: Readonly<Record<Budget['scope'], string>> = { tenant: 'The tenant', agent: 'Agent', key: 'Key', user: 'User' }
const windowWords: Readonly<Record<Budget['window'], string>> = { hour: 'an hour', day: 'a day', week: 'a week', month: 'a month' }
const ALMOST = 0.8

export const whose = (visit: Visit, { scope, scope_id: id, tenant_id: tenantId }: Budget, agents: AgentNames): Content =>
  scope === 'tenant' ? `All of ${tenantName(visit, tenantId)}` : [scopeWords[scope], ' ', scope === 'agent' ? agentLink(visit, id, agents) : code(id)]

export const allowance = (budget: Budget): string => `${amountOf(budget, budget.amount)} ${windowWords[budget.window]}`

interface BudgetTable {
  caption: string
  agents: AgentNames
  empty: Content
}

export function budgetTable(visit: Visit, budgets: readonly Budget[], { caption, agents, empty }: BudgetTable): Content {
  const mayWrite = visit.may('budgets:write')
  return table({
    caption,
    columns: [
      { label: 'Whose' },
      { label: 'Used' },
      { label: 'Budget' },
      { label: 'Left', isNumber: true },
      { label: 'At this pace' },
      ...(mayWrite ? [{ label: 'Actions', isQuiet: true }] : []),
    ],
    rows: budgets.map((budget) => [
      html`${whose(visit, budget, agents)}${budget.scope !== 'tenant' && seesSeveral(visit) ? html`<br><span class="quiet">${tenantName(visit, budget.tenant_id)}</span>` : null}`,
      used(budget),
      html`${allowance(budget)} ${badge(budget.mode, budget.mode === 'hard' ? 'info' : 'plain')}<br><span class="quiet">anew ${time(budget.resets_at)}</span>`,
      amountOf(budget, leftOf(budget)),
      pace(budget, visit.now),
      ...(mayWrite ? [linkButton(visit.link(`/budgets/${budget.id}`), 'Change', { about: `the budget of ${budget.scope} ${budget.scope_id}` })] : []),
    ]),
    empty,
  })
}

function used(budget: Budget): Content {
  const { amount, spent, reserved, mode } = budget
  const share = amount > 0 ? (spent + reserved) / amount : 1
  const label = `${percent(share)} used of ${amountOf(budget, amount)}`
  return html`<span class="burn">${meter({ label, value: spent + reserved, of: amount, isBad: share >= 1 })} ${share >= 1 ? badge('spent', 'bad') : share >= ALMOST ? badge(percent(share), 'warning') : percent(share)}</span>
    ${amountOf(budget, spent)} spent${mode === 'hard' && reserved > 0 ? `, ${amountOf(budget, reserved)} reserved` : ''}`
}

export function pace(budget: Budget, now: Date): Content {
  const { spent, usedUpAt } = project(budget, now)
  if (spent === null) return html`<span class="quiet">too early to tell</span>`
  if (budget.spent === 0) return html`<span class="quiet">nothing is spent</span>`
  const sum = `${amountOf(budget, budget.unit === 'tokens' ? Math.round(spent) : spent)} by then`
  return usedUpAt === null ? sum : html`${sum}, used up about ${time(usedUpAt)}`
}
