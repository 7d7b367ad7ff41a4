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

/** How long a turn of the event loop should compute on average, so that a refusal is quick, however many arrive. */
const TURN_MS = 20
/** Of the average, the last turn is so much: one long turn, for a collection of garbage, tells little. */
const LAST_TURN_SHARE = 0.2
/** New calls that are begun in one turn: fewer while turns are long, more while they are short. The others wait for the next. */
const QUOTA = { least: 16, most: 256, more: 1.25, less: 0.75 }
/** While the one who waits longest has waited for so long, whoever comes is turned away (the queue's delay is bounded, as in CoDel, RFC 8289, not its length). */
const WAIT_MS_MAX = 2_000
/** In so many turns at least: one long turn is a stall, and no queue. */
const WAIT_TURNS_MIN = 10
/** Calls that wait; a bound for memory's sake. */
const WAITING_MAX = 4_096
const MEMORY_SHARE_MAX = 0.85
/** The memory is asked at most so often. */
const MEMORY_EVERY_MS = 250

interface Waiting {
  since: number
  /** Which turn it was. */
  turn: number
  begin: () => void
}

export function createLoadShedder({ now, computed, later, memoryShare }: LoadShedderOptions) {
  /** In the order they came. */
  const waiting = new Set<Waiting>()
  const shed: Record<Shed, number> = { load: 0, memory: 0 }
  let quota = QUOTA.most
  /** In this turn. */
  let begun = 0
  let turns = 0
  let isTurning = false
  let computedBefore = 0
  let turnMs = 0
  let memoryAskedAt = Number.NEGATIVE_INFINITY
  let isMemoryShort = false

  const oldest = (): Waiting | undefined => waiting.values().next().value
  const beginTurn = (): void => {
    isTurning = true
    computedBefore = computed()
    later(endTurn)
  }
  const endTurn = (): void => {
    turns++
    const at = computed()
    turnMs += LAST_TURN_SHARE * (at - computedBefore - turnMs)
    computedBefore = at
    quota = Math.min(QUOTA.most, Math.max(QUOTA.least, quota * Math.min(QUOTA.more, Math.max(QUOTA.less, TURN_MS / turnMs))))
    begun = 0
    for (let next = oldest(); next && begun < quota; next = oldest()) {
      begun++
      waiting.delete(next)
      next.begin()
    }
    isTurning = begun > 0
    if (isTurning) later(endTurn)
  }
  const whyShed = (at: number): Shed | null => {
    if (at - memoryAskedAt >= MEMORY_EVERY_MS) {
      memoryAskedAt = at
      isMemoryShort = memoryShare() > MEMORY_SHARE_MAX
    }
    if (isMemoryShort) return 'memory'
    const first = oldest()
    if (!first) return null
    const isQueue = at - first.since >= WAIT_MS_MAX && turns - first.turn >= WAIT_TURNS_MIN
    return isQueue || waiting.size >= WAITING_MAX ? 'load' : null
  }

  return {
    /** Calls that have arrived and were not begun yet. */
    get waiting(): number {
      return waiting.size
    },
    /** Turned away since the start. */
    shed: shed as Readonly<Record<Shed, number>>,
    /** Begins the call, now or in a moment, unless its client has left by then. Says why where it is turned away instead. */
    take(outgoing: Pick<ServerResponse, 'once' | 'off'>, start: () => void): Shed | null {
      const at = now()
      const why = whyShed(at)
      if (why !== null) {
        shed[why]++
        return why
      }
      if (!isTurning) beginTurn()
      if (waiting.size === 0 && begun < quota) {
        begun++
        start()
        return null
      }
      const leave = (): void => void waiting.delete(one)
      const one: Waiting = {
        since: at,
        turn: turns,
        begin() {
          outgoing.off('close', leave)
          start()
        },
      }
      waiting.add(one)
      outgoing.once('close', leave)
      return null
    },
  }
}
export type LoadShedder = ReturnType<typeof createLoadShedder>
