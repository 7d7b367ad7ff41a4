import type { Refused } from '../api.ts'
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { heading, linkButton, pager, postButton } from '../parts/controls.ts'
import { summary } from '../parts/field-groups.ts'
import { form, textField } from '../parts/fields.ts'
import { badge, code, type Tone, time } from '../parts/figures.ts'
import { empty } from '../parts/notice.ts'
import { facts, table } from '../parts/table.ts'
import { tabs } from '../parts/tabs.ts'
import { seesSeveral, tenantCell, tenantColumn, tenantName } from '../parts/tenant-choice.ts'
import { type Agent, type Quarantine, thresholdsInWords } from './agent-fields.ts'
import { budgetTable } from './budget-table.ts'
import { limitsInWords } from './limit-fields.ts'

const tones: Readonly<Record<Agent['status'], Tone>> = { active: 'good', quarantined: 'bad', inactive: 'plain' }
const words: Readonly<Record<Agent['status'], string>> = { active: 'Active', quarantined: 'In quarantine', inactive: 'Not active' }
const state = ({ status }: Agent): Content => badge(words[status], tones[status])

interface Found {
  agents: readonly Agent[]
  total: number
  limit: number
  offset: number
}

export function agentsPage(visit: Visit, { agents, total, limit, offset }: Found, status: string | null): Content {
  const mayWrite = visit.may('agents:write')
  const filter = tabs('Agents', [
    { label: 'All', href: visit.link('/agents'), isHere: status === null || status === '' },
    ...Object.entries(words).map(([name, label]) => ({ label, href: visit.link('/agents', { status: name }), isHere: status === name })),
  ])
  return html`<p class="lead">An agent is a program that calls on its own. It has keys, limits and budgets of its own, and can be stopped without stopping others.</p>
    ${heading('Agents', mayWrite ? linkButton(visit.link('/agents/new'), 'Add an agent', { isPrimary: true }) : null)}
    ${filter}
    ${table({
      caption: 'Agents',
      columns: [
        { label: 'Agent' },
        ...tenantColumn(visit),
        { label: 'State' },
        { label: 'Limits' },
        { label: 'Models' },
        { label: 'Budgets', isNumber: true },
        { label: 'Added' },
      ],
      rows: agents.map((agent) => [
        html`<a href="${visit.link(`/agents/${agent.id}`)}">${agent.name}</a>`,
        ...tenantCell(visit, agent.tenant_id),
        state(agent),
        limitsInWords(agent.limits) || html`<span class="quiet">as the tenant gives</span>`,
        agent.allowed_models?.join(', ') ?? html`<span class="quiet">all of the tenant</span>`,
        agent.budgets.length,
        time(agent.created_at),
      ]),
      empty: empty(
        status ? 'No agent is in this state' : 'There are no agents yet',
        html`<p>Add one for each program that calls on its own: a coding agent, a crawler, a nightly job. Then issue it a key.</p>`,
      ),
    })}
    ${pager({ total, limit, offset, link: (query) => visit.link('/agents', { status, ...query }) })}`
}

export function agentPage(visit: Visit, agent: Agent, quarantines: readonly Quarantine[], refused: Refused | null): Content {
  const mayWrite = visit.may('agents:write')
  const thresholds = thresholdsInWords(agent.quarantine)
  return html`${summary(refused)}
    ${heading('What it is', mayWrite ? linkButton(visit.link(`/agents/${agent.id}/edit`), 'Change', { about: agent.name }) : null)}
    ${facts([
      ['State', state(agent)],
      ['Id', code(agent.id)],
      seesSeveral(visit) ? ['Tenant', tenantName(visit, agent.tenant_id)] : null,
      ['Limits', limitsInWords(agent.limits) || 'what the tenant gives each agent'],
      ['Models', agent.allowed_models?.join(', ') ?? 'all that the tenant may use'],
      ['Is quarantined', thresholds === '' ? 'only by a person' : `by itself: ${thresholds}; and by a person`],
      ['Added', time(agent.created_at)],
    ])}
    ${keysOf(visit, agent)}
    ${mayWrite ? stopping(visit, agent) : null}
    ${heading('Budgets')}
    ${budgetTable(visit, agent.budgets, {
      caption: 'Budgets of the agent',
      agents: new Map([[agent.id, agent.name]]),
      empty: empty('It has no budget of its own', 'What it spends counts in the tenant’s budgets all the same.'),
    })}
    ${heading('Quarantines')}
    ${table({
      caption: 'Quarantines of the agent, newest first',
      columns: [{ label: 'Since' }, { label: 'Reason' }, { label: 'By' }, { label: 'Ended' }, { label: 'Ended by' }, { label: 'Comment' }],
      rows: quarantines.map((one) => [
        time(one.created_at),
        one.reason,
        one.created_by === 'system' ? 'its thresholds' : one.created_by,
        time(one.released_at, { none: 'not yet' }),
        one.released_by ?? '–',
        one.comment ?? '–',
      ]),
      empty: empty('It was never in quarantine'),
    })}`
}

function keysOf(visit: Visit, { id, tenant_id: tenantId, name, active }: Agent): Content {
  const keys = `/tenants/${tenantId}/keys`
  return html`<div class="actions">
    ${visit.may('keys:write') && active ? linkButton(visit.link(`${keys}/new`, { agent: id }), 'Issue it a key', { about: name }) : null}
    ${visit.may('keys:read') ? linkButton(visit.link(keys), 'All keys of its tenant') : null}
  </div>`
}

/** What keeps it from calling, and what lets it call again. */
function stopping(visit: Visit, agent: Agent): Content {
  const path = (verb: string): string => visit.link(`/agents/${agent.id}/${verb}`)
  const quarantine =
    agent.status === 'quarantined'
      ? form({
          action: path('release'),
          submit: 'Release it',
          content: [
            html`<p>Its calls pass again at once. What it did before counts no more against its thresholds.</p>`,
            textField({ name: 'comment', label: 'Comment', value: visit.form.get('comment'), hint: 'What was done about it, for the record.' }),
          ],
        })
      : form({
          action: path('quarantine'),
          submit: 'Put it into quarantine',
          isDangerous: true,
          content: [
            html`<p>Every process refuses its calls within a second, until somebody releases it.</p>`,
            textField({
              name: 'reason',
              label: 'Reason',
              value: visit.form.get('reason'),
              isRequired: true,
              hint: 'For the record, and for whoever releases it.',
            }),
          ],
        })
  return html`${agent.status === 'inactive' ? null : html`${heading(agent.status === 'quarantined' ? 'Release' : 'Quarantine')}${quarantine}`}
    ${
      agent.active
        ? html`${heading('Deactivate')}<p>All its keys are revoked for good. What it did stays in the audit log.</p>
          ${postButton({ action: path('deactivate'), label: 'Deactivate', about: agent.name, isDangerous: true, confirm: `Deactivate ${agent.name} and revoke all its keys?` })}`
        : null
    }`
}
