/**
 * What waits for endpoints that are no longer told of anything is given up or deleted beside the deliveries, which wait for none of it: some of each at a
 * time, for one of them may have a queue of millions.
 */
import type { Db } from '../db/connect.ts'
import { isUnavailable } from '../db/unavailable.ts'
import { forgetDeliveries, giveUpPending, TIDIED_MAX } from './endpoint-deliveries.ts'

/** Endpoints of one time; the others are found again. */
const ENDPOINTS_MAX = 1_000
/** Before others are found again, or the rest of these: deliveries come first. */
const PAUSE_MS = 250
/** The same after it failed. */
const FAILED_PAUSE_MS = 15_000

export interface Untold {
  webhookId: string
  state: 'inactive' | 'gone'
}

export interface TidyingOptions {
  db: Db
  /** Milliseconds since 1970. */
  wallNow(): number
  /** There is more: look for it in so many milliseconds. */
  moreIn(ms: number): void
  report(error: unknown): void
}

export function createTidying({ db, wallNow, moreIn, report }: TidyingOptions) {
  let isAtIt = false
  let isStopped = false

  async function tidy(endpoints: readonly Untold[]): Promise<void> {
    let isMore = endpoints.length > ENDPOINTS_MAX
    for (const { webhookId, state } of endpoints.slice(0, ENDPOINTS_MAX)) {
      if (isStopped) return
      const tidied = state === 'gone' ? await forgetDeliveries(db, webhookId) : await giveUpPending(db, webhookId, new Date(wallNow()))
      isMore ||= tidied >= TIDIED_MAX
    }
    if (isMore) moreIn(PAUSE_MS)
  }

  return {
    /** Some of each. Where it is still at others, these are found again. Never throws. */
    begin(endpoints: readonly Untold[]): void {
      if (endpoints.length === 0 || isStopped) return
      if (isAtIt) {
        moreIn(PAUSE_MS)
        return
      }
      isAtIt = true
      tidy(endpoints)
        .catch((error: unknown) => {
          if (isStopped) return
          if (!isUnavailable(error)) report(error)
          moreIn(FAILED_PAUSE_MS)
        })
        .finally(() => {
          isAtIt = false
        })
    },
    /** What is being asked ends by itself, soon. */
    stop(): void {
      isStopped = true
    },
  }
}
