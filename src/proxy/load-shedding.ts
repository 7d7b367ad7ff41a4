/** How much a process takes on at once, and when it says no: a fast refusal now is worth more than an answer that nobody waits for any more. */
import type { ServerResponse } from 'node:http'

/** Why a call is turned away: too many wait already, or the memory is nearly used up. */
export type Shed = 'load' | 'memory'

export interface LoadShedderOptions {
  /** Milliseconds, monotonic. */
  now: () => number
  /** Milliseconds that this thread has computed. Not those that passed: a machine that is busy with others is no reason to do less. */
  computed: () => number
  /** Does it when the event loop has handled what is there: `setImmediate`. */
  later: (work: () => void) => void
  /** How much of the memory that this process may have it has, from 0 to 1. */
  memoryShare: () => number
}

/** How long a turn of the event loop should compute for calls on average, so that a refusal is quick. */
const TURN_MS = 12
/**
 * Of what it computes, so much goes to each call that is turned away, and to all of them at most that share: whoever calls again and again without a pause must
 * not leave less for the others.
 */
const SHED = { ms: 0.06, shareMax: 0.75 }
/** Of the average, the last turn is so much: one long turn, for a collection of garbage, tells little. */
const LAST_TURN_SHARE = 0.2
/** Calls that are begun in one turn: nobody knows yet what they cost. */
const BEGUN_MAX = 32
/** Whatever else there is to do, one that waits is begun after so long. */
const BEGIN_EVERY_MS = 100
/**
 * How many calls are under way at once: any number, until turns get long. From then on somewhat fewer than there are, and in each short turn up to a tenth more
 * again, as TCP finds out what a path can carry (RFC 5681): a call that streams its answer costs most long after it was begun.
 */
const UNDER_WAY = { least: 2, less: 0.95, more: 0.1 }
/** Whoever would wait longer, at the rate at which calls were begun lately, is turned away at once. */
const WAIT_MS_MAX = 1_000
/** That rate, in calls a millisecond, where nobody had to wait, and how much time it is a mean of. A turn that took longer was a stall, and says little. */
const RATE = { free: 2, meanMs: 1_000, turnMsMax: 100 }
/** Calls that wait; a bound for memory's sake. */
const WAITING_MAX = 4_096
const MEMORY_SHARE_MAX = 0.85
/** The memory is asked at most so often. */
const MEMORY_EVERY_MS = 250

type Outgoing = Pick<ServerResponse, 'once' | 'off'>

interface WaitingCall {
  outgoing: Outgoing
  start: () => Promise<void>
  leave: () => void
}

/** Places of calls that waited, at the front of the list of those that wait, before they go. */
const PASSED_MAX = 1_000

/** In the order they came. Not a Set, whose outgrown tables would keep the calls until the next full collection of garbage: see slots.ts. */
class WaitingCalls {
  #calls: (WaitingCall | null)[] = []
  #first = 0
  size = 0

  /** Until it is next, or its client has left. */
  add(outgoing: Outgoing, start: () => Promise<void>): void {
    const call = { outgoing, start, leave: () => this.#leave(call) }
    this.#calls.push(call)
    this.size++
    outgoing.once('close', call.leave)
  }

  /** Of at least one the first. */
  next(): () => Promise<void> {
    let call: WaitingCall | null = null
    while (call === null) {
      call = this.#calls[this.#first]
      this.#calls[this.#first++] = null
    }
    if (--this.size === 0) this.#clear()
    else if (this.#first >= PASSED_MAX && this.#first * 2 > this.#calls.length) {
      // Somebody may wait for days on end.
      this.#calls = this.#calls.slice(this.#first)
      this.#first = 0
    }
    call.outgoing.off('close', call.leave)
    return call.start
  }

  #leave(call: WaitingCall): void {
    this.#calls[this.#calls.indexOf(call, this.#first)] = null
    if (--this.size === 0) this.#clear()
  }

  #clear(): void {
    this.#calls = []
    this.#first = 0
  }
}

export function createLoadShedder({ now, computed, later, memoryShare }: LoadShedderOptions) {
  const waiting = new WaitingCalls()
  const shed: Record<Shed, number> = { load: 0, memory: 0 }
  let underWay = 0
  let underWayMax = Number.POSITIVE_INFINITY
  /** In this turn. */
  let begun = 0
  let turnedAway = 0
  let begunAt = Number.NEGATIVE_INFINITY
  let isTurning = false
  let turnedAt = now()
  let computedBefore = 0
  let turnMs = 0
  let rate = RATE.free
  let memoryAskedAt = Number.NEGATIVE_INFINITY
  let isMemoryShort = false

  const hasRoom = (at: number): boolean => (begun < BEGUN_MAX && underWay < underWayMax) || at - begunAt >= BEGIN_EVERY_MS
  const begin = (start: () => Promise<void>, at: number): void => {
    begun++
    begunAt = at
    underWay++
    void start().then(end)
  }
  const end = (): void => {
    underWay--
  }
  const beginTurn = (): void => {
    isTurning = true
    const at = now()
    rate += Math.min(1, (at - turnedAt) / RATE.meanMs) * (RATE.free - rate) // nobody has waited since
    turnedAt = at
    computedBefore = computed()
    turnedAway = 0
    later(endTurn)
  }
  const endTurn = (): void => {
    const [at, computedNow] = [now(), computed()]
    const tookMs = Math.min(RATE.turnMsMax, at - turnedAt)
    if (waiting.size === 0) rate += (tookMs / RATE.meanMs) * (RATE.free - rate)
    else rate += begun / RATE.meanMs - (tookMs / RATE.meanMs) * rate
    const ms = computedNow - computedBefore
    turnMs += LAST_TURN_SHARE * (ms - Math.min(SHED.ms * turnedAway, SHED.shareMax * ms) - turnMs)
    if (turnMs > TURN_MS) underWayMax = Math.max(UNDER_WAY.least, Math.min(underWayMax, UNDER_WAY.less * underWay))
    else underWayMax *= 1 + UNDER_WAY.more * (1 - turnMs / TURN_MS)
    turnedAt = at
    computedBefore = computedNow
    begun = 0
    turnedAway = 0
    while (waiting.size > 0 && hasRoom(at)) begin(waiting.next(), at)
    isTurning = begun > 0 || waiting.size > 0
    if (isTurning) later(endTurn)
  }
  const whyShed = (at: number): Shed | null => {
    if (at - memoryAskedAt >= MEMORY_EVERY_MS) {
      memoryAskedAt = at
      isMemoryShort = memoryShare() > MEMORY_SHARE_MAX
    }
    if (isMemoryShort) return 'memory'
    return waiting.size >= Math.min(WAITING_MAX, Math.max(BEGUN_MAX, rate * WAIT_MS_MAX)) ? 'load' : null
  }

  return {
    /** Calls that have arrived and were not begun yet. */
    get waiting(): number {
      return waiting.size
    },
    /** Turned away since the start. */
    shed: shed as Readonly<Record<Shed, number>>,
    /**
     * Begins the call, now or in a moment, unless its client has left by then. What `start` returns resolves when it has ended, and it never fails. Says why where
     * the call is turned away instead.
     */
    take(outgoing: Outgoing, start: () => Promise<void>): Shed | null {
      const at = now()
      const why = whyShed(at)
      if (why !== null) {
        shed[why]++
        turnedAway++
        return why
      }
      if (!isTurning) beginTurn()
      if (waiting.size === 0 && hasRoom(at)) {
        begin(start, at)
        return null
      }
      waiting.add(outgoing, start)
      return null
    },
  }
}
export type LoadShedder = ReturnType<typeof createLoadShedder>
