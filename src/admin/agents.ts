import { z } from 'zod'
import {
  AGENTS_PER_TENANT_MAX,
  type AgentFields,
  type AgentRow,
  agentStatuses,
  changeAgent,
  countAgents,
  findAgent,
  insertAgent,
  listAgents,
  statusOf,
  WINDOW_SECONDS_DEFAULT,
} from '../access/agents.ts'
import { revokeAllKeys } from '../access/key-store.ts'
import { lockTenant } from '../access/tenants.ts'
import type { Tx } from '../db/connect.ts'
import type { QuarantineFields } from '../db/schema.ts'
import { Refusal } from '../errors.ts'
import { budget, budgetsOfAgents } from './budget-shape.ts'
import { keptLimits, limits, shownLimits, upTo } from './limit-shape.ts'
import { type AdminParts, change } from './parts.ts'
import { ignored } from './read-only.ts'
import { type Route, route } from './route.ts'
import { label, listOf, modelPatterns, pageQuery, timestamp } from './shapes.ts'

const THRESHOLD_MAX = 100_000
const SPEND_FACTOR_MAX = 1_000
const WINDOW_SECONDS_MIN = 60
const WINDOW_SECONDS_MAX = 86_400

const threshold = (of: string) =>
  upTo(THRESHOLD_MAX)
    .nullable()
    .meta({ description: `More ${of} than so many; null: never for this.` })
const quarantine = z
  .strictObject({
    blocks: threshold('calls that a rule blocked'),
    errors: threshold('calls that failed or that nobody could answer (400 and above without 429)'),
    repeats: threshold('calls with the same prompt'),
    spend_factor: z
      .number()
      .gt(1)
      .max(SPEND_FACTOR_MAX)
      .nullable()
      .meta({ description: 'More than so many times what it spends in an ordinary window; null: never for this.' }),
    window_seconds: z.number().int().min(WINDOW_SECONDS_MIN).max(WINDOW_SECONDS_MAX).meta({ default: WINDOW_SECONDS_DEFAULT }),
  })
  .partial()
  .nullable()

const fields = {
  name: label,
  limits: limits.meta({ description: 'Of all its calls together; null: what the tenant gives each agent.' }),
  allowed_models: modelPatterns.nullable().meta({ description: 'Patterns such as gpt-*, within what the tenant may use; null: all of that.' }),
  quarantine: quarantine.meta({ description: 'When it is quarantined by itself: so many in a window of time; null: never. Sent, it replaces what was.' }),
  active: z.boolean().meta({ description: 'Keys of an agent that is not active open nothing.' }),
}

/** Only answers say them. They may be sent, so that what a GET answered can be sent back. */
const said = { id: ignored, tenant_id: ignored, status: ignored, budgets: ignored, created_at: ignored }

const agent = z.strictObject({
  id: z.string(),
  tenant_id: z.string(),
  ...fields,
  status: z.enum(agentStatuses).meta({ description: 'A quarantined agent may make no calls until somebody releases it.' }),
  budgets: z.array(budget),
  created_at: timestamp,
})
const newAgent = z.strictObject({
  ...said,
  name: fields.name,
  limits: fields.limits.default(null),
  allowed_models: fields.allowed_models.default(null),
  quarantine: fields.quarantine.default(null),
  active: fields.active.default(true),
})
const changedAgent = z.strictObject({ ...said, ...fields }).partial()

const one = z.object({ id: z.string() })
const noAgent = (): Refusal => new Refusal('not_found', 'There is no such agent.')

