/** The concurrency permits that the calls of this process hold, whoever gave them. */
import { RESERVATION_MS } from './limit.ts'

/** Permits renewed by one command. */
const BATCH_MAX = 500

export type Leases = ReturnType<typeof createLeases>

/** `now` in milliseconds, from a clock that does not jump. There are as many as calls under way; one that was forgotten ends with its reservation. */
export function createLeases(now: () => number) {
  const calls = new Map<string, { keys: readonly string[]; since: number }>()
  const counts = new Map<string, number>()

  function release(id: string): void {
    const call = calls.get(id)
    if (!call) return
    calls.delete(id)
    for (const key of call.keys) {
      const left = (counts.get(key) ?? 0) - 1
      if (left > 0) counts.set(key, left)
      else counts.delete(key)
    }
  }

  return {
    /** Calls that hold permits. */
    get calls(): number {
      return calls.size
    },
    isHeld: (id: string): boolean => calls.has(id),
    /** Permits of one limit. */
    count: (key: string): number => counts.get(key) ?? 0,

    hold(id: string, keys: readonly string[]): void {
      if (keys.length === 0) return
      release(id)
      calls.set(id, { keys, since: now() })
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
    },

    release,

    /** Every limit with the calls that hold a permit of it, in batches. */
    *batches(): Generator<{ key: string; ids: readonly string[] }> {
      const holders = new Map<string, string[]>()
      for (const [id, { keys, since }] of calls) {
        if (now() - since > RESERVATION_MS) release(id)
        else for (const key of keys) holders.getOrInsert(key, []).push(id)
      }
      for (const [key, ids] of holders) for (let at = 0; at < ids.length; at += BATCH_MAX) yield { key, ids: ids.slice(at, at + BATCH_MAX) }
    },
  }
}
