/** What an alert needs without a query: shares and a percentile of the last 60 s, in slots of 10 s. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** Calls of the last minute. */
export interface Recent {
  all: number
  errors: number
  judged: number
  blocked: number
}

interface Slot extends Recent {
  begun: number
  /** Microseconds. */
  overhead: RecordableHistogram
}

const SLOT_SECONDS = 10
const SLOTS = 6

/** `now` in milliseconds. */
export function createLastMinute(now: () => number) {
  const slots: Slot[] = Array.from({ length: SLOTS }, () => ({ begun: -1, ...NONE, overhead: createHistogram() }))
  const current = (): Slot => {
    const begun = Math.floor(now() / 1000 / SLOT_SECONDS)
    const slot = slots[begun % SLOTS]
    if (slot.begun !== begun) {
      slot.overhead.reset()
      Object.assign(slot, { begun, ...NONE })
    }
    return slot
  }
  const recent = (): Slot[] => {
    const latest = Math.floor(now() / 1000 / SLOT_SECONDS)
    return slots.filter(({ begun }) => begun >= 0 && begun > latest - SLOTS)
  }
  return {
    add({ isError, isJudged, isBlocked, overheadMs }: { isError: boolean; isJudged: boolean; isBlocked: boolean; overheadMs: number }): void {
      const slot = current()
      slot.all++
      if (isError) slot.errors++
      if (isJudged) slot.judged++
      if (isBlocked) slot.blocked++
      slot.overhead.record(Math.max(1, Math.round(overheadMs * 1000)))
    },
    counts: (): Recent => sumRecent(recent()),
    p99Ms(): number {
      const merged = createHistogram()
      for (const slot of recent()) if (slot.overhead.count > 0) merged.add(slot.overhead)
      return merged.count === 0 ? 0 : merged.percentile(99) / 1000
    },
  }
}

const NONE: Readonly<Recent> = { all: 0, errors: 0, judged: 0, blocked: 0 }

export function sumRecent(parts: readonly Recent[]): Recent {
  const sum = { ...NONE }
  for (const { all, errors, judged, blocked } of parts) {
    sum.all += all
    sum.errors += errors
    sum.judged += judged
    sum.blocked += blocked
  }
  return sum
}

/** Where nothing was judged nothing was blocked. */
export const blockRateOf = ({ blocked, judged }: Recent): number => (judged === 0 ? 0 : blocked / judged)
export const errorRateOf = ({ errors, all }: Recent): number => (all === 0 ? 0 : errors / all)