export function agentRoutes(parts: AdminParts): Route[] {
  const { db, now, hashPrompts } = parts
  const shown = async (rows: readonly AgentRow[], tenantId: string | null): Promise<z.input<typeof agent>[]> => {
    const ids = rows.map(({ id }) => id)
    const budgets = await budgetsOfAgents(db, tenantId, ids, now())
    return rows.map((row) => ({ ...plain(row), budgets: budgets.get(row.id) ?? [] }))
  }
  const shownOne = async (row: AgentRow): Promise<z.input<typeof agent>> => (await shown([row], row.tenantId))[0]

  return [
    route({
      method: 'GET',
      path: '/v1/agents',
      scope: 'any',
      tenant: 'optional',
      summary: "Lists agents, newest first. A tenant's key sees its own tenant's.",
      query: z.strictObject({ ...pageQuery(), status: z.enum(agentStatuses).optional() }),
      answer: listOf('agents', agent),
      async run({ tenantId, query }) {
        const { rows, total } = await listAgents(db, tenantId, query)
        return { agents: await shown(rows, tenantId), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/agents',
      scope: 'agents:write',
      tenant: 'required',
      summary: 'Adds an agent. Its keys are issued with POST /v1/tenants/{id}/keys, naming it as agent_id.',
      body: newAgent.meta({ examples: [{ name: 'crawler', limits: { max_requests_per_minute: 60 }, quarantine: { blocks: 10, window_seconds: 600 } }] }),
      answer: agent,
      status: 201,
      async run({ tenantId, body, actor, requestId }) {
        const row = await change(parts, { actor, requestId }, async (tx) => {
          await lockTenant(tx, tenantId)
          if (body.active) await refuseTooMany(tx, tenantId)
          const made = await insertAgent(tx, tenantId, { ...toFields(body, hashPrompts), name: body.name })
          return { result: made, done: { action: 'agent.create', tenantId, subject: made.id, changes: ['keys'] } }
        })
        return shownOne(row)
      },
    }),

    route({
      method: 'GET',
      path: '/v1/agents/{id}',
      scope: 'any',
      tenant: 'optional',
      summary: "One agent. A tenant's key may read its own tenant's.",
      params: one,
      answer: agent,
      async run({ tenantId, params }) {
        const row = await findAgent(db, tenantId, params.id)
        if (!row) throw noAgent()
        return shownOne(row)
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/agents/{id}',
      scope: 'agents:write',
      tenant: 'required',
      summary: 'Changes what is named. active false stops its keys until it is true again.',
      params: one,
      body: changedAgent.meta({ examples: [{ allowed_models: ['gpt-*'] }] }),
      answer: agent,
      async run({ tenantId, params, body, actor, requestId }) {
        const row = await change(parts, { actor, requestId }, async (tx) => {
          await lockTenant(tx, tenantId)
          if (body.active && (await findAgent(tx, tenantId, params.id))?.active === false) await refuseTooMany(tx, tenantId)
          const after = await changeAgent(tx, tenantId, params.id, toFields(body, hashPrompts))
          if (!after) throw noAgent()
          return { result: after, done: { action: 'agent.update', tenantId, subject: params.id, changes: ['keys'] } }
        })
        return shownOne(row)
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/agents/{id}',
      scope: 'agents:write',
      tenant: 'required',
      summary: 'Deactivates an agent and revokes all its keys. What it did stays in the audit log.',
      params: one,
      answer: null,
      async run({ tenantId, params, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          await lockTenant(tx, tenantId) // nobody issues it a key meanwhile
          if (!(await changeAgent(tx, tenantId, params.id, { active: false }))) throw noAgent()
          await revokeAllKeys(tx, tenantId, new Date(now()), params.id)
          return { result: undefined, done: { action: 'agent.delete', tenantId, subject: params.id, changes: ['keys'] } }
        })
      },
    }),
  ]
}

async function refuseTooMany(tx: Tx, tenantId: string): Promise<void> {
  if ((await countAgents(tx, tenantId)) < AGENTS_PER_TENANT_MAX) return
  throw new Refusal('config', `A tenant can have at most ${AGENTS_PER_TENANT_MAX} active agents. Delete some.`)
}

/** What was sent, as columns; what was left out stays out. */
function toFields({ name, limits, allowed_models, quarantine, active }: z.output<typeof changedAgent>, hashPrompts: boolean): Partial<AgentFields> {
  return {
    ...(name !== undefined && { name }),
    ...(limits !== undefined && { limits: keptLimits(limits) }),
    ...(allowed_models !== undefined && { allowedModels: allowed_models }),
    ...(quarantine !== undefined && { quarantine: watchable(allOf(quarantine), hashPrompts) }),
    ...(active !== undefined && { active }),
  }
}

const thresholds = ['blocks', 'errors', 'repeats', 'spend_factor'] as const

/** With every member; null where there is no threshold, for then there is nothing to watch. */
const allOf = (fields: z.output<typeof quarantine> | QuarantineFields): QuarantineFields | null =>
  fields && thresholds.some((name) => (fields[name] ?? null) !== null)
    ? {
        blocks: fields.blocks ?? null,
        errors: fields.errors ?? null,
        repeats: fields.repeats ?? null,
        spend_factor: fields.spend_factor ?? null,
        window_seconds: fields.window_seconds ?? WINDOW_SECONDS_DEFAULT,
      }
    : null

function watchable(fields: QuarantineFields | null, hashPrompts: boolean): QuarantineFields | null {
  if (fields?.repeats == null || hashPrompts) return fields
  const problem = 'AUDIT_HASH_PROMPTS is false: without hashes nobody sees that a prompt repeats. Leave repeats out, or keep hashes.'
  throw new Refusal('config', problem, { context: { field: 'quarantine.repeats' } })
}

const plain = (row: AgentRow): Omit<z.input<typeof agent>, 'budgets'> => ({
  id: row.id,
  tenant_id: row.tenantId,
  name: row.name,
  limits: shownLimits(row.limits),
  allowed_models: row.allowedModels,
  quarantine: row.quarantine && allOf(row.quarantine),
  active: row.active,
  status: statusOf(row),
  created_at: row.createdAt.toISOString(),
})
