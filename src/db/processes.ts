/** Who is alive: every process keeps a row fresh, and what a dead one left open can be closed by another. */
import { hostname } from 'node:os'
import type { Database, Db, Tx } from './connect.ts'
import { eq, inArray, sql } from './drizzle.ts'
import { auditOpen, processes } from './schema.ts'
import { within } from './unavailable.ts'

const HEARTBEAT_MS = 10_000
const TIMEOUT_MS = 2_000
/** A process that gave no sign for this long is dead. */
const DEAD_AFTER_MS = 60_000

export type RegisteredProcess = {
  /** Says "alive" now; done by itself every ten seconds. Rejects when the database is away. */
  beat(): Promise<void>
  /** Takes the row away: this process left in order. Never rejects; a row that stays is taken for dead soon. */
  close(): Promise<void>
}

export type ProcessIdentity = { id: string; version: string; host?: string; pid?: number }

/** Announces this process before it opens anything, and keeps doing so. Times are the database's, so clocks need not agree. */
export async function registerProcess(database: Database, { id, version, host = hostname(), pid = process.pid }: ProcessIdentity): Promise<RegisteredProcess> {
  const { db } = database
  let timer: NodeJS.Timeout | undefined
  let closed = false

  async function beat(): Promise<void> {
    const heartbeat = db
      .insert(processes)
      .values({ id, host, pid, version })
      .onConflictDoUpdate({ target: processes.id, set: { heartbeatAt: sql`now()` } })
    await within(TIMEOUT_MS, heartbeat)
  }

  function tick(): void {
    if (closed) return
    // A beat that fails is made up by the next; meanwhile the changes watcher says that the database is away.
    timer = setTimeout(() => void beat().then(tick, tick), HEARTBEAT_MS).unref()
  }

  await beat()
  tick()
  return {
    beat,
    async close() {
      closed = true
      clearTimeout(timer)
      await within(TIMEOUT_MS, db.delete(processes).where(eq(processes.id, id))).catch(() => {})
    },
  }
}

/** The processes that are gone: those without a sign of life for `olderThanMs`, and those that left open audit records and are not registered. */
export async function deadProcesses(tx: Db | Tx, olderThanMs: number = DEAD_AFTER_MS): Promise<string[]> {
  const expired = sql<boolean>`${processes.heartbeatAt} < now() - ${olderThanMs} * interval '1 millisecond'`
  const stale = tx.select({ id: processes.id }).from(processes).where(expired)
  const unknown = tx
    .select({ id: auditOpen.processId })
    .from(auditOpen)
    .where(sql`not exists (select from ${processes} where ${processes.id} = ${auditOpen.processId})`)
  const rows = await stale.union(unknown)
  return rows.map(({ id }) => id)
}

/** Takes the rows of dead processes away, once what they left is dealt with. */
export async function forgetProcesses(tx: Db | Tx, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await tx.delete(processes).where(inArray(processes.id, [...ids]))
}
