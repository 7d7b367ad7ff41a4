/** Quarantines agents that pass their thresholds. It looks after calls have ended, never while one waits. */
import type { Agent, QuarantineRules } from '../call.ts'
import { announce } from '../db/changes.ts'
import type { Db, Tx } from '../db/connect.ts'
import { within } from '../db/unavailable.ts'
import { countCalls, excessOf } from './quarantine-counts.ts'
import { lastReleaseOf, openQuarantine } from './quarantines.ts'
import { lockTenant } from './tenants.ts'

export interface QuarantineWatchOptions {
  db: Db
  /** Milliseconds since 1970. */
  now: () => number
  /** Writes down, in the transaction that quarantines an agent, that the program itself did so. */
  record: (tx: Tx, tenantId: string, agentId: string, at: Date, reason: string) => Promise<void>
  /** Makes this process read what was just changed; the others follow within a second. */
  changed: () => Promise<void>
  /** Is told of what went wrong; it is tried again at the next tick. */
  report: (error: unknown, context: { tenant_id: string; agent_id: string }) => void
}

export interface QuarantineWatch {
  /** A call of this agent has ended and is on record: the next tick looks at it. Costs nothing for an agent without thresholds. */
  saw(tenantId: string, agent: Agent): void
  /** Looks at the agents that were seen; where it is still under way, that is waited for instead. Never rejects. */
  tick(): Promise<void>
  /** Ticks once a second from now on. */
  start(): void
  /** Looks at nobody any more; resolves when the tick under way has ended. */
  close(): Promise<void>
}

const TICK_MS = 1_000
/** Agents that wait to be looked at. At the bound others wait for their next call. */
const SEEN_MAX = 10_000
/** Looks of one tick, one after the other; who is left is first in the next. */
const LOOKS_PER_TICK = 50
const LOOK_MS = 5_000
/** So many times as long as a look took, its agent is left alone: looking at a very busy one takes a twentieth of a connection. */
const REST_FACTOR = 20

interface Seen {
  tenantId: string
  rules: QuarantineRules
}

export function createQuarantineWatch({ db, now, record, changed, report }: QuarantineWatchOptions): QuarantineWatch {
  const seen = new Map<string, Seen>()
  /** Until when agents are left alone: those whose looks took time, within the last LOOK_MS × REST_FACTOR. */
  const resting = new Map<string, number>()
  let ticking: Promise<void> | null = null
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const tick = (): Promise<void> => {
    ticking ??= lookAtAll().finally(() => {
      ticking = null
    })
    return ticking
  }

  return {
    tick,
    saw(tenantId, { id, quarantine, quarantined }) {
      if (quarantine === null || quarantined || closed || (seen.size >= SEEN_MAX && !seen.has(id))) return
      seen.set(id, { tenantId, rules: quarantine })
    },
    start() {
      timer ??= setInterval(() => void tick(), TICK_MS).unref()
    },
    async close() {
      closed = true
      clearInterval(timer)
      seen.clear()
      await ticking
    },
  }

  async function lookAtAll(): Promise<void> {
    const begun = now()
    for (const [id, until] of resting) if (until <= begun) resting.delete(id)
    const due = [...seen].filter(([id]) => !resting.has(id)).slice(0, LOOKS_PER_TICK)
    for (const [id, one] of due) {
      if (closed) return
      // Before the look: a call that ends meanwhile has it looked at again.
      seen.delete(id)
      const startedAt = now()
      try {
        await within(LOOK_MS, look(id, one))
      } catch (error) {
        report(error, { tenant_id: one.tenantId, agent_id: id })
        if (!closed && !seen.has(id)) seen.set(id, one)
        return
      } finally {
        const endedAt = now()
        if (endedAt > startedAt) resting.set(id, endedAt + Math.min(endedAt - startedAt, LOOK_MS) * REST_FACTOR)
      }
    }
  }

  async function look(id: string, { tenantId, rules }: Seen): Promise<void> {
    const counts = await countCalls(db, tenantId, id, rules, now())
    const reason = excessOf(rules, counts)
    if (reason === null) return
    const opened = await db.transaction(async (tx) => {
      await lockTenant(tx, tenantId)
      // Whoever released it since the count was taken has the last word.
      if (((await lastReleaseOf(tx, tenantId, id))?.getTime() ?? null) !== counts.releasedAt) return false
      const createdAt = new Date(now())
      if (!(await openQuarantine(tx, { tenantId, agentId: id, reason, createdBy: 'system', createdAt }))) return false
      await record(tx, tenantId, id, createdAt, reason)
      await announce(tx, 'keys', tenantId)
      return true
    })
    if (opened) await changed()
  }
}
