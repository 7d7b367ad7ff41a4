import { z } from 'zod'
import { findAgent } from '../access/agents.ts'
import { findOpenQuarantine, listQuarantines, openQuarantine, type QuarantineRow, quarantineStatuses, releaseQuarantine } from '../access/quarantines.ts'
import { lockTenant } from '../access/tenants.ts'
import { Refusal } from '../errors.ts'
import { type AdminParts, change } from './parts.ts'
import { nameOf, type Route, route } from './route.ts'
import { iso, listOf, pageQuery, sentence, timestamp } from './shapes.ts'

const quarantine = z.strictObject({
  id: z.string(),
  tenant_id: z.string(),
  agent_id: z.string(),
  reason: z.string(),
  created_by: z.string().meta({ description: 'Who quarantined it; "system": a threshold of the agent.' }),
  created_at: timestamp,
  released_by: z.string().nullable(),
  released_at: timestamp.nullable(),
  comment: z.string().nullable(),
})

export function quarantineRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts

  return [
    route({
      method: 'GET',
      path: '/v1/quarantine',
      scope: 'any',
      tenant: 'optional',
      summary: "Lists quarantines, newest first, released ones too. A tenant's key sees its own tenant's.",
      query: z.strictObject({ ...pageQuery(), status: z.enum(quarantineStatuses).optional(), agent_id: z.string().max(64).optional() }),
      answer: listOf('quarantines', quarantine),
      async run({ tenantId, query: { agent_id: agentId, ...query } }) {
        const { rows, total } = await listQuarantines(db, tenantId, { ...query, agentId })
        return { quarantines: rows.map(shown), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/quarantine',
      scope: 'agents:write',
      tenant: 'required',
      summary: 'Quarantines an agent: every process refuses its calls within a second, until somebody releases it.',
      body: z.strictObject({ agent_id: z.string().max(64), reason: sentence }).meta({
        examples: [{ agent_id: 'agent_01example', reason: 'It sends the same question again and again.' }],
      }),
      answer: quarantine,
      status: 201,
      async run({ tenantId, body: { agent_id: agentId, reason }, actor, requestId }) {
        const row = await change(parts, { actor, requestId }, async (tx) => {
          await lockTenant(tx, tenantId)
          if (!(await findAgent(tx, tenantId, agentId)))
            throw new Refusal('config', 'agent_id: The tenant has no such agent.', { context: { field: 'agent_id' } })
          const opened = await openQuarantine(tx, { tenantId, agentId, reason, createdBy: nameOf(actor), createdAt: new Date(now()) })
          if (!opened) {
            const open = await findOpenQuarantine(tx, tenantId, agentId)
            throw new Refusal('conflict', 'The agent is in quarantine already.', { context: { quarantine_id: open?.id } })
          }
          return { result: opened, done: { action: 'agent.quarantine', tenantId, subject: agentId, changes: ['keys'] } }
        })
        return shown(row)
      },
    }),

    route({
      method: 'POST',
      path: '/v1/quarantine/{id}/release',
      scope: 'agents:write',
      tenant: 'required',
      summary: "Ends a quarantine, by its id or its agent's. What the agent did before counts no more against its thresholds.",
      params: z.object({ id: z.string() }),
      body: z.strictObject({ comment: sentence.nullable().default(null) }).meta({ examples: [{ comment: 'The loop is fixed.' }] }),
      answer: quarantine,
      async run({ tenantId, params, body: { comment }, actor, requestId }) {
        const row = await change(parts, { actor, requestId }, async (tx) => {
          await lockTenant(tx, tenantId)
          const ended = await releaseQuarantine(tx, tenantId, params.id, { releasedBy: nameOf(actor), releasedAt: new Date(now()), comment })
          if (!ended) throw new Refusal('not_found', 'There is no such quarantine, and no agent of this id that is in one.')
          if (!ended.released) throw new Refusal('conflict', 'The quarantine has been ended already.')
          return { result: ended.row, done: { action: 'agent.release', tenantId, subject: ended.row.agentId, changes: ['keys'] } }
        })
        return shown(row)
      },
    }),
  ]
}

const shown = (row: QuarantineRow): z.input<typeof quarantine> => ({
  id: row.id,
  tenant_id: row.tenantId,
  agent_id: row.agentId,
  reason: row.reason,
  created_by: row.createdBy,
  created_at: row.createdAt.toISOString(),
  released_by: row.releasedBy,
  released_at: iso(row.releasedAt),
  comment: row.comment,
})
