import { z } from 'zod'
import { countKeys, revokeAllKeys } from '../access/key-store.ts'
import { changeTenant, findTenant, listTenants, lockTenant, type TenantFields, type TenantRow } from '../access/tenants.ts'
import { Refusal } from '../errors.ts'
import { swapPreset } from '../rules/apply-preset.ts'
import { presets } from '../rules/presets.ts'
import { createTenant } from './create-tenant.ts'
import { may, noTenant } from './credentials.ts'
import { changeOrTry, dryRunQuery } from './dry-run.ts'
import { type AdminParts, change } from './parts.ts'
import { nameOf, type Route, route } from './route.ts'
import { flag, listOf, pageQuery } from './shapes.ts'
import { changedTenant, newTenant, shownTenant, tenant, toFields } from './tenant-shape.ts'

const one = z.object({ id: z.string() })

export function tenantRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts
  const shown = (row: TenantRow, keys: number): z.input<typeof tenant> => shownTenant(row, { keys, defaultRequestsPerMinute: parts.defaultRequestsPerMinute })
  const keysOf = async (id: string): Promise<number> => (await countKeys(db, [id], new Date(now()))).get(id) ?? 0
  const checkPreset = (preset: string | null | undefined): void => {
    if (preset === null || preset === undefined || Object.hasOwn(presets, preset)) return
    throw new Refusal('config', `There is no such preset. Known: ${Object.keys(presets).join(', ')}.`, { context: { field: 'rules_preset' } })
  }

  return [
    route({
      method: 'GET',
      path: '/v1/tenants',
      scope: 'tenants:read',
      tenant: 'optional',
      summary: 'Lists the tenants, newest first.',
      query: z.strictObject({ ...pageQuery(), active: flag.optional() }),
      answer: listOf('tenants', tenant),
      async run({ query, tenantId }) {
        const { rows, total } = await listTenants(db, { ...query, tenantId })
        const keys = await countKeys(
          db,
          rows.map(({ id }) => id),
          new Date(now()),
        )
        return { tenants: rows.map((row) => shown(row, keys.get(row.id) ?? 0)), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/tenants',
      scope: 'tenants:write',
      tenant: 'none',
      summary: 'Creates a tenant with its first key, which is shown only in this answer, and the rules of a preset (null: none).',
      body: newTenant.meta({ examples: [{ name: 'Clinic', rules_preset: 'medical', max_requests_per_minute: 600 }] }),
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
      tenant: 'path',
      summary: "One tenant. A tenant's key may read its own.",
      params: one,
      answer: tenant,
      async run({ params }) {
        const row = await findTenant(db, params.id)
        if (!row) throw noTenant()
        return shown(row, await keysOf(row.id))
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/tenants/{id}',
      scope: 'tenants:write',
      tenant: 'path',
      summary:
        "Changes what is named. Another rules_preset replaces the old preset's rules by the new one's; the tenant's own rules stay. dry_run=true only says what would come of it.",
      params: one,
      query: z.strictObject(dryRunQuery),
      body: changedTenant.meta({ examples: [{ uninspectable: 'block' }] }),
      answer: tenant,
      async run({ params, query: { dry_run }, body, actor, requestId }) {
        checkPreset(body.rules_preset)
        if (body.rules_preset !== undefined && !may(actor, 'rules:write')) {
          throw new Refusal('forbidden', 'rules_preset: This needs the scope rules:write.', { context: { field: 'rules_preset', scope: 'rules:write' } })
        }
        const row = await changeOrTry(parts, { actor, requestId, dry_run }, async (tx) => {
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
      scope: 'tenants:write',
      tenant: 'path',
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
