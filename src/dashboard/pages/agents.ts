/** Agents: programs that call on their own, and what stops them. */
import type { Refused } from '../api.ts'
import type { Content } from '../html.ts'
import { type Page, type Reply, redirect, type Visit, view } from '../page.ts'
import { groupedForm, sentValues } from '../parts/field-groups.ts'
import { changesIn, readForm, shownIn, wasIn } from '../parts/form-fields.ts'
import { noTenantYet, tenantChoice, tenantOf } from '../parts/tenant-choice.ts'
import { type Agent, agentGroups, newAgentValues, QUARANTINES_SHOWN, type Quarantine } from './agent-fields.ts'
import { agentPage, agentsPage } from './agents-view.ts'
import { only } from './only.ts'

const PAGE = 50

interface Agents {
  agents: Agent[]
  total: number
  limit: number
  offset: number
}

export const agentPages: readonly Page[] = [
  { path: '/agents', nav: { label: 'Agents', group: 'Govern', scope: 'rules:read' }, get: list, post: create },
  { path: '/agents/new', get: only('agents:write', async (visit) => newAgent(visit, newAgentValues(), null)) },
  { path: '/agents/:id', get: async (visit) => shown(visit, null) },
  { path: '/agents/:id/edit', get: only('agents:write', edit), post: change },
  { path: '/agents/:id/quarantine', post: quarantine },
  { path: '/agents/:id/release', post: release },
  { path: '/agents/:id/deactivate', post: deactivate },
]

async function list(visit: Visit): Promise<Reply> {
  const status = visit.query.get('status')
  const found = await visit.api.get<Agents>('/v1/agents', { limit: PAGE, offset: visit.query.get('offset'), status })
  return view('Agents', agentsPage(visit, found, status))
}

function newAgent(visit: Visit, values: URLSearchParams, refused: Refused | null): Reply {
  const body =
    noTenantYet(visit, 'An agent') ??
    groupedForm({
      action: visit.link('/agents'),
      groups: agentGroups(false),
      values,
      refused,
      submit: 'Add the agent',
      cancel: visit.link('/agents'),
      before: tenantChoice(visit, values, { refused }),
    })
  return view('Add an agent', body, { status: refused?.status ?? 200 })
}

async function create(visit: Visit): Promise<Reply> {
  const groups = agentGroups(false)
  const answer = await visit.api.ask<Agent>('POST', '/v1/agents', { body: readForm(groups, visit.form), tenant: tenantOf(visit) })
  if (!answer.ok) return newAgent(visit, sentValues(groups, visit.form), answer)
  return redirect(visit.link(`/agents/${answer.json.id}`), `${answer.json.name} was added. Issue a key for it next.`)
}

const agentOf = (visit: Visit): Promise<Agent> => visit.api.get<Agent>(`/v1/agents/${encodeURIComponent(visit.params.id ?? '')}`)

async function shown(visit: Visit, refused: Refused | null): Promise<Reply> {
  const agent = await agentOf(visit)
  const { quarantines } = await visit.api.get<{ quarantines: Quarantine[] }>('/v1/quarantine', { agent_id: agent.id, limit: QUARANTINES_SHOWN })
  return view(agent.name, agentPage(visit, agent, quarantines, refused), { status: refused?.status ?? 200 })
}

async function edit(visit: Visit): Promise<Reply> {
  const agent = await agentOf(visit)
  const values = shownIn(agentGroups(true), agent)
  return view(`Change ${agent.name}`, editForm(visit, agent, { values, was: values, refused: null }))
}

const editForm = (visit: Visit, agent: Agent, { values, was, refused }: { values: URLSearchParams; was: URLSearchParams; refused: Refused | null }): Content =>
  groupedForm({
    action: visit.link(`/agents/${agent.id}/edit`),
    groups: agentGroups(true),
    values,
    was,
    refused,
    submit: 'Save',
    cancel: visit.link(`/agents/${agent.id}`),
  })

async function change(visit: Visit): Promise<Reply> {
  const agent = await agentOf(visit)
  const groups = agentGroups(true)
  const answer = await visit.api.ask<Agent>('PATCH', `/v1/agents/${agent.id}`, { body: changesIn(groups, visit.form), tenant: agent.tenant_id })
  if (answer.ok) return redirect(visit.link(`/agents/${agent.id}`), `${answer.json.name} was changed.`)
  const was = wasIn(visit.form)
  return view(`Change ${agent.name}`, editForm(visit, agent, { values: sentValues(groups, visit.form), was, refused: answer }), { status: answer.status })
}

async function quarantine(visit: Visit): Promise<Reply> {
  const agent = await agentOf(visit)
  const body = { agent_id: agent.id, reason: visit.form.get('reason') ?? '' }
  const answer = await visit.api.ask('POST', '/v1/quarantine', { body, tenant: agent.tenant_id })
  return answer.ok ? redirect(visit.link(`/agents/${agent.id}`), `${agent.name} is in quarantine: its calls are refused.`) : shown(visit, answer)
}

async function release(visit: Visit): Promise<Reply> {
  const agent = await agentOf(visit)
  const body = { comment: (visit.form.get('comment') ?? '').trim() || null }
  const answer = await visit.api.ask('POST', `/v1/quarantine/${agent.id}/release`, { body, tenant: agent.tenant_id })
  return answer.ok ? redirect(visit.link(`/agents/${agent.id}`), `${agent.name} was released: its calls pass again.`) : shown(visit, answer)
}

async function deactivate(visit: Visit): Promise<Reply> {
  const agent = await agentOf(visit)
  const answer = await visit.api.ask('DELETE', `/v1/agents/${agent.id}`, { tenant: agent.tenant_id })
  return answer.ok ? redirect(visit.link(`/agents/${agent.id}`), `${agent.name} was deactivated, and its keys revoked.`) : shown(visit, answer)
}
