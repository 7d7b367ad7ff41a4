/** Whom a call is sent to next: somebody new at once, and when nobody new is left, the same ones again, later and only where there is hope. */
import type { Attempt } from '../audit/entry.ts'
import { AWAY, isAway } from './health.ts'
import type { Passage } from './standing.ts'
import type { Upstream } from './upstream.ts'

/** Before the first byte went downstream these let the next candidate try; after it, nothing does. */
const TRY_ANOTHER: ReadonlySet<number> = new Set([429, ...AWAY])
/** Of one call, whoever is asked. */
export const ATTEMPTS_MAX = 5
/** How often a call is sent to somebody who has had it. */
const REPEATS_MAX = 2
/** Full jitter (Brooker, 2015): at random up to this, doubled each time, at most the second. */
const BACKOFF_MS = 250
const BACKOFF_MS_MAX = 2_000
/** Who asks for more patience is not asked again, and his answer says so to the client. */
const PATIENCE_MS = 5_000

/** Who says so has somebody behind it who may be working on the call still. */
const GATEWAY_TIMEOUT = 504

/** The provider said no: it charges nothing for that. One that took the call and did not answer, or was left, may have worked all the while. */
export const isRefusal = ({ status }: Pick<Attempt, 'status'>): boolean => status !== null && status >= 300 && status !== GATEWAY_TIMEOUT

/** Of a connection that was never made nothing had left, and it may be tried again. */
const isTooLate = (error: string | null): boolean => error !== 'UND_ERR_CONNECT_TIMEOUT' && error?.endsWith('_TIMEOUT') === true

export interface Turn {
  upstream: Upstream
  passage: Passage
  /** Its attempt is over, and there was one, or none was made. */
  end(attempt: Pick<Attempt, 'status' | 'error'> | null): void
}

export interface Tries {
  /** Null where nobody is left who can be asked. Rejects with what `pause` rejects with. */
  next(): Promise<Turn | null>
  /** Somebody did not answer, or in a way that lets another one try. Whether the call had left for there: who took it and did not answer may have worked. */
  failed(upstream: Upstream, attempt: Pick<Attempt, 'status' | 'error'>, hadLeft: boolean): void
  /** Whether somebody would be asked after an answer of this status, which is therefore not passed on. */
  goOn(upstream: Upstream, status: number): boolean
}

export interface TriesOptions {
  /** Best first. */
  candidates: readonly Upstream[]
  /** The call may be sent twice to the same one. */
  isRepeatable: boolean
  /** From 0 to 1. */
  random: () => number
  /** Resolves after so many milliseconds; rejects as soon as the client has left. */
  pause: (ms: number) => Promise<void>
}

export function createTries({ candidates, isRepeatable, random, pause }: TriesOptions): Tries {
  const untried = new Set(candidates)
  /** Those to be asked again, in the order in which they failed. */
  const again = new Set<Upstream>()
  let attempts = 0
  let repeats = 0
  /** The last attempt found nobody there, and set nobody to work. */
  let wasAway = false

  const turn = (upstream: Upstream, release?: () => void): Turn | null => {
    // It may have been changed, moved or switched off since the call was let in.
    if (attempts > 0 && !upstream.isCurrent()) return null
    const passage = hasRoom(upstream) ? upstream.standing.enter(release !== undefined) : null
    if (!passage) return null
    attempts++
    return {
      upstream,
      passage,
      end(attempt) {
        passage.leave(attempt)
        release?.()
      },
    }
  }
  const isOpen = (upstream: Upstream): boolean => hasRoom(upstream) && !upstream.standing.isShut && upstream.isCurrent()
  const isHopeful = (upstream: Upstream): boolean => isOpen(upstream) && upstream.standing.mayRepeat && upstream.standing.restMs <= PATIENCE_MS
  const mayRepeat = (): boolean => isRepeatable && repeats < REPEATS_MAX && attempts < ATTEMPTS_MAX

  return {
    async next() {
      for (const upstream of attempts < ATTEMPTS_MAX ? restedFirst([...untried]) : []) {
        untried.delete(upstream)
        const fresh = turn(upstream)
        if (fresh) return fresh
      }
      while (wasAway && mayRepeat()) {
        const upstream = restedFirst([...again]).find(isHopeful)
        const release = upstream?.standing.repeat()
        if (!upstream || !release) return null
        again.delete(upstream)
        const jitter = random() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** repeats++)
        let repeated: Turn | null = null
        try {
          await pause(upstream.standing.restMs + jitter)
          repeated = turn(upstream, release)
        } finally {
          if (!repeated) release()
        }
        if (repeated) return repeated
      }
      return null
    },
    failed(upstream, attempt, hadLeft) {
      wasAway = isAway(attempt) && (attempt.status !== null ? attempt.status !== GATEWAY_TIMEOUT : !hadLeft && !isTooLate(attempt.error))
      if (wasAway) again.add(upstream)
    },
    goOn(upstream, status) {
      if (!TRY_ANOTHER.has(status) || attempts >= ATTEMPTS_MAX) return false
      if ([...untried].some(isOpen)) return true
      return AWAY.has(status) && status !== GATEWAY_TIMEOUT && mayRepeat() && [upstream, ...again].some(isHopeful)
    },
  }
}

/** As they stand; those that asked to be left alone after the others. */
const restedFirst = (upstreams: Upstream[]): Upstream[] =>
  upstreams.length < 2 ? upstreams : upstreams.sort((a, b) => Number(a.standing.restMs > 0) - Number(b.standing.restMs > 0))

const hasRoom = ({ standing, queueMax }: Upstream): boolean => standing.gate.waiting < queueMax
