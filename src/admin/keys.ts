import { z } from 'zod'
import { findAgent } from '../access/agents.ts'
import { isCertificateName } from '../access/certificate-names.ts'
import { isPrefix } from '../access/key-format.ts'
import {
  CERTIFICATE_INDEX,
  changeKey,
  countKeys,
  issueKey,
  KEYS_PER_TENANT_MAX,
  type KeyChange,
  type KeyRow,
  listKeys,
  revokeKey,
} from '../access/key-store.ts'
import { isNetwork } from '../access/networks.ts'
import { furtherKeyScopes, tenantScopes } from '../access/scopes.ts'
import { findTenant, lockTenant } from '../access/tenants.ts'
import { violatedUnique } from '../db/unavailable.ts'
import { Refusal } from '../errors.ts'
import { may, noTenant } from './credentials.ts'
import { keptLimits, limits, shownLimits } from './limit-shape.ts'
import { type AdminParts, change } from './parts.ts'
import { type Route, reachOf, route } from './route.ts'
import { iso, label, listOf, modelPatterns, moment, pageQuery, timestamp } from './shapes.ts'

const ADDRESSES_MAX = 100

const fields = {
  name: label,
  limits: limits.meta({ description: 'Of this key; null: what the tenant gives each.' }),
  allowed_addresses: z
    .array(z.string().max(64).refine(isNetwork, 'Must be an address or a network such as 10.0.0.0/8.'))
    .min(1)
    .max(ADDRESSES_MAX)
    .nullable()
    .meta({ description: 'Addresses and networks it may be used from; null: anywhere.' }),
  allowed_models: modelPatterns.nullable().meta({ description: 'Patterns such as gpt-*, within what its tenant and its agent may use; null: all of that.' }),
  expires_at: moment.nullable(),
}
const certificate = z.string().refine(isCertificateName, 'Must be a name in a certificate, as uri:…, dns:…, email:… or cn:…').nullable().meta({
  description:
    'A name in a client certificate, exactly as the certificate has it: uri:spiffe://example.com/robot, dns:robot.example.com, email:robot@example.com, or cn:robot. The key is then good with such a certificate only, and the certificate alone does what the key does. Null: none is asked for.',
})

const key = z.strictObject({
  prefix: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  agent_id: z.string().nullable(),
  limits: fields.limits,
  allowed_addresses: z.array(z.string()).nullable(),
  allowed_models: z.array(z.string()).nullable(),
  client_certificate: z.string().nullable(),
  successor: z.string().nullable().meta({ description: 'The prefix of the key that takes its place, where it was rotated.' }),
  expires_at: timestamp.nullable(),
  created_at: timestamp,
  last_used_at: timestamp.nullable(),
  revoked_at: timestamp.nullable(),
})

const newKey = z.strictObject({
  name: fields.name.default('key'),
  scopes: z
    .array(z.enum(tenantScopes))
    .min(1)
    .max(tenantScopes.length)
    .default([...furtherKeyScopes]),
  agent_id: z.string().max(64).nullable().default(null).meta({ description: "Whose key it is, where it is an agent's." }),
  limits: fields.limits.default(null),
  allowed_addresses: fields.allowed_addresses.default(null),
  allowed_models: fields.allowed_models.default(null),
  client_certificate: certificate.default(null),
  expires_at: fields.expires_at.default(null),
})
const changedKey = z.strictObject(fields).partial()

const ofTenant = z.object({ id: z.string() })
const ofKey = z.object({ id: z.string(), prefix: z.string() })
const noKey = (): Refusal => new Refusal('not_found', 'The tenant has no such key.')
const noActiveAgent = (): Refusal => new Refusal('config', 'agent_id: The tenant has no such active agent.', { context: { field: 'agent_id' } })

