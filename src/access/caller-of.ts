/** From the row of a key, and what belongs to it, to whoever stands behind it. */
import type { Caller } from '../call.ts'
import { and, eq, sql } from '../db/drizzle.ts'
import { agents, apiKeys, quarantines, tenants } from '../db/schema.ts'
import { agentOf } from './agents.ts'
import { limitSetOf } from './limit-set.ts'
import { tenantOf } from './tenants.ts'

/** More than two years of a rotation each day. */
const LINE_MAX = 1_000

/** What is selected of a key, its tenant, and its agent if it has one. */
export const found = {
  key: apiKeys,
  tenant: tenants,
  agent: agents,
  quarantineId: quarantines.id,
  // All older keys of a line name its newest as their successor.
  line: sql<string[]>`array(
    select old.prefix from api_keys old where old.tenant_id = ${apiKeys.tenantId} and old.successor = coalesce(${apiKeys.successor}, ${apiKeys.prefix})
      order by old.created_at, old.id limit ${LINE_MAX}) || coalesce(${apiKeys.successor}, ${apiKeys.prefix})`,
}
export const ofTenant = eq(tenants.id, apiKeys.tenantId)
export const ofAgent = and(eq(agents.id, apiKeys.agentId), eq(agents.tenantId, apiKeys.tenantId))

export interface Found {
  key: typeof apiKeys.$inferSelect
  tenant: typeof tenants.$inferSelect
  agent: typeof agents.$inferSelect | null
  quarantineId: string | null
  /** The prefixes of all keys of its line, its own among them, oldest first; see rotate-keys.ts. */
  line: string[]
}

/** Null where the key opens nothing: it is revoked, or its tenant or its agent is not active. Whether it has expired is for whoever knows the time. */
export function callerOf({ key, tenant, agent, quarantineId, line }: Found, defaultRequestsPerMinute: number): Caller | null {
  if (key.revokedAt !== null || !tenant.active) return null
  if (key.agentId !== null && !agent?.active) return null
  return {
    tenant: tenantOf(tenant, defaultRequestsPerMinute),
    keyPrefix: key.prefix,
    ...(line.length > 1 && { line }),
    keyLimits: key.limits && limitSetOf(key.limits),
    allowedModels: key.allowedModels,
    allowedAddresses: key.allowedAddresses,
    clientCertificate: key.clientCertificate,
    agent: agent && agentOf(agent, quarantineId !== null),
    scopes: new Set(key.scopes),
    session: null,
  }
}
