/** Who is alive: every process keeps a row fresh, and what a dead one left open can be closed by another. */
import { hostname } from 'node:os'
import type { Database, Db, Tx } from './connect.ts'
import { and, eq, ne, sql } from './drizzle.ts'
import { isRunning } from './is-running.ts'
import { auditOpen, processes, reservations } from './schema.ts'
import { within } from './unavailable.ts'

const HEARTBEAT_MS = 10_000
const TIMEOUT_MS = 2_000
/** A process that gave no sign for this long is dead. */
export const DEAD_AFTER_SECONDS = 60

export type RegisteredProcess = {
  /** How many were alive at the last sign of life, this one included; for as long as the database is away that stays as it was. */
  readonly live: number
  /** How many others were dead then and had left something behind. */
  readonly silent: number
  /** What was past its time then, so that somebody has to see to it. */
  readonly late: Late
  /** Says "alive" now; done by itself every ten seconds. Rejects when the database is away. */
  beat(): Promise<void>
  /** Takes the row away: this process left in order. Never rejects; a row that stays, as it does over what is still open, is taken for dead soon. */
  close(): Promise<void>
}

export interface Late {
  /** Deliveries that nobody has begun in time. */
  deliveries: boolean
  /** Held calls about which nobody has decided in time. */
  escalations: boolean
}

/** A delivery that is due for so long has been forgotten: by who was told of it, or who died over it. */
const LATE_SECONDS = 10

/** `masterKeys`: the ids of those it was given, the current one first. */
export type ProcessIdentity = { id: string; version: string; masterKeys?: readonly string[]; host?: string; pid?: number }

/** What a process last said of itself. */
export type ProcessReport = Pick<typeof processes.$inferSelect, 'id' | 'host' | 'pid' | 'masterKeys'>

/** Announces this process before it opens anything, and keeps doing so. Times are the database's, so clocks need not agree. */
export async function registerProcess(
  database: Database,
  { id, version, masterKeys = [], host = hostname(), pid = process.pid }: ProcessIdentity,
): Promise<RegisteredProcess> {
  const { db } = database
  const keys = JSON.stringify(masterKeys)
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let live = 1
  let silent = 0
  let late: Late = { deliveries: false, escalations: false }

  async function beat(): Promise<void> {
    const [others] = await within(
      TIMEOUT_MS,
      db.execute<{ live: number; silent: number; late_deliveries: boolean; late_escalations: boolean }>(sql`
        with beat as (
          insert into processes (id, host, pid, version, master_keys) values (${id}, ${host}, ${pid}, ${version}, ${keys}::text::jsonb)
          on conflict (id) do update set heartbeat_at = now()
        )
        select count(*) filter (where ${isAlive})::int as live, count(*) filter (where not ${isAlive})::int as silent,
          exists (select from webhook_deliveries where state = 'pending' and due_at < now() - make_interval(secs => ${LATE_SECONDS})) as late_deliveries,
          exists (select from escalations where content is not null and expires_at < now()) as late_escalations
        from processes where id <> ${id}`),
    )
    live = 1 + (others?.live ?? 0)
    silent = others?.silent ?? 0
    late = { deliveries: others?.late_deliveries ?? false, escalations: others?.late_escalations ?? false }
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
    get live() {
      return live
    },
    get silent() {
      return silent
    },
    get late() {
      return late
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await within(TIMEOUT_MS, db.delete(processes).where(and(eq(processes.id, id), leftNothing))).catch(() => {})
    },
  }
}

/** Once its row is gone, nobody would look for it. */
const leftNothing = sql`not exists (select from ${auditOpen} where ${auditOpen.processId} = ${processes.id})
  and not exists (select from ${reservations} where ${reservations.processId} = ${processes.id})`

const isAlive = sql`${processes.heartbeatAt} > now() - make_interval(secs => ${DEAD_AFTER_SECONDS})`

/**
 * Other processes that are alive, as far as their rows tell: not one of this host whose number is ours or nobody's any more, which is what a crash leaves
 * for a minute.
 */
export async function otherProcesses({ db }: Pick<Database, 'db'>, id: string, { host = hostname(), pid = process.pid } = {}): Promise<number> {
  const rows = await db
    .select({ host: processes.host, pid: processes.pid })
    .from(processes)
    .where(and(isAlive, ne(processes.id, id)))
  return rows.filter((other) => other.host !== host || (other.pid !== pid && isRunning(other.pid))).length
}

/** Every process that gave a sign of life within DEAD_AFTER_SECONDS, oldest first. One that was killed is among them until then: this errs on its side. */
export async function liveProcesses(db: Db | Tx): Promise<ProcessReport[]> {
  const { id, host, pid, masterKeys, startedAt } = processes
  return db.select({ id, host, pid, masterKeys }).from(processes).where(isAlive).orderBy(startedAt, id)
}

/**
 * Takes the rows of dead processes away: those without a sign of life for DEAD_AFTER_SECONDS that left neither an audit record nor a reservation. A process that was only
 * slow registers again with its next one.
 */
export async function forgetDeadProcesses({ db }: Pick<Database, 'db'>): Promise<void> {
  const isSilent = sql`${processes.heartbeatAt} < now() - make_interval(secs => ${DEAD_AFTER_SECONDS})`
  await db.delete(processes).where(and(isSilent, leftNothing))
}