export function keyRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts
  const shown = (row: KeyRow): z.input<typeof key> => ({
    prefix: row.prefix,
    name: row.name,
    scopes: row.scopes,
    agent_id: row.agentId,
    limits: shownLimits(row.limits),
    allowed_addresses: row.allowedAddresses,
    allowed_models: row.allowedModels,
    client_certificate: row.clientCertificate,
    successor: row.successor,
    expires_at: iso(row.expiresAt),
    created_at: row.createdAt.toISOString(),
    last_used_at: iso(row.lastUsedAt),
    revoked_at: iso(row.revokedAt),
  })

  return [
    route({
      method: 'GET',
      path: '/v1/tenants/{id}/keys',
      scope: 'keys:read',
      tenant: 'path',
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
      scope: 'keys:write',
      tenant: 'path',
      summary: "Issues a key, which is shown only in this answer. Without scopes it may send calls, nothing else; with agent_id it is an agent's.",
      params: ofTenant,
      body: newKey.meta({ examples: [{ name: 'ci', scopes: ['proxy:write'] }] }),
      answer: key.omit({ successor: true, last_used_at: true, revoked_at: true }).extend({ api_key: z.string() }),
      status: 201,
      async run({ params, body, actor, requestId }) {
        refusePast(body.expires_at)
        // Names in certificates are one space for all tenants: whoever took another's would stand for it.
        if (body.client_certificate !== null && reachOf(actor) !== null) {
          throw new Refusal('forbidden', 'client_certificate: Only who administers the installation binds keys to certificates.', {
            context: { field: 'client_certificate' },
          })
        }
        const beyond = body.scopes.find((scope) => scope !== 'proxy:write' && !may(actor, scope))
        if (beyond !== undefined)
          throw new Refusal('forbidden', `Nobody gives away what they may not do themselves: ${beyond}.`, { context: { scope: beyond } })
        const minted = await parts.keys.mint()
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const tenant = await lockTenant(tx, params.id)
          if (!tenant) throw noTenant()
          if (!tenant.active) throw new Refusal('conflict', 'The tenant is not active.')
          if (((await countKeys(tx, [params.id], new Date(now()))).get(params.id) ?? 0) >= KEYS_PER_TENANT_MAX) {
            throw new Refusal('config', `A tenant can have at most ${KEYS_PER_TENANT_MAX} keys that can be used. Revoke some.`)
          }
          if (body.agent_id !== null && !(await findAgent(tx, params.id, body.agent_id))?.active) throw noActiveAgent()
          const issued = await issueKey(tx, params.id, minted, {
            name: body.name,
            scopes: [...new Set(body.scopes)],
            agentId: body.agent_id,
            limits: keptLimits(body.limits),
            allowedAddresses: body.allowed_addresses,
            allowedModels: body.allowed_models,
            clientCertificate: body.client_certificate,
            expiresAt: body.expires_at,
          }).catch((error: unknown) => {
            throw violatedUnique(error) === CERTIFICATE_INDEX ? certificateTaken() : error
          })
          // A certificate that nobody knew until now is asked about again.
          const changes = body.client_certificate === null ? [] : (['keys'] as const)
          return { result: issued, done: { action: 'key.create', tenantId: params.id, subject: issued.prefix, changes } }
        })
        const { successor: _, last_used_at: __, revoked_at: ___, ...told } = shown(row)
        return { api_key: minted.key, ...told }
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/tenants/{id}/keys/{prefix}',
      scope: 'keys:write',
      tenant: 'path',
      summary: 'Changes what is named of a key, by the part of it that is shown. What it may do (scopes), whose it is and its certificate stay.',
      params: ofKey,
      body: changedKey.meta({ examples: [{ allowed_addresses: ['10.0.0.0/8'], expires_at: '2030-01-01T00:00:00Z' }] }),
      answer: key,
      async run({ params, body, actor, requestId }) {
        refusePast(body.expires_at ?? null)
        if (!isPrefix(params.prefix)) throw noKey()
        const row = await change(parts, { actor, requestId }, async (tx) => {
          if (!(await findTenant(tx, params.id))) throw noTenant()
          const after = await changeKey(tx, params.id, params.prefix, toFields(body), new Date(now()))
          if (!after) throw noKey()
          if (after.revokedAt !== null) throw new Refusal('conflict', 'The key is revoked.')
          if (after.successor !== null) throw new Refusal('conflict', `The key has a successor, ${after.successor}: change that one.`)
          if (after.expiresAt !== null && after.expiresAt.getTime() <= now()) throw new Refusal('conflict', 'The key has expired: issue another one.')
          return { result: after, done: { action: 'key.update', tenantId: params.id, subject: params.prefix, changes: ['keys'] } }
        })
        return shown(row)
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/tenants/{id}/keys/{prefix}',
      scope: 'keys:write',
      tenant: 'path',
      summary: 'Revokes a key, by the part of it that is shown (ef_live_ and 8 characters).',
      params: ofKey,
      answer: null,
      async run({ params, actor, requestId }) {
        if (!isPrefix(params.prefix)) throw noKey()
        await change(parts, { actor, requestId }, async (tx) => {
          if (!(await findTenant(tx, params.id))) throw noTenant()
          if (!(await revokeKey(tx, params.id, params.prefix, new Date(now())))) throw noKey()
          return { result: undefined, done: { action: 'key.revoke', tenantId: params.id, subject: params.prefix, changes: ['keys'] } }
        })
      },
    }),
  ]

  function refusePast(expiresAt: Date | null): void {
    if (expiresAt === null || expiresAt.getTime() > now()) return
    throw new Refusal('invalid_request', 'expires_at: Must be in the future.', { context: { field: 'expires_at' } })
  }
}

const certificateTaken = (): Refusal =>
  new Refusal('conflict', 'Another key that is not revoked has this certificate.', { context: { field: 'client_certificate' } })

/** What was sent, as columns; what was left out stays out. */
const toFields = ({ name, limits, allowed_addresses, allowed_models, expires_at }: z.output<typeof changedKey>): KeyChange => ({
  ...(name !== undefined && { name }),
  ...(limits !== undefined && { limits: keptLimits(limits) }),
  ...(allowed_addresses !== undefined && { allowedAddresses: allowed_addresses }),
  ...(allowed_models !== undefined && { allowedModels: allowed_models }),
  ...(expires_at !== undefined && { expiresAt: expires_at }),
})
