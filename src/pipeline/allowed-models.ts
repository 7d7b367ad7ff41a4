import type { Caller } from '../call.ts'
import { matchesPattern } from '../model-pattern.ts'

/** Whose word it is that a caller may not use a model: its tenant's or its agent's; null where it may. */
export function whoForbids({ tenant, agent }: Caller, model: string): 'tenant' | 'agent' | null {
  if (!matchesAny(tenant.allowedModels, model)) return 'tenant'
  return matchesAny(agent?.allowedModels ?? null, model) ? null : 'agent'
}

/** Whose word it is that a caller may use certain models only; null where nobody says so. */
export function whoRestricts({ tenant, agent }: Caller): 'tenant' | 'agent' | null {
  if (tenant.allowedModels !== null) return 'tenant'
  return agent && agent.allowedModels !== null ? 'agent' : null
}

const matchesAny = (patterns: readonly string[] | null, model: string): boolean =>
  patterns === null || patterns.some((pattern) => matchesPattern(pattern, model))
