/** The nouns of calls, with nothing special about them. */
import type { Tenant } from '../../src/call.ts'

export const tenantNamed = (id: string, more: Partial<Tenant> = {}): Tenant => ({
  id,
  maxRequestsPerMinute: 60,
  allowedModels: null,
  allowedRegions: null,
  uninspectable: 'warn',
  streamStop: 'hard',
  defaultMaxOutputTokens: null,
  ...more,
})
