import type { Reason } from '../errors.ts'
import { Failure } from '../errors.ts'
import type { Outcome } from './stage.ts'

/** How loud an exchange is in the log. */
export type Consequence = 'info' | 'warn' | 'error'

export interface Fault {
  of: 'earthflow' | 'provider'
  /** One of the reasons in errors.ts, or `answered`: the provider said 5xx itself. */
  reason: Reason | 'answered'
}

/** Of these the provider is the cause, whoever says so. */
const PROVIDERS: ReadonlySet<Reason> = new Set<Reason>(['upstream_unreachable', 'upstream_timeout', 'reply_unreadable'])

/**
 * `error` where Earthflow or a provider failed, `warn` where somebody said no: a rule, a limit, the provider, or a reader who was too slow; else `info`.
 * That a process which stops sends calls elsewhere is a no, and no failure.
 */
export function consequenceOf(outcome: Outcome, httpStatus: number | null): Consequence {
  if (faultOf(outcome, httpStatus)) return 'error'
  if (outcome.kind === 'refused' || (outcome.kind === 'cancelled' && outcome.isSlow)) return 'warn'
  return httpStatus !== null && httpStatus >= 400 ? 'warn' : 'info'
}

/** Who failed and why, where an exchange ended in 5xx or broke off; null where nobody did. */
export function faultOf(outcome: Outcome, httpStatus: number | null): Fault | null {
  if (outcome.kind === 'failed') {
    const reason = outcome.error instanceof Failure ? outcome.error.reason : 'internal'
    // A rule that searches too long ends in a no.
    if (reason === 'scan_budget') return null
    // Whoever serves the call failed before, and is left alone.
    const isProviders = PROVIDERS.has(reason) || (reason === 'unavailable' && outcome.stage === 'forward')
    return { of: isProviders ? 'provider' : 'earthflow', reason }
  }
  if (outcome.kind === 'refused') {
    const { reason, status } = outcome.refusal
    return status >= 500 && reason !== 'draining' ? { of: PROVIDERS.has(reason) ? 'provider' : 'earthflow', reason } : null
  }
  return httpStatus !== null && httpStatus >= 500 ? { of: 'provider', reason: 'answered' } : null
}
