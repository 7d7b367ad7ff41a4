/** Which limits a call draws on, and how much of them. */
import { hash } from 'node:crypto'
import type { Caller, LimitSet } from '../call.ts'
import { matchesAnySpelling } from '../model-pattern.ts'
import type { Demand, Limit, Subject } from './limit.ts'

export interface LimitedCall {
  /** No other call has it. */
  id: string
  caller: Caller
  /** The caller's own name for whom it asks; null where it names nobody. */
  user: string | null
  models: readonly string[]
  /** Tokens. */
  input: number
  output: number
  /** The caller said how much the answer may take at most. */
  declared: boolean
}

export interface DemandOptions {
  windowSeconds: number
  burstFactor: number
}

/** The limits that follow from the caller alone, and those of models, once for all its calls. */
interface Plan {
  own: readonly Limit[]
  models: readonly { model: string; limits: readonly Limit[] }[]
}

/** What a limit of a minute holds: ceil(n × window ÷ 60 × factor). */
export const capacityOf = (perMinute: number, { windowSeconds, burstFactor }: DemandOptions): number =>
  Math.ceil(Math.max(0, (perMinute * windowSeconds * burstFactor) / 60 - 1e-9))

export function createDemands(options: DemandOptions) {
  // A caller is an object that lives as long as what was read of it, so a changed limit makes a new plan.
  const plans = new WeakMap<Caller, Plan>()
  return {
    /** Of every call of this caller: the tenant's, the key's and the agent's limits. */
    own: (caller: Caller): readonly Limit[] => planOf(caller).own,

    of(call: LimitedCall): Demand {
      const limits = limitsOf(call)
      const most = smallestOfTokens(limits)
      return most === null
        ? { id: call.id, limits, tokens: 0, reservation: null }
        : { id: call.id, limits, tokens: tokensOf(call, most), reservation: `${spaceOf(call.caller.tenant.id)}call:${call.id}` }
    },
  }

  function limitsOf({ caller, user, models }: LimitedCall): readonly Limit[] {
    const { own, models: patterns } = planOf(caller)
    const { id, limitsOfEach } = caller.tenant
    const matching = models.length === 0 ? [] : patterns.filter(({ model }) => models.some((name) => matchesAnySpelling(model, name)))
    const ofUser = user === null ? null : limitsOfEach.user
    if (matching.length === 0 && ofUser === null) return own
    const users = ofUser === null || user === null ? [] : limitsFrom(id, 'user', digestOf(id, user), ofUser)
    return [...own, ...users, ...matching.flatMap(({ limits }) => limits)]
  }

  function planOf(caller: Caller): Plan {
    const known = plans.get(caller)
    if (known) return known
    const { tenant, agent } = caller
    const { key, agent: ofAgents, models } = tenant.limitsOfEach
    const plan: Plan = {
      own: [
        ...limitsFrom(tenant.id, 'tenant', '', tenant.limits),
        ...limitsFrom(tenant.id, 'key', caller.line?.[0] ?? caller.keyPrefix, caller.keyLimits ?? key),
        ...(agent ? limitsFrom(tenant.id, 'agent', agent.id, agent.limits ?? ofAgents) : []),
      ],
      models: models.map(({ model, limits }) => ({ model, limits: limitsFrom(tenant.id, 'model', digestOf(tenant.id, model), limits) })),
    }
    plans.set(caller, plan)
    return plan
  }

  function limitsFrom(tenantId: string, subject: Subject, name: string, set: LimitSet | null): Limit[] {
    if (set === null) return []
    const prefix = `${spaceOf(tenantId)}${subject}:${name}${name && ':'}`
    const limit = (of: Limit['of'], per: Limit['per'], most: number | null): Limit[] => {
      if (most === null) return []
      const capacity = per === 'minute' ? capacityOf(most, options) : most
      const refillPerMs = per === 'minute' ? most / 60_000 : 0
      return [
        {
          subject,
          of,
          per,
          most,
          key: `${prefix}${of}${per ? `:${per}` : ''}`,
          capacity,
          refillPerMs,
          args: [per ?? 'lease', String(capacity), String(refillPerMs)],
        },
      ]
    }
    return [
      ...limit('requests', 'minute', set.requestsPerMinute),
      ...limit('requests', 'day', set.requestsPerDay),
      ...limit('tokens', 'minute', set.tokensPerMinute),
      ...limit('tokens', 'day', set.tokensPerDay),
      ...limit('concurrency', null, set.concurrency),
    ]
  }
}

const spaceOf = (tenantId: string): string => `ef:{${tenantId}}:`

/** Names that callers give do not stand in Redis, and the same name is another for every tenant. */
const digestOf = (tenantId: string, name: string): string => hash('sha256', `${tenantId}\n${name}`, 'base64url').slice(0, 22)

function smallestOfTokens(limits: readonly Limit[]): number | null {
  let smallest: number | null = null
  for (const { of, capacity } of limits) if (of === 'tokens' && (smallest === null || capacity < smallest)) smallest = capacity
  return smallest
}

/** Input and output. A guess of the output may not make a call impossible that nobody said to be so large. */
function tokensOf({ input, output, declared }: LimitedCall, most: number): number {
  const known = whole(input)
  const asked = whole(output)
  return known + (declared ? asked : Math.min(asked, Math.max(1, most - known)))
}

/** Tokens as they are counted: whole, and never fewer than none. */
export const whole = (tokens: number): number => (Number.isFinite(tokens) && tokens > 0 ? Math.ceil(tokens) : 0)
