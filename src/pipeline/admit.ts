import type { Caller, LimitState, ModelCall, Tenant } from '../call.ts'
import { isAccountPath } from '../dialects/account-paths.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { formats, nativeOf, vendorOf } from '../dialects/index.ts'
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

/** Who may serve this call, best first. They speak the caller's dialect, or for an envelope one that it can be put into. */
export interface Route {
  candidates(caller: Caller, call: ModelCall, endpoint: Endpoint): readonly Upstream[]
}

/** Lets a call in that the tenant may make, that someone can serve, and that is within the limits. What it cannot let in it does not charge. */
export const admit =
  (limits: Limits, route: Route): Stage<'caller' | 'call', 'admission'> =>
  async (known) => {
    const { caller, call, endpoint, dialect, headers, arrivedAt } = known
    const refuse = (refusal: Refusal): Refusal => {
      headers.push(...limitHeaders(limits.peek(caller.tenant), dialect, arrivedAt))
      return refusal
    }
    if (!caller.scopes.has('proxy:write'))
      return refuse(new Refusal('forbidden', 'This Earthflow key may not make model calls: it lacks the scope proxy:write.'))
    const { allowedModels } = caller.tenant
    if (allowedModels && !call.models.every((model) => allowedModels.some((pattern) => matchesPattern(pattern, model)))) {
      return refuse(new Refusal('model_not_allowed', 'This tenant may not use this model.', { context: { param: 'model' } }))
    }
    if (allowedModels && endpoint.kind === 'call' && call.models.length === 0) {
      return refuse(new Refusal('model_not_allowed', 'This tenant may use certain models only, so its calls must name one.', { context: { param: 'model' } }))
    }
    const candidates = route.candidates(caller, call, endpoint)
    const way = candidates.length > 0 ? spoken(endpoint, call, candidates) : isGeneralList(endpoint) ? { speaks: endpoint, candidates } : null
    if (!way) return refuse(noUpstream(endpoint, call))
    if (isAccountPath(endpoint.path) && !way.candidates.every(({ passthrough }) => passthrough)) return refuse(accountPath())
    const state = await limits.take(caller.tenant)
    headers.push(...limitHeaders(state, dialect, arrivedAt))
    return state.retryInMs > 0 ? overLimit(state) : { admission: way }
  }

/** Where nobody serves anything, the list of models is empty; of an upstream that is named there is none. */
const isGeneralList = ({ kind, upstream }: Endpoint): boolean => kind === 'models' && upstream === null

const accountPath = (): Refusal =>
  new Refusal(
    'forbidden',
    'This path administers the provider’s account or hands out its credentials, with which calls would go around Earthflow. It needs an upstream with credential_mode passthrough.',
  )

function noUpstream({ kind, upstream }: Endpoint, { models }: ModelCall): Refusal {
  const who = upstream === null ? 'No upstream of this tenant' : 'No upstream of that name'
  if (models.length > 0) return new Refusal('model_not_found', `${who} serves this model in this dialect.`, { context: { param: 'model' } })
  const what = kind === 'call' ? 'speaks this dialect' : 'serves the calls of this provider'
  return new Refusal('model_not_found', `${who} ${what}; an administrator adds one with POST /v1/upstreams.`)
}

/** An envelope is put into a format of those who come first, and goes to those alone who speak it; null where nobody speaks any. */
function spoken(endpoint: Endpoint, call: ModelCall, candidates: readonly Upstream[]): { speaks: Endpoint; candidates: readonly Upstream[] } | null {
  const { envelope } = endpoint.dialect
  if (!envelope) return { speaks: asNamed(endpoint, candidates[0]), candidates }
  const first = candidates.filter(({ priority }) => priority === candidates[0].priority)
  const name = envelope.speaks(call.models[0]).find((one) => first.some(({ dialects }) => dialects.includes(one)))
  const dialect = formats.find((format) => format.name === name)
  if (!dialect) return null
  const speaks: Endpoint = { ...endpoint, dialect, path: envelope.path(dialect.name, call) }
  return { speaks, candidates: candidates.filter(({ dialects }) => dialects.includes(dialect.name)) }
}

/** A path that may be any vendor's is put to a named upstream as its own vendor's: in the place where that one looks for a key. */
function asNamed(endpoint: Endpoint, { dialects }: Upstream): Endpoint {
  if (endpoint.upstream === null || endpoint.kind === 'call') return endpoint
  const vendors = dialects.map(vendorOf)
  const own = vendors[0] === undefined ? undefined : nativeOf(vendors[0])
  const { name } = endpoint.dialect.vendor
  return !own || vendors.includes(name === 'azure' ? 'openai' : name) ? endpoint : { ...endpoint, dialect: own }
}
