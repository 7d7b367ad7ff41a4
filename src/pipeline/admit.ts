import type { Caller, LimitState, ModelCall, Tenant } from '../call.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { Refusal } from '../errors.ts'
import { matchesPattern } from '../model-pattern.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import { limitHeaders, overLimit } from './limit-headers.ts'
import type { Stage } from './stage.ts'

export interface Limits {
  /** Takes one request from the tenant's bucket, or nothing. */
  take(tenant: Tenant): Promise<LimitState>
  /** What taking would answer now. Takes nothing. */
  peek(tenant: Tenant): LimitState
}

/** Who may serve this call, best first. They all speak the caller's dialect: bodies are never translated. */
export interface Route {
  candidates(caller: Caller, call: ModelCall, dialect: Dialect): readonly Upstream[]
}

/** Lets a call in that the tenant may make, that someone can serve, and that is within the limits. What it cannot let in it does not charge. */
export const admit =
  (limits: Limits, route: Route): Stage<'caller' | 'call', 'admission'> =>
  async (known) => {
    const { caller, call, dialect, headers, arrivedAt } = known
    const refuse = (refusal: Refusal): Refusal => {
      headers.push(...limitHeaders(limits.peek(caller.tenant), dialect, arrivedAt))
      return refusal
    }
    if (!caller.scopes.has('proxy:write'))
      return refuse(new Refusal('forbidden', 'This Earthflow key may not make model calls: it lacks the scope proxy:write.'))
    const { allowedModels } = caller.tenant
    if (allowedModels && !allowedModels.some((pattern) => matchesPattern(pattern, call.model))) {
      return refuse(new Refusal('model_not_allowed', 'This tenant may not use this model.', { context: { param: 'model' } }))
    }
    const candidates = route.candidates(caller, call, dialect)
    if (candidates.length === 0) {
      return refuse(new Refusal('model_not_found', 'No upstream of this tenant serves this model in this dialect.', { context: { param: 'model' } }))
    }
    const state = await limits.take(caller.tenant)
    headers.push(...limitHeaders(state, dialect, arrivedAt))
    return state.retryInMs > 0 ? overLimit(state) : { admission: { limits: state, candidates } }
  }
