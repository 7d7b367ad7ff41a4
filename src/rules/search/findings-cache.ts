/** Remembers what was found in which segment. It holds digests and numbers, never a text. */
import type { Findings } from './findings.ts'

export interface FindingsCache {
  /** `search` is whatever stands for one compiled policy; what one found is nothing to another. */
  get(search: object, digest: string): Findings | undefined
  set(search: object, digest: string, findings: Findings): void
  /** What is kept, by the same count as the bound. */
  readonly bytes: number
}

/** All that is remembered together, in bytes. */
export const REMEMBERED_BYTES_MAX = 64 << 20
/** Of one segment. Where more was found, it is searched again. */
const ENTRY_BYTES_MAX = 64 << 10
/** What a map and its strings take for an entry beside its numbers. */
const ENTRY_BYTES = 256

/** Whatever was not asked for the longest goes first, such as that of a policy which is no longer in force. */
export function createFindingsCache({ bytesMax = REMEMBERED_BYTES_MAX }: { bytesMax?: number } = {}): FindingsCache {
  const searches = new WeakMap<object, number>()
  let searchCount = 0
  const entries = new Map<string, Findings>() // in the order in which they were last asked for
  let bytes = 0
  const keyOf = (search: object, digest: string): string => {
    let number = searches.get(search)
    if (number === undefined) searches.set(search, (number = searchCount++))
    return `${number} ${digest}`
  }
  const costOf = (key: string, findings: Findings): number => ENTRY_BYTES + key.length + findings.byteLength
  const forget = (key: string, findings: Findings): void => {
    entries.delete(key)
    bytes -= costOf(key, findings)
  }
  return {
    get(search, digest) {
      const key = keyOf(search, digest)
      const found = entries.get(key)
      if (found === undefined) return undefined
      entries.delete(key)
      entries.set(key, found)
      return found
    },
    set(search, digest, findings) {
      const key = keyOf(search, digest)
      const cost = costOf(key, findings)
      const known = entries.get(key)
      if (known !== undefined) forget(key, known)
      if (cost > Math.min(ENTRY_BYTES_MAX, bytesMax)) return
      for (const [oldest, its] of entries) {
        if (bytes + cost <= bytesMax) break
        forget(oldest, its)
      }
      entries.set(key, findings)
      bytes += cost
    },
    get bytes() {
      return bytes
    },
  }
}
