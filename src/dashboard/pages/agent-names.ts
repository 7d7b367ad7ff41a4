/** The names of agents, for pages that know their ids. */
import { type Content, html } from '../html.ts'
import type { Visit } from '../page.ts'
import { code } from '../parts/figures.ts'

/** As many as are asked for; who has more sees the ids of the others. */
const AGENTS_MAX = 1_000

export type AgentNames = ReadonlyMap<string, string>

/** Of `tenant`, or of whose affairs are shown. */
export async function agentNames(visit: Visit, tenant: string | null = visit.tenantId): Promise<AgentNames> {
  const { agents } = await visit.api.get<{ agents: { id: string; name: string }[] }>('/v1/agents', { limit: AGENTS_MAX }, { tenant })
  return new Map(agents.map(({ id, name }) => [id, name]))
}

/** A link to an agent, by its name. */
export const agentLink = (visit: Visit, id: string, names: AgentNames): Content =>
  html`<a href="${visit.link(`/agents/${encodeURIComponent(id)}`)}">${names.get(id) ?? code(id)}</a>`
