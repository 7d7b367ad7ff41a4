/** Where a call may go, and as what it is put there. */
import type { ModelCall } from '../call.ts'
import { isAccountPath } from '../dialects/account-paths.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { formats, nativeOf, vendorOf } from '../dialects/index.ts'
import { Refusal } from '../errors.ts'
import type { Upstream } from '../upstreams/upstream.ts'

export interface Way {
  /** As what the call is put to the upstream: the endpoint that was called, or for an envelope one of a provider. */
  speaks: Endpoint
  /** Best first; empty only where a list of models is asked for. They all speak it. */
  candidates: readonly Upstream[]
}

/**
 * Of those who might serve a call, the ones that can be asked, and how; a refusal where there are none, with the reason if there is one, or where the path
 * is not for lent credentials.
 */
export function wayOf(endpoint: Endpoint, call: ModelCall, found: readonly Upstream[] | Refusal): Way | Refusal {
  if (found instanceof Refusal && !isGeneralList(endpoint)) return found
  const candidates = found instanceof Refusal ? [] : found
  const way = candidates.length > 0 ? spoken(endpoint, call, candidates) : isGeneralList(endpoint) ? { speaks: endpoint, candidates } : null
  if (!way) return noUpstream(endpoint, call)
  if (isAccountPath(endpoint.path) && !way.candidates.every(({ passthrough }) => passthrough)) return accountPath()
  return way
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
function spoken(endpoint: Endpoint, call: ModelCall, candidates: readonly Upstream[]): Way | null {
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
