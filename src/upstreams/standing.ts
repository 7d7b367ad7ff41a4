/** How one upstream stands with this process: whether calls may go there, whether it asked to be left alone, and how many may be sent there again. */
import type { Attempt } from '../audit/entry.ts'
import { CONNECTIONS_MAX } from '../egress/dispatcher.ts'
import { type Breaker, createBreaker } from './breaker.ts'
import { createGate, type Gate } from './gate.ts'
import { AWAY, type UpstreamHealth, type UpstreamName } from './health.ts'
import { retryAfterMs } from './retry-after.ts'

/** How an attempt ended, for the metrics. `cut`: the answer broke off. */
export type AttemptResult = 'ok' | 'client_error' | 'rate_limited' | 'server_error' | 'unreachable' | 'timeout' | 'cut' | 'cancelled'

/** Who is told how attempts go. */
export interface UpstreamWatch {
  attempted?(upstream: UpstreamName, result: AttemptResult): void
  /** The same call is sent there again. */
  repeated?(upstream: UpstreamName): void
  breakerChanged?(upstream: UpstreamName, isOpen: boolean): void
}

type Ended = Pick<Attempt, 'status' | 'error'>

/** One attempt that is under way. */
export interface Passage {
  /** The attempt got its answer's head, or ended without one although the client was there. `retryAfter` is what that answer said. */
  saw(attempt: Ended, retryAfter?: string | string[]): void
  /** It is over; null: nothing was sent. */
  leave(attempt: Ended | null): void
}

export interface Standing {
  /** Begins an attempt, which repeats an earlier one of the same call or does not. Null where none may go there now. */
  enter(isRepeat?: boolean): Passage | null
  /** Takes one of the places for calls that are to be sent there again, and says how it is given back; null where all are taken. */
  repeat(): (() => void) | null
  readonly mayRepeat: boolean
  /** Before its connections. */
  readonly gate: Gate
  /** Nothing may go there now. */
  readonly isShut: boolean
  /** Milliseconds for which it asked to be left alone. */
  readonly restMs: number
  /** Milliseconds until it may be tried again whether it answers. */
  readonly probeInMs: number
  readonly state: Breaker['state']
  /** In a row, until now. */
  readonly failures: number
}

export interface StandingOptions {
  name: UpstreamName
  /** The built-in sandbox has none: what it does wrong is what it was asked for. */
  hasBreaker: boolean
  /** Callers bring their own credentials: a limit of one of them is not the others'. */
  passthrough: boolean
  /** Milliseconds, of a clock that never steps. */
  now: () => number
  /** Milliseconds since 1970. */
  wallNow: () => number
  health?: Pick<UpstreamHealth, 'saw'> | undefined
  /** Of the pool it stands for; left out: of one that has as many connections as a pool has where nobody says. */
  gate?: Gate | undefined
  watch?: UpstreamWatch | undefined
}

/** Envoy's retry budget: of the calls under way at an upstream this share may be ones that are sent again, but always this many. */
const REPEATS_SHARE = 0.2
const REPEATS_MIN = 3

export function createStanding({ name, hasBreaker, passthrough, now, wallNow, health, gate = createGate(CONNECTIONS_MAX), watch }: StandingOptions): Standing {
  const breaker = hasBreaker ? createBreaker({ now, onChange: (isOpen) => watch?.breakerChanged?.(name, isOpen) }) : null
  let underWay = 0
  let repeating = 0
  let restsUntil = Number.NEGATIVE_INFINITY

  const mayRepeat = (): boolean => repeating < Math.max(REPEATS_MIN, REPEATS_SHARE * underWay)
  const asksForRest = (status: number | null): boolean => status !== null && (AWAY.has(status) || (status === 429 && !passthrough))

  return {
    gate,
    enter(isRepeat = false) {
      const pass = breaker?.enter()
      if (pass === null) return null
      underWay++
      if (isRepeat) watch?.repeated?.(name)
      return {
        saw(attempt, retryAfter) {
          pass?.saw(attempt)
          health?.saw(name, attempt)
          if (retryAfter !== undefined && asksForRest(attempt.status)) restsUntil = Math.max(restsUntil, now() + retryAfterMs(retryAfter, wallNow()))
        },
        leave(attempt) {
          underWay--
          pass?.leave()
          if (attempt) watch?.attempted?.(name, resultOf(attempt))
        },
      }
    },
    repeat() {
      if (!mayRepeat()) return null
      repeating++
      return () => void repeating--
    },
    get mayRepeat() {
      return mayRepeat()
    },
    get isShut() {
      return breaker?.isShut ?? false
    },
    get restMs() {
      return Math.max(0, restsUntil - now())
    },
    get probeInMs() {
      return breaker?.probeInMs ?? 0
    },
    get state() {
      return breaker?.state ?? 'closed'
    },
    get failures() {
      return breaker?.failures ?? 0
    },
  }
}

function resultOf({ status, error }: Ended): AttemptResult {
  if (error === 'CLIENT_LEFT') return 'cancelled'
  if (error?.endsWith('_TIMEOUT')) return 'timeout'
  if (status === null) return 'unreachable'
  if (status >= 500) return 'server_error'
  if (status === 429) return 'rate_limited'
  if (status >= 400) return 'client_error'
  // Codes of errors are in capitals; what a rule stopped, or could not read, came from its provider in good order.
  return error !== null && /^[A-Z]/.test(error) ? 'cut' : 'ok'
}
