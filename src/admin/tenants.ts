import { z } from 'zod'
import { countKeys, revokeAllKeys } from '../access/key-store.ts'
import { changeTenant, findTenant, listTenants, lockTenant, type TenantFields, type TenantRow } from '../access/tenants.ts'
import { Refusal } from '../errors.ts'
import { swapPreset } from '../rules/apply-preset.ts'
import { presets } from '../rules/presets.ts'
import { createTenant } from './create-tenant.ts'
import { noTenant } from './credentials.ts'
import { type AdminParts, change } from './parts.ts'
import { nameOf, type Route, route } from './route.ts'
import { flag, label, listOf, modelPatterns, pageQuery, timestamp } from './shapes.ts'

const RPM_MAX = 1_000_000_000

const tenant = z.strictObject({
  tenant_id: z.string(),
  name: z.string(),
  rules_preset: z.string().nullable(),
  max_requests_per_minute: z.number().int(),
  allowed_models: z.array(z.string()).nullable(),
  contact_email: z.string().nullable(),
  active: z.boolean(),
  created_at: timestamp,
  api_key_count: z.number().int(),
})

const fields = {
  name: label,
  rules_preset: z.string().max(64).nullable(),
  /** Null takes the installation's default. */
  max_requests_per_minute: z.number().int().min(1).max(RPM_MAX).nullable(),
  allowed_models: modelPatterns.nullable(),
  contact_email: z.email().max(254).nullable(),
}

const newTenant = z.strictObject({
  name: fields.name,
  rules_preset: fields.rules_preset.default('default'),
  max_requests_per_minute: fields.max_requests_per_minute.default(null),
  allowed_models: fields.allowed_models.default(null),
  contact_email: fields.contact_email.default(null),
})
const changedTenant = z.strictObject({ ...fields, active: z.boolean() }).partial()

const one = z.object({ id: z.string() })

export function tenantRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts
  const shown = (row: TenantRow, keys: number): z.input<typeof tenant> => ({
    tenant_id: row.id,
    name: row.name,
    rules_preset: row.rulesPreset,
    max_requests_per_minute: row.maxRequestsPerMinute ?? parts.defaultRequestsPerMinute,
    allowed_models: row.allowedModels,
    contact_email: row.contactEmail,
    active: row.active,
    created_at: row.createdAt.toISOString(),
    api_key_count: keys,
  })
  const keysOf = async (id: string): Promise<number> => (await countKeys(db, [id])).get(id) ?? 0
  const checkPreset = (preset: string | null | undefined): void => {
    if (preset === null || preset === undefined || Object.hasOwn(presets, preset)) return
    throw new Refusal('config', `There is no such preset. Known: ${Object.keys(presets).join(', ')}.`, { context: { field: 'rules_preset' } })
  }

  return [
    route({
      method: 'GET',
      path: '/v1/tenants',
      scope: 'admin',
      tenant: 'none',
      summary: 'Lists the tenants, newest first.',
      query: z.strictObject({ ...pageQuery(), active: flag.optional() }),
      answer: listOf('tenants', tenant),
      async run({ query }) {
        const { rows, total } = await listTenants(db, query)
        const keys = await countKeys(
          db,
          rows.map(({ id }) => id),
        )
        return { tenants: rows.map((row) => shown(row, keys.get(row.id) ?? 0)), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/tenants',
      scope: 'admin',
      tenant: 'none',
      summary: 'Creates a tenant with its first key, which is shown only in this answer, and the rules of a preset (null: none).',
      body: newTenant,
      answer: tenant.extend({ api_key: z.string() }),
      status: 201,
      async run({ body, actor, requestId }) {
        checkPreset(body.rules_preset)
        const created = await createTenant(parts, { actor, requestId }, { ...toFields(body), name: body.name } as TenantFields)
        return { ...shown(created.tenant, 1), api_key: created.apiKey }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/tenants/{id}',
      scope: 'any',
      tenant: 'none',
      summary: "One tenant. A tenant's key may read its own.",
      params: one,
      answer: tenant,
      async run({ params, actor }) {
        if (actor.kind === 'key' && actor.caller.tenant.id !== params.id) throw noTenant()
        const row = await findTenant(db, params.id)
        if (!row) throw noTenant()
        return shown(row, await keysOf(row.id))
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/tenants/{id}',
      scope: 'admin',
      tenant: 'none',
      summary: "Changes what is named. Another rules_preset replaces the old preset's rules by the new one's; the tenant's own rules stay.",
      params: one,
      body: changedTenant,
      answer: tenant,
      async run({ params, body, actor, requestId }) {
        checkPreset(body.rules_preset)
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const before = await lockTenant(tx, params.id)
          const after = before && (await changeTenant(tx, params.id, toFields(body)))
          if (!before || !after) throw noTenant()
          if (before.rulesPreset !== after.rulesPreset) {
            await swapPreset(tx, params.id, { from: before.rulesPreset, to: after.rulesPreset }, { createdBy: nameOf(actor), at: new Date(now()) })
          }
          return {
            result: after,
            done: {
              action: 'tenant.update',
              tenantId: params.id,
              subject: params.id,
              changes: before.rulesPreset === after.rulesPreset ? ['tenants'] : ['tenants', 'policies'],
            },
          }
        })
        return shown(row, await keysOf(row.id))
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/tenants/{id}',
      scope: 'admin',
      tenant: 'none',
      summary: 'Deactivates a tenant and revokes all its keys. Its rules and audit log stay.',
      params: one,
      answer: null,
      async run({ params, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          if (!(await changeTenant(tx, params.id, { active: false }))) throw noTenant()
          await revokeAllKeys(tx, params.id, new Date(now()))
          return { result: undefined, done: { action: 'tenant.delete', tenantId: params.id, subject: params.id, changes: ['tenants', 'keys'] } }
        })
      },
    }),
  ]
}

function toFields(body: z.output<typeof changedTenant>): Partial<TenantFields & { active: boolean }> {
  const { name, rules_preset, max_requests_per_minute, allowed_models, contact_email, active } = body
  return {
    ...(name !== undefined && { name }),
    ...(rules_preset !== undefined && { rulesPreset: rules_preset }),
    ...(max_requests_per_minute !== undefined && { maxRequestsPerMinute: max_requests_per_minute }),
    ...(allowed_models !== undefined && { allowedModels: allowed_models }),
    ...(contact_email !== undefined && { contactEmail: contact_email }),
    ...(active !== undefined && { active }),
  }
}
