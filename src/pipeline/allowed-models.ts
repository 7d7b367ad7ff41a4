import type { Caller } from '../call.ts'
import { matchesPattern } from '../model-pattern.ts'

export type Whose = 'tenant' | 'agent' | 'key'

/** Whose word it is that a caller may not use a model: its tenant's, its agent's or its key's; null where it may. */
export function whoForbids({ tenant, agent, allowedModels }: Caller, model: string): Whose | null {
  if (!matchesAny(tenant.allowedModels, model)) return 'tenant'
  if (!matchesAny(agent?.allowedModels ?? null, model)) return 'agent'
  return matchesAny(allowedModels, model) ? null : 'key'
}

/** Whose word it is that a caller may use certain models only; null where nobody says so. */
export function whoRestricts({ tenant, agent, allowedModels }: Caller): Whose | null {
  if (tenant.allowedModels !== null) return 'tenant'
  if (agent && agent.allowedModels !== null) return 'agent'
  return allowedModels === null ? null : 'key'
}

const matchesAny = (patterns: readonly string[] | null, model: string): boolean =>
  patterns === null || patterns.some((pattern) => matchesPattern(pattern, model))
