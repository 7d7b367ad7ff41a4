/** Ends reservations of calls that did not leave. What the database cannot take now is tried again until it can. */
import type { SQL } from 'drizzle-orm'
import { retryConflicts } from '../db/retry-conflicts.ts'
import { isUnavailable, within } from '../db/unavailable.ts'
import { endReservations } from './reserve-statements.ts'

/** How long a call that did not leave waits for that. */
const GIVE_BACK_MS = 2_000
const RETRY_MS = 1_000
/** Reservations still to be ended. Beyond, the sweep ends them when this process is gone. */
const OWED_MAX = 10_000

export interface GiveBack {
  /** Never rejects, and waits for one try only. Harmless where there is nothing to give back. */
  now(auditId: string): Promise<void>
  /** In a while: for a reservation that may still be on its way into the database. */
  later(auditId: string): void
  /** One last try. */
  close(): Promise<void>
}

export function createGiveBack({ run, report }: { run: (statement: SQL) => Promise<unknown>; report: (error: unknown) => void }): GiveBack {
  const owed = new Set<string>()
  let next: Promise<void> | null = null
  let timer: NodeJS.Timeout | undefined

  const owe = (auditId: string): void => {
    if (owed.size < OWED_MAX) owed.add(auditId)
  }

  async function flush(): Promise<void> {
    // One turn of the event loop later, who gives back with us is in the same statement.
    await new Promise(setImmediate)
    next = null
    const ids = [...owed]
    if (ids.length === 0) return
    try {
      await within(
        GIVE_BACK_MS,
        retryConflicts(() => run(endReservations(ids))),
      )
      for (const id of ids) owed.delete(id)
    } catch (error) {
      if (!isUnavailable(error)) report(error)
      retry()
    }
  }

  const soon = (): Promise<void> => (next ??= flush())
  const retry = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined
      void soon()
    }, RETRY_MS).unref()
  }

  return {
    now(auditId) {
      owe(auditId)
      return soon()
    },
    later(auditId) {
      owe(auditId)
      retry()
    },
    async close() {
      await soon()
      clearTimeout(timer)
    },
  }
}
