/** How a process that serves stops: what is open may end, and who is still there when the time is up is told. */
import { Refusal } from './errors.ts'

/**
 * Whether it still takes new connections at first, so that whoever sends them (a load balancer that asks whether it is ready) notices before they are refused:
 * `accepting`; `closed`, where others take them; `none` where nobody has to notice.
 */
export type Lead = 'accepting' | 'closed' | 'none'

export interface DrainParts {
  door: {
    /** Answers say from now on that their connection closes. */
    announceClose(): void
    /** Accepts nothing new. Resolves when every connection is closed. */
    close(idleAfterMs: number): Promise<void>
    closeAllConnections(): void
  }
  /** Calls that are not over. */
  open(): number
  /** Tells each of them that it ends here. */
  cutAll(refusal: Refusal): void
  /** Ends the waiting of calls for a person's decision. */
  stopWaiting(): void
  /** How long open calls may take to end. */
  drainMs: number
  /** Milliseconds, monotonic. */
  now: () => number
  sleep: (ms: number) => Promise<unknown>
}

export interface Drain {
  readonly isDraining: boolean
  /** Resolves when no call and no connection is left. `hurry` cuts what is under way at once. */
  run(lead: Lead, hurry: AbortSignal): Promise<void>
}

/** Load balancers ask every few seconds; and clients that sent on an idle connection just now learn from the answer that it closes. */
const LEAD_MS_MAX = 5_000
const STEP_MS = 25
/** How long calls that were cut may take to be on record. */
const CUT_MS_MAX = 5_000
/** And for their last bytes to be on their way, where somebody is in a hurry. */
const CUT_TOLD_MS_MAX = 1_000
/** For what is no call: answers of the management API, and last bytes on their way. At least, for they have the time that calls leave. */
const LAST_MS_MAX = 5_000
/** So long before calls are cut, but no sooner than in the last tenth, those that still wait for a person are told to come back. */
const WAITING_TOLD_MS = 1_000
const WAITING_TOLD_SHARE_MAX = 1 / 10

const shuttingDown = (): Refusal => new Refusal('draining', 'Earthflow is shutting down; try again.', { headers: ['retry-after', '1'] })

export function createDrain({ door, open, cutAll, stopWaiting, drainMs, now, sleep }: DrainParts): Drain {
  let isDraining = false

  async function waitUntil(isTrue: () => boolean, msMax: number): Promise<void> {
    for (const end = now() + msMax; !isTrue() && now() < end; ) await sleep(STEP_MS)
  }

  return {
    get isDraining() {
      return isDraining
    },
    async run(lead, hurry) {
      isDraining = true
      const leadMs = lead === 'none' ? 0 : Math.min(LEAD_MS_MAX, drainMs)
      if (lead === 'accepting') {
        door.announceClose()
        await waitUntil(() => hurry.aborted, leadMs)
      }
      const idleAfterMs = lead === 'closed' ? leadMs : 0
      let isEmpty = false
      const empty = door.close(idleAfterMs).then(() => {
        isEmpty = true
      })
      const end = now() + drainMs
      const untilEmpty = (msMax: number) => waitUntil(() => open() === 0 || hurry.aborted, msMax)
      // Where others serve on a decision still comes; else whoever could decide cannot come in any more.
      if (lead === 'closed') await untilEmpty(drainMs - Math.min(WAITING_TOLD_MS, drainMs * WAITING_TOLD_SHARE_MAX))
      stopWaiting()
      await untilEmpty(end - now())
      const isCut = open() > 0
      // What had not even begun does so now, and is cut as well.
      await waitUntil(() => {
        if (open() > 0) cutAll(shuttingDown())
        return open() === 0
      }, CUT_MS_MAX)
      const lastMs = Math.max(idleAfterMs + LAST_MS_MAX, lead === 'none' ? 0 : end - now())
      if (isCut || !hurry.aborted) await waitUntil(() => isEmpty || (hurry.aborted && !isCut), hurry.aborted ? CUT_TOLD_MS_MAX : lastMs)
      door.closeAllConnections()
      await empty
    },
  }
}
