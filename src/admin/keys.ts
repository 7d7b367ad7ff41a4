import { z } from 'zod'
import { findAgent } from '../access/agents.ts'
import { isPrefix } from '../access/key-format.ts'
import { countKeys, issueKey, KEYS_PER_TENANT_MAX, type KeyRow, listKeys, revokeKey } from '../access/key-store.ts'
import { furtherKeyScopes, tenantScopes } from '../access/scopes.ts'
import { findTenant, lockTenant } from '../access/tenants.ts'
import { Refusal } from '../errors.ts'
import { noTenant } from './credentials.ts'
import { keptLimits, limits, shownLimits } from './limit-shape.ts'
import { type AdminParts, change } from './parts.ts'
import { type Route, route } from './route.ts'
import { iso, label, listOf, moment, pageQuery, timestamp } from './shapes.ts'

const key = z.strictObject({
  prefix: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  agent_id: z.string().nullable(),
  limits,
  expires_at: timestamp.nullable(),
  created_at: timestamp,
  last_used_at: timestamp.nullable(),
  revoked_at: timestamp.nullable(),
})

const newKey = z.strictObject({
  name: label.default('key'),
  scopes: z
    .array(z.enum(tenantScopes))
    .min(1)
    .max(tenantScopes.length)
    .default([...furtherKeyScopes]),
  agent_id: z.string().max(64).nullable().default(null).meta({ description: "Whose key it is, where it is an agent's." }),
  limits: limits.default(null).meta({ description: 'Of this key; null: what the tenant gives each.' }),
  expires_at: moment.nullable().default(null),
})

const ofTenant = z.object({ id: z.string() })
const noActiveAgent = (): Refusal => new Refusal('config', 'agent_id: The tenant has no such active agent.', { context: { field: 'agent_id' } })

export function keyRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts
  const shown = (row: KeyRow): z.input<typeof key> => ({
    prefix: row.prefix,
    name: row.name,
    scopes: row.scopes,
    agent_id: row.agentId,
    limits: shownLimits(row.limits),
    expires_at: iso(row.expiresAt),
    created_at: row.createdAt.toISOString(),
    last_used_at: iso(row.lastUsedAt),
    revoked_at: iso(row.revokedAt),
  })

  return [
    route({
      method: 'GET',
      path: '/v1/tenants/{id}/keys',
      scope: 'admin',
      tenant: 'none',
      summary: "Lists a tenant's keys, newest first, revoked ones too.",
      params: ofTenant,
      query: z.strictObject(pageQuery()),
      answer: listOf('keys', key),
      async run({ params, query }) {
        if (!(await findTenant(db, params.id))) throw noTenant()
        const { rows, total } = await listKeys(db, params.id, query)
        return { keys: rows.map(shown), total, ...query }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/tenants/{id}/keys',
      scope: 'admin',
      tenant: 'none',
      summary: "Issues a key, which is shown only in this answer. Without scopes it may send calls, nothing else; with agent_id it is an agent's.",
      params: ofTenant,
      body: newKey.meta({ examples: [{ name: 'ci', scopes: ['proxy:write'] }] }),
      answer: z.strictObject({
        api_key: z.string(),
        prefix: z.string(),
        created_at: timestamp,
        name: z.string(),
        scopes: z.array(z.string()),
        agent_id: z.string().nullable(),
        limits,
        expires_at: timestamp.nullable(),
      }),
      status: 201,
      async run({ params, body, actor, requestId }) {
        if (body.expires_at !== null && body.expires_at.getTime() <= now()) {
          throw new Refusal('invalid_request', 'expires_at: Must be in the future.', { context: { field: 'expires_at' } })
        }
        const minted = await parts.keys.mint()
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const tenant = await lockTenant(tx, params.id)
          if (!tenant) throw noTenant()
          if (!tenant.active) throw new Refusal('conflict', 'The tenant is not active.')
          if (((await countKeys(tx, [params.id])).get(params.id) ?? 0) >= KEYS_PER_TENANT_MAX) {
            throw new Refusal('config', `A tenant can have at most ${KEYS_PER_TENANT_MAX} keys. Revoke some.`)
          }
          if (body.agent_id !== null && !(await findAgent(tx, params.id, body.agent_id))?.active) throw noActiveAgent()
          const issued = await issueKey(tx, params.id, minted, {
            name: body.name,
            scopes: [...new Set(body.scopes)],
            agentId: body.agent_id,
            limits: keptLimits(body.limits),
            expiresAt: body.expires_at,
          })
          return { result: issued, done: { action: 'key.create', tenantId: params.id, subject: issued.prefix, changes: [] } }
        })
        const { name, scopes } = row
        return {
          api_key: minted.key,
          prefix: row.prefix,
          created_at: row.createdAt.toISOString(),
          name,
          scopes,
          agent_id: row.agentId,
          limits: shownLimits(row.limits),
          expires_at: iso(row.expiresAt),
        }
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/tenants/{id}/keys/{prefix}',
      scope: 'admin',
      tenant: 'none',
      summary: 'Revokes a key, by the part of it that is shown (ef_live_ and 8 characters).',
      params: z.object({ id: z.string(), prefix: z.string() }),
      answer: null,
      async run({ params, actor, requestId }) {
        const noKey = (): Refusal => new Refusal('not_found', 'The tenant has no such key.')
        if (!isPrefix(params.prefix)) throw noKey()
        await change(parts, { actor, requestId }, async (tx) => {
          if (!(await findTenant(tx, params.id))) throw noTenant()
          if (!(await revokeKey(tx, params.id, params.prefix, new Date(now())))) throw noKey()
          return { result: undefined, done: { action: 'key.revoke', tenantId: params.id, subject: params.prefix, changes: ['keys'] } }
        })
      },
    }),
  ]
}
