import { whyNotFrom } from '../access/place.ts'
import type { Budget, Budgets, Reservation } from '../budgets/budgets.ts'
import type { Caller, LimitState, ModelCall, Usage } from '../call.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { estimateInput } from '../dialects/estimate-input.ts'
import { isFreePath, isNamelessCall } from '../dialects/free-paths.ts'
import { hiddenCountsIn } from '../dialects/hidden-counts.ts'
import { Refusal } from '../errors.ts'
import type { Hold, LimitedCall, Taken } from '../limits/limits.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import { whoForbids, whoRestricts } from './allowed-models.ts'
import { budgetUsedUp, unpriced } from './budget-refusals.ts'
import { limitHeaders, overLimit } from './limit-headers.ts'
import { userOf } from './metadata.ts'
import type { Decision, Exchange, Facts, Stage } from './stage.ts'
import { type Way, wayOf } from './way.ts'

export interface Limits {
  /** Takes all that the call needs, or nothing. */
  take(call: LimitedCall): Taken | Promise<Taken>
  /** What was last known, for this caller. Takes nothing. */
  peek(caller: Caller): LimitState
}

/** Who may serve this call, best first. They speak the caller's dialect, or for an envelope one that it can be put into. */
export interface Route {
  candidates(caller: Caller, call: ModelCall, endpoint: Endpoint): readonly Upstream[] | Refusal
}

/** What an answer is expected to take at most where neither the call nor its tenant says so. */
const OUTPUT_TOKENS = 4096

/**
 * Lets a call in that its caller may make, that someone can serve, and that is within every limit and hard budget: all is taken in this one step, or
 * nothing.
 */
export const admit = (limits: Limits, route: Route, budgets: Pick<Budgets, 'of' | 'reserve'>): Stage<'caller' | 'call', 'admission'> => {
  return (known) => {
    const { caller, call, endpoint, incoming } = known
    const forbidden = whyForbidden(caller, known)
    if (forbidden) return refuse(known, forbidden)
    const way = wayOf(endpoint, call, route.candidates(caller, call, endpoint))
    if (way instanceof Refusal) return refuse(known, way)
    const isCall = isModelCall(known)
    const hidden = isCall ? hiddenCountsIn(incoming, way.speaks.dialect.vendor) : null
    if (hidden !== null) return refuse(known, uncounted(hidden))
    // Whose the call is, is nobody's business in such a session: it is charged to no person's budget either, which the row would name.
    const user = caller.session?.impersonal ? null : userOf(call, incoming)
    const usage = isCall && !isFreePath(endpoint.path) ? expectedUsage(known) : null
    const { tenant, agent, keyPrefix, line } = caller
    const charged = endpoint.kind === 'models' ? NO_BUDGETS : budgets.of({ tenantId: tenant.id, agentId: agent?.id ?? null, keyPrefix, line }, user)
    // Nearly always all of it is in memory, and nothing is waited for.
    return charged instanceof Promise ? charged.then((found) => take(known, { way, user, usage, charged: found })) : take(known, { way, user, usage, charged })
  }

  function refuse({ headers, caller, dialect, arrivedAt }: Asking, refusal: Refusal): Refusal {
    headers.push(...limitHeaders(limits.peek(caller), dialect, arrivedAt))
    return refusal
  }

  function take(known: Asking, asked: Asked): Decision<'admission'> | Promise<Decision<'admission'>> {
    const { way, user, usage, charged } = asked
    const { caller, call, arrivedAt } = known
    const hard = charged.length === 0 ? NO_BUDGETS : charged.filter(({ mode }) => mode === 'hard')
    // What nobody can price would go past a budget in money.
    const isPriced = usage !== null && hard.some(({ unit }) => unit === 'usd')
    const candidates = isPriced ? way.candidates.filter((upstream) => upstream.costOf(call.models, usage, arrivedAt) !== null) : way.candidates
    if (candidates.length === 0 && way.candidates.length > 0) return refuse(known, unpriced())
    const nano = usage === null ? null : dearest(way.candidates, call.models, { usage, at: arrivedAt })
    const { input_tokens: input, output_tokens: output } = usage ?? NO_USAGE
    const wanted = { candidates, hard, nano, tokens: input + output }
    const taken = limits.take({ id: known.id, caller, user, models: call.models, input, output, declared: call.maxOutputTokens !== null })
    return taken instanceof Promise ? taken.then((answer) => enter(known, asked, wanted, answer)) : enter(known, asked, wanted, taken)
  }

  function enter(known: Asking, asked: Asked, wanted: Wanted, taken: Taken): Decision<'admission'> | Promise<Decision<'admission'>> {
    const { headers, dialect, arrivedAt } = known
    const tell = (): void => void headers.push(...limitHeaders(taken.state, dialect, arrivedAt))
    if (taken.over) {
      tell()
      return overLimit(taken.state, taken.over)
    }
    const { way, usage, charged } = asked
    const { hold, mode: limitMode } = taken
    const { candidates, hard, nano, tokens } = wanted
    const expected = usage && { usage, nano }
    const admission = (reservation: Reservation | null): Pick<Facts, 'admission'> => {
      tell()
      return { admission: { speaks: way.speaks, candidates, expected, hold, limitMode, budgets: charged, reservation } }
    }
    if (!usage || hard.length === 0) return admission(null)
    return reserve(budgets, hold, { known, hard, nano, tokens }).then((answer) => (answer instanceof Refusal ? refuse(known, answer) : admission(answer)))
  }
}

