/** The nouns of calls, with nothing special about them. */
import type { Agent, Caller, Tenant } from '../../src/call.ts'

export const tenantNamed = (id: string, more: Partial<Tenant> = {}): Tenant => ({
  id,
  limits: { requestsPerMinute: 60, requestsPerDay: null, tokensPerMinute: null, tokensPerDay: null, concurrency: null },
  limitsOfEach: { key: null, agent: null, user: null, models: [] },
  limitsWithoutRedis: 'local',
  allowedModels: null,
  allowedRegions: null,
  uninspectable: 'warn',
  streamStop: 'hard',
  auditDurability: null,
  defaultMaxOutputTokens: null,
  escalationWaitSeconds: 0,
  ...more,
})

/** The same with other requests per minute. */
export const tenantLimitedTo = (requestsPerMinute: number, id = 't', more: Partial<Tenant> = {}): Tenant => {
  const tenant = tenantNamed(id, more)
  return { ...tenant, limits: { ...tenant.limits, requestsPerMinute } }
}

export const callerOf = (tenant: Tenant, more: Partial<Caller> = {}): Caller => ({
  tenant,
  keyPrefix: 'ef_live_abcdefgh',
  keyLimits: null,
  allowedModels: null,
  allowedAddresses: null,
  clientCertificate: null,
  session: null,
  agent: null,
  scopes: new Set(),
  ...more,
})

export const agentNamed = (id: string, more: Partial<Agent> = {}): Agent => ({
  id,
  name: id,
  limits: null,
  allowedModels: null,
  quarantined: false,
  quarantine: null,
  ...more,
})
