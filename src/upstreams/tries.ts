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

/** Somebody's turn: an attempt there may begin. */
export class Turn {
  readonly upstream: Upstream
  readonly passage: Passage
  /** Gives back the place it has among the calls that are sent there again. */
  readonly #release: (() => void) | undefined

  constructor(upstream: Upstream, passage: Passage, release: (() => void) | undefined) {
    this.upstream = upstream
    this.passage = passage
    this.#release = release
  }

  /** Its attempt is over, and there was one, or none was made. */
  end(attempt: Pick<Attempt, 'status' | 'error'> | null): void {
    this.passage.leave(attempt)
    this.#release?.()
  }
}

export interface Tries {
  /** Null where nobody is left who can be asked. Answers at once for somebody new. Rejects with what `pause` rejects with. */
  next(): Turn | null | Promise<Turn | null>
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

export const createTries = (options: TriesOptions): Tries => new OneCall(options)

class OneCall implements Tries {
  readonly #options: TriesOptions
  #untried: readonly Upstream[]
  /** Those to be asked again, in the order in which they failed. */
  #again: readonly Upstream[] = NOBODY
  #attempts = 0
  #repeats = 0
  /** The last attempt found nobody there, and set nobody to work. */
  #wasAway = false

  constructor(options: TriesOptions) {
    this.#options = options
    this.#untried = options.candidates
  }

  next(): Turn | null | Promise<Turn | null> {
    for (const upstream of this.#attempts < ATTEMPTS_MAX ? restedFirst(this.#untried) : NOBODY) {
      this.#untried = without(this.#untried, upstream)
      const fresh = this.#turn(upstream)
      if (fresh) return fresh
    }
    return this.#wasAway && this.#mayRepeat() ? this.#repeat() : null
  }

  failed(upstream: Upstream, attempt: Pick<Attempt, 'status' | 'error'>, hadLeft: boolean): void {
    this.#wasAway = isAway(attempt) && (attempt.status !== null ? attempt.status !== GATEWAY_TIMEOUT : !hadLeft && !isTooLate(attempt.error))
    if (this.#wasAway && !this.#again.includes(upstream)) this.#again = [...this.#again, upstream]
  }

  goOn(upstream: Upstream, status: number): boolean {
    if (!TRY_ANOTHER.has(status) || this.#attempts >= ATTEMPTS_MAX) return false
    if (this.#untried.some(isOpen)) return true
    return AWAY.has(status) && status !== GATEWAY_TIMEOUT && this.#mayRepeat() && [upstream, ...this.#again].some(isHopeful)
  }

  #mayRepeat(): boolean {
    return this.#options.isRepeatable && this.#repeats < REPEATS_MAX && this.#attempts < ATTEMPTS_MAX
  }

  async #repeat(): Promise<Turn | null> {
    const { random, pause } = this.#options
    while (this.#mayRepeat()) {
      const upstream = restedFirst(this.#again).find(isHopeful)
      const release = upstream?.standing.repeat()
      if (!upstream || !release) return null
      this.#again = without(this.#again, upstream)
      const jitter = random() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** this.#repeats++)
      let repeated: Turn | null = null
      try {
        await pause(upstream.standing.restMs + jitter)
        repeated = this.#turn(upstream, release)
      } finally {
        if (!repeated) release()
      }
      if (repeated) return repeated
    }
    return null
  }

  #turn(upstream: Upstream, release?: () => void): Turn | null {
    // It may have been changed, moved or switched off since the call was let in.
    if (this.#attempts > 0 && !upstream.isCurrent()) return null
    const passage = hasRoom(upstream) ? upstream.standing.enter(release !== undefined) : null
    if (!passage) return null
    this.#attempts++
    return new Turn(upstream, passage, release)
  }
}

const NOBODY: readonly Upstream[] = []
const without = (upstreams: readonly Upstream[], one: Upstream): readonly Upstream[] =>
  upstreams.length === 1 && upstreams[0] === one ? NOBODY : upstreams.filter((upstream) => upstream !== one)

const isOpen = (upstream: Upstream): boolean => hasRoom(upstream) && !upstream.standing.isShut && upstream.isCurrent()
const isHopeful = (upstream: Upstream): boolean => isOpen(upstream) && upstream.standing.mayRepeat && upstream.standing.restMs <= PATIENCE_MS

/** As they stand; those that asked to be left alone after the others. */
const restedFirst = (upstreams: readonly Upstream[]): readonly Upstream[] =>
  upstreams.length < 2 ? upstreams : upstreams.toSorted((a, b) => Number(a.standing.restMs > 0) - Number(b.standing.restMs > 0))

const hasRoom = ({ standing, queueMax }: Upstream): boolean => standing.gate.waiting < queueMax
