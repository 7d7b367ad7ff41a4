import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading, linkButton, pager } from '../parts/controls.ts'
import { code, count, money } from '../parts/figures.ts'
import { empty } from '../parts/notice.ts'
import { table } from '../parts/table.ts'
import { type AgentNames, agentLink } from './agent-names.ts'
import type { Budget } from './budget-figures.ts'
import { budgetTable } from './budget-table.ts'

export interface BudgetsFound {
  budgets: Budget[]
  total: number
  limit: number
  offset: number
}

interface Figures {
  requests: number
  unpriced_requests: number
  estimated_requests: number
  input_tokens: number
  output_tokens: number
  cost_usd: string
}

export interface CostsFound {
  costs: (Figures & { model?: string | null; agent_id?: string | null; day?: string | null })[]
  totals: Figures
  total: number
  limit: number
  period: { from: string; to: string }
}

export interface Costs {
  byModel: CostsFound
  byAgent: CostsFound
  byDay: CostsFound
}

export const budgetsPage = (visit: Visit, { budgets, total, limit, offset }: BudgetsFound, agents: AgentNames, costs: Costs | null): Content =>
  html`<p class="lead">A hard budget refuses calls that it does not hold; a soft one counts, and tells when half, four fifths and all of it are spent.</p>
    ${heading('Budgets', visit.may('budgets:write') ? linkButton(visit.link('/budgets/new'), 'Add a budget', { isPrimary: true }) : null)}
    ${budgetTable(visit, budgets, {
      caption: 'Budgets, as they stand in their present windows',
      agents,
      empty: empty(
        'There are no budgets yet',
        html`<p>Without a hard budget nothing ends what is spent. A tenant’s first is often an amount of dollars for a month.</p>`,
      ),
    })}
    ${pager({ total, limit, offset, link: (query) => visit.link('/budgets', query) })}
    ${costs === null ? null : costsPart(visit, costs, agents)}`

function costsPart(visit: Visit, { byModel, byAgent, byDay }: Costs, agents: AgentNames): Content {
  const { totals, period } = byModel
  const none = empty('No calls were made in these days', html`<p>What calls cost is added up here by model and agent, from the first one on.</p>`)
  return html`${heading('What calls cost')}
    <p>From ${period.from.slice(0, 10)} until before ${period.to.slice(0, 10)} (UTC): <strong>${money(totals.cost_usd)}</strong> for ${count(totals.requests)} calls,
      ${count(totals.input_tokens)} tokens in and ${count(totals.output_tokens)} out.
      ${totals.unpriced_requests > 0 ? html`Calls that are not in the sum, because their models have no known price: ${count(totals.unpriced_requests)}.` : null}
      ${totals.estimated_requests > 0 ? html`Calls whose tokens were estimated, because no provider counted them: ${count(totals.estimated_requests)}.` : null}</p>
    ${
      totals.requests === 0
        ? none
        : html`${costTable('Costs by model', 'Model', byModel, ({ model }) => code(model))}
      ${costTable('Costs by agent', 'Agent', byAgent, ({ agent_id: id }) => (id ? agentLink(visit, id, agents) : html`<span class="quiet">no agent</span>`))}
      ${costTable('Costs by day', 'Day (UTC)', byDay, ({ day }) => day ?? '–')}`
    }`
}

const costTable = (caption: string, name: string, { costs, total, limit }: CostsFound, first: (one: CostsFound['costs'][number]) => Content): Content =>
  html`${table({
    caption,
    isCaptionShown: true,
    columns: [
      { label: name },
      { label: 'Calls', isNumber: true },
      { label: 'Tokens in', isNumber: true },
      { label: 'Tokens out', isNumber: true },
      { label: 'Cost', isNumber: true },
      { label: 'Without a price', isNumber: true },
    ],
    rows: costs.map((one) => [
      first(one),
      count(one.requests),
      count(one.input_tokens),
      count(one.output_tokens),
      money(one.cost_usd),
      count(one.unpriced_requests),
    ]),
    empty: null,
  })}
  ${total > limit ? html`<p class="quiet">The first ${limit} of ${total}. <code>GET /v1/costs</code> has all of them.</p>` : null}`
