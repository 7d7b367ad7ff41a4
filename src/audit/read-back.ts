/** Reads back from the disk what has ended while there was no room for it in memory, in order. */
import { setTimeout as delay } from 'node:timers/promises'
import type { AuditEntry } from './entry.ts'
import type { RowWriter } from './row-writer.ts'
import type { Ended, Place, Spool } from './spool/spool.ts'

/** Until what was left to the disk is written there, or memory has room. */
const WAIT_MS = 50

export interface Reader {
  /** Something is only on the disk: what ends now has to go there as well, so that the order stays. */
  readonly isBehind: boolean
  /** This one is only on the disk. */
  leave(ended: Ended): void
}

export function createReader({ spool, rows, committed }: { spool: Spool; rows: Pick<RowWriter, 'addAll'>; committed: () => void }): Reader {
  let left = 0
  let first: Ended | null = null

  async function catchUp(): Promise<void> {
    let place: Place | null = null
    while (left > 0) {
      if (!place) {
        if (first?.segment) place = { segment: first.segment, offset: first.offset }
        else await delay(WAIT_MS, undefined, { ref: false })
        continue
      }
      const read: Awaited<ReturnType<Spool['readBack']>> = await spool.readBack(place)
      if (!read) return // What is left stays on the disk.
      const { closes, next } = read
      if (next.segment === place.segment && next.offset === place.offset) await delay(WAIT_MS, undefined, { ref: false })
      place = next
      // They stay counted as left until they are written, so nothing overtakes them.
      await rows.addAll(closes.map(({ json }) => JSON.parse(json) as AuditEntry))
      left -= closes.length
      for (const { segment } of closes) {
        spool.taken(segment)
        committed()
      }
    }
    first = null
  }

  return {
    get isBehind() {
      return left > 0
    },
    leave(ended) {
      left++
      if (first) return
      first = ended
      void catchUp()
    },
  }
}
