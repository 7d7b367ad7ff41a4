/** What was looked up is remembered, and so for a moment is what is not there: how often the database is asked does not depend on who asks. */
import { Failure } from '../errors.ts'

export interface Lookups<Found> {
  /** At once where it is known, else by `read`. Throws Failure('unavailable') when that fails. */
  find(name: string, read: () => Promise<Found | null>): Found | null | Promise<Found | null>
  /** All of it, or what `isMeant` says. Nothing that is being read at this moment is remembered. */
  forget(isMeant?: (found: Found) => boolean): void
}

const FOUND_MAX = 10_000
/** At the bound the oldest is dropped: a flood of invented names costs at most one query for each. */
const ABSENT_MAX = 10_000
const ABSENT_MS = 5_000
const PENDING_MAX = 1_000

export function createLookups<Found>({ now }: { now: () => number }): Lookups<Found> {
  const found = new Map<string, Found>()
  const absent = new Map<string, number>()
  const pending = new Map<string, Promise<Found | null>>()
  // What was read before a change must not be kept after it.
  let generation = 0

  return {
    find(name, read) {
      const known = found.get(name)
      if (known !== undefined) return known
      const absentUntil = absent.get(name)
      if (absentUntil !== undefined) {
        if (now() < absentUntil) return null
        absent.delete(name)
      }
      const begun = pending.get(name)
      if (begun !== undefined) return begun
      if (pending.size >= PENDING_MAX) throw new Failure('unavailable', new Error(`More than ${PENDING_MAX} are being looked up.`))
      const lookup = lookUp(name, read).finally(() => {
        if (pending.get(name) === lookup) pending.delete(name)
      })
      pending.set(name, lookup)
      return lookup
    },

    forget(isMeant) {
      generation++
      pending.clear()
      absent.clear()
      if (isMeant === undefined) found.clear()
      else for (const [name, one] of found) if (isMeant(one)) found.delete(name)
    },
  }

  async function lookUp(name: string, read: () => Promise<Found | null>): Promise<Found | null> {
    const begunIn = generation
    const one = await read().catch((error: unknown) => {
      throw error instanceof Failure ? error : new Failure('unavailable', error)
    })
    if (generation === begunIn) {
      if (one !== null) keepBounded(found, FOUND_MAX, name, one)
      else keepBounded(absent, ABSENT_MAX, name, now() + ABSENT_MS)
    }
    return one
  }
}

/** Beyond the bound the oldest is dropped. */
export function keepBounded<Value>(map: Map<string, Value>, entriesMax: number, name: string, value: Value): void {
  if (map.size >= entriesMax) for (const oldest of map.keys()) if (map.delete(oldest)) break
  map.set(name, value)
}