type Asking = Exchange & Pick<Facts, 'caller' | 'call'>

/** What is known of a call that may be made, before anything is taken for it. */
interface Asked {
  way: Way
  user: string | null
  usage: Usage | null
  charged: readonly Budget[]
}

/** What is to be taken for it: of hard budgets nano-dollars, or tokens. */
interface Wanted {
  candidates: readonly Upstream[]
  hard: readonly Budget[]
  nano: number | null
  tokens: number
}

const NO_BUDGETS: readonly Budget[] = []
const uncounted = (hidden: string): Refusal =>
  new Refusal('invalid_request', `With '${hidden}' the answer would not tell what it cost; leave it out.`, { context: { param: hidden } })

const NO_USAGE: Usage = { input_tokens: 0, output_tokens: 0 }

/** Why such a caller may not make this call; null where it may. */
export function whyForbidden(caller: Caller, known: Pick<Exchange, 'endpoint' | 'incoming' | 'peer'> & Pick<Facts, 'call'>): Refusal | null {
  const { peer, call } = known
  const { models } = call
  const elsewhere = whyNotFrom(caller, peer)
  if (elsewhere) return elsewhere
  const { scopes, agent } = caller
  if (!scopes.has('proxy:write')) return new Refusal('forbidden', 'This Earthflow key may not make model calls: it lacks the scope proxy:write.')
  if (agent?.quarantined) return new Refusal('agent_quarantined', 'This agent is quarantined: it may make no calls until an administrator releases it.')
  const named = { context: { param: 'model' } }
  for (const model of models) {
    const whose = whoForbids(caller, model)
    if (whose !== null) return new Refusal('model_not_allowed', `This ${whose} may not use this model.`, named)
  }
  const whose = models.length === 0 && isModelCall(known) ? whoRestricts(caller) : null
  if (whose !== null) return new Refusal('model_not_allowed', `This ${whose} may use certain models only, so its calls must name one.`, named)
  return null
}

/** Whether a model is put to work; whatever else a provider has paths for, nobody can tell what it costs. */
const isModelCall = ({ call, endpoint, incoming }: Pick<Exchange, 'endpoint' | 'incoming'> & Pick<Facts, 'call'>): boolean =>
  endpoint.kind === 'call' || (endpoint.kind === 'native' && incoming.method === 'POST' && (call.models.length > 0 || isNamelessCall(endpoint.path)))

/** What a call may use at most. */
const expectedUsage = ({ call, caller }: Pick<Facts, 'caller' | 'call'>): Usage => ({
  input_tokens: estimateInput(call),
  output_tokens: call.maxOutputTokens ?? (caller.tenant.defaultMaxOutputTokens ?? OUTPUT_TOKENS) * (call.answers ?? 1),
  estimated: true,
})

/** Nobody knows yet who will serve the call. Null where nobody has a price. */
function dearest(upstreams: readonly Upstream[], models: readonly string[], { usage, at }: { usage: Usage; at: number }): number | null {
  let most: number | null = null
  for (const upstream of upstreams) {
    const cost = upstream.costOf(models, usage, at)
    if (cost !== null && (most === null || cost > most)) most = cost
  }
  return most
}

interface Need {
  known: { auditId: string; arrivedAt: number }
  hard: readonly Budget[]
  nano: number | null
  tokens: number
}

/** What was taken of the limits is given back where a budget refuses, or cannot be asked. */
async function reserve(budgets: Pick<Budgets, 'reserve'>, hold: Hold, { known, hard, nano, tokens }: Need): Promise<Reservation | Refusal> {
  try {
    const { auditId, arrivedAt } = known
    const answer = await budgets.reserve({ auditId, budgets: hard, nano, tokens, arrivedAt })
    if (!('budget' in answer)) return answer
    await hold.giveBack()
    return budgetUsedUp(answer, arrivedAt)
  } catch (error) {
    await hold.giveBack()
    throw error
  }
}
