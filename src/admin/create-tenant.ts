/** A tenant is born with a key and a policy, or not at all. */
import { issueKey, type NewKey } from '../access/key-store.ts'
import type { Keys } from '../access/keys.ts'
import { firstKeyScopes } from '../access/scopes.ts'
import { insertTenant, type TenantFields, type TenantRow } from '../access/tenants.ts'
import { rulesOf } from '../rules/presets.ts'
import { writeRules } from '../rules/store.ts'
import { may } from './credentials.ts'
import { type AdminParts, type Author, change } from './parts.ts'
import { nameOf } from './route.ts'

export interface CreatedTenant {
  tenant: TenantRow
  /** Shown once, stored nowhere. */
  apiKey: string
}

/** Throws a Refusal for a preset nobody knows. */
export async function createTenant(
  parts: Pick<AdminParts, 'db' | 'now' | 'changed' | 'seal' | 'report'> & { keys: Pick<Keys, 'mint'> },
  author: Author,
  fields: TenantFields,
): Promise<CreatedTenant> {
  const fresh = fields.rulesPreset ? rulesOf(fields.rulesPreset) : []
  const minted = await parts.keys.mint()
  const { actor } = author
  // Nobody gives away what they may not do themselves, but that calls are made.
  const scopes = firstKeyScopes.filter((scope) => actor.kind === 'system' || scope === 'proxy:write' || may(actor, scope))
  const firstKey: NewKey = { name: 'first key', scopes, expiresAt: null }
  const createdBy = actor.kind === 'system' ? 'system' : nameOf(actor)
  const tenant = await change(parts, author, async (tx) => {
    const row = await insertTenant(tx, fields)
    await issueKey(tx, row.id, minted, firstKey)
    await writeRules(tx, row.id, { createdBy, at: new Date(parts.now()) }, (write) => write.insert(fresh))
    const details = { key_prefix: minted.prefix }
    return { result: row, done: { action: 'tenant.create', tenantId: row.id, subject: row.id, details, changes: ['tenants', 'policies'] } }
  })
  return { tenant, apiKey: minted.key }
}
