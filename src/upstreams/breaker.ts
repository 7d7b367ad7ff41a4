/** A circuit breaker for one upstream: one that answers nothing, or nothing but errors, is left alone but for one probe now and then. */
import type { Attempt } from '../audit/entry.ts'
import { FAILURES_TILL_DOWN, isAway, outcomeOf } from './health.ts'

/** One attempt's way past the breaker. */
export interface Pass {
  /** The attempt got its answer's head, or ended without one although the client was there. */
  saw(attempt: Pick<Attempt, 'status' | 'error'>): void
  /** The attempt is over, however it went. */
  leave(): void
}

export interface Breaker {
  /** Null where nothing may go there now. While it is open, who is let through is the probe. */
  enter(): Pass | null
  /** `half_open`: a probe is under way. */
  readonly state: 'closed' | 'open' | 'half_open'
  /** Nothing may go there now. */
  readonly isShut: boolean
  /** Milliseconds until the next probe is due; 0 where it is, or none is needed. */
  readonly probeInMs: number
  /** Attempts in a row, until now, for which nobody was there. */
  readonly failures: number
}

export interface BreakerOptions {
  /** Milliseconds, of a clock that never steps. */
  now: () => number
  onChange?: (isOpen: boolean) => void
}

/** Beside five in a row for which nobody was there, this many in the window, of which this share failed. */
const ATTEMPTS_MIN = 20
const FAILED_SHARE = 0.5
const WINDOW_SECONDS = 10
export const PROBE_EVERY_MS = 1_000
/** A probe that takes longer no longer stands in the way of the next: a model may think for minutes. */
export const PROBE_MS_MAX = 10_000

/** The client's own doing (4xx, also 429, and leaving) opens none. What began before the last change of state tells nothing of the state after it. */
export function createBreaker({ now, onChange }: BreakerOptions): Breaker {
  const seconds = Array.from({ length: WINDOW_SECONDS }, () => ({ at: -1, all: 0, failed: 0 }))
  let isOpen = false
  /** Grows with every change of state. */
  let era = 0
  let failures = 0
  /** When it opened, or the last probe began. */
  let since = 0
  let probe: Pass | null = null

  const waitsUntil = (): number => since + (probe ? PROBE_MS_MAX : PROBE_EVERY_MS)

  function turn(open: boolean): void {
    isOpen = open
    era++
    since = now()
    probe = null
    if (!open) {
      failures = 0
      for (const second of seconds) second.at = -1
    }
    onChange?.(open)
  }

  function count(failed: boolean): void {
    const at = Math.floor(now() / 1_000)
    const second = seconds[at % WINDOW_SECONDS]
    if (second.at !== at) Object.assign(second, { at, all: 0, failed: 0 })
    second.all++
    if (failed) second.failed++
  }

  function isMostlyFailing(): boolean {
    const earliest = Math.floor(now() / 1_000) - WINDOW_SECONDS
    let all = 0
    let failed = 0
    for (const second of seconds) {
      if (second.at <= earliest) continue
      all += second.all
      failed += second.failed
    }
    return all >= ATTEMPTS_MIN && failed >= all * FAILED_SHARE
  }

  return {
    enter() {
      if (isOpen && now() < waitsUntil()) return null
      const entered = era
      let told = false
      const pass: Pass = {
        saw(attempt) {
          const outcome = outcomeOf(attempt)
          if (entered !== era || outcome === 'ours') return
          told = true
          failures = isAway(attempt) ? failures + 1 : isOpen ? failures : 0
          if (isOpen) {
            if (outcome === 'answered') turn(false)
            return
          }
          count(outcome === 'failed')
          if (failures >= FAILURES_TILL_DOWN || (outcome === 'failed' && isMostlyFailing())) turn(true)
        },
        leave() {
          if (probe !== pass) return
          probe = null
          if (!told) since = now() - PROBE_EVERY_MS // it told nothing, and the next one is due at once
        },
      }
      if (isOpen) {
        probe = pass
        since = now()
      }
      return pass
    },
    get state() {
      return !isOpen ? 'closed' : probe ? 'half_open' : 'open'
    },
    get isShut() {
      return isOpen && now() < waitsUntil()
    },
    get probeInMs() {
      return isOpen ? Math.max(0, since + PROBE_EVERY_MS - now()) : 0
    },
    get failures() {
      return failures
    },
  }
}
