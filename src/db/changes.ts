/** How every process learns what another one changed: one table, read each second, with a nudge where the server can give one. */
import type { Database, Listening, Tx } from './connect.ts'
import { sql } from './drizzle.ts'
import { changes } from './schema.ts'
import { within } from './unavailable.ts'

export type ChangeKind = (typeof changes.$inferSelect)['kind']
/** What must be read again; a null tenant concerns all of them. */
export type Change = { kind: ChangeKind; tenantId: string | null }

const CHANNEL = 'earthflow_changes'
/** pg_advisory_xact_lock: numbers are given out in the order of commits, else a reader could pass a number that is committed later. */
const CHANGES_LOCK = 0x6561_7274_0002

/**
 * Notes in a transaction what every process must read again once it commits. Call it last in the transaction: from here to the commit no other
 * transaction can announce anything, and one that holds a row this transaction still wants would wait for it for ever.
 */
export async function announce(tx: Tx, kind: ChangeKind, tenantId: string | null): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${CHANGES_LOCK}::bigint)`)
  await tx.insert(changes).values({ kind, tenantId })
  await tx.execute(sql`select pg_notify(${CHANNEL}, '')`)
}

const everything = Object.entries({
  tenants: null,
  keys: null,
  policies: null,
  upstreams: null,
  budgets: null,
  sessions: null,
  users: null,
  webhooks: null,
  escalations: null,
} satisfies Record<ChangeKind, null>).map(([kind, tenantId]) => ({ kind: kind as ChangeKind, tenantId }) satisfies Change)

export type ChangeWatcher = {
  /** Reads the changes now. When it resolves, what was committed before the call was handed over, unless the database failed: `lastPolledAt` tells. Never rejects. */
  poll(): Promise<void>
  /** When the changes were last read with success, in ms since 1970; 0 before the first time. */
  readonly lastPolledAt: number
  start(): void
  close(): Promise<void>
}

export type ChangeWatcherOptions = {
  /** Gets each change once, in order, without duplicates; everything at the first poll and after a long absence. If it throws, it gets the same again. */
  onChange(changed: Change[]): void | Promise<void>
  /** A poll failed and will be tried again; for the log. */
  onError?(error: unknown): void
  everyMs?: number
  /** For one reading. */
  timeoutMs?: number
  now?: () => number
}

const EVERY_MS = 1_000
const TIMEOUT_MS = 2_000
/** More than this at once, and everything is read again instead. */
const CHANGES_PER_POLL_MAX = 1_000
/** After this long without a look, everything is read again. Far less than changes are kept. */
const AWAY_MS = 3_600_000
const PRUNE_EVERY_MS = 3_600_000

/** Watches the changes table from now on. Nothing is read before `start` or the first `poll`. */
export function watchChanges(database: Database, options: ChangeWatcherOptions): ChangeWatcher {
  const { onChange, onError, everyMs = EVERY_MS, timeoutMs = TIMEOUT_MS, now = Date.now } = options
  let position: number | undefined
  let lastPolledAt = 0
  let lastPrunedAt = now()
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let listening: Listening | undefined
  let closed = false

  /** A poll that is under way may have read before the caller's commit, so a second one follows it; all who ask meanwhile share that one. */
  function poll(): Promise<void> {
    if (closed) return Promise.resolve()
    if (!running) {
      running = attempt().finally(() => {
        running = undefined
      })
      return running
    }
    next ??= running.then(() => {
      next = undefined
      return poll()
    })
    return next
  }

  async function attempt(): Promise<void> {
    try {
      await read()
      await prune()
    } catch (error) {
      onError?.(error)
    }
  }

  async function read(): Promise<void> {
    const startedAt = now()
    const seen = startedAt - lastPolledAt > AWAY_MS ? undefined : position
    const { changed, last } = await within(timeoutMs, seen === undefined ? startOver(database) : readSince(database, seen))
    if (changed.length > 0) await onChange(changed)
    position = last
    lastPolledAt = startedAt
  }

  async function prune(): Promise<void> {
    if (now() - lastPrunedAt < PRUNE_EVERY_MS) return
    lastPrunedAt = now()
    await within(timeoutMs, pruneChanges(database))
  }

  function tick(): void {
    timer = setTimeout(() => void poll().then(() => closed || tick()), everyMs).unref()
  }

  return {
    poll,
    get lastPolledAt() {
      return lastPolledAt
    },
    start() {
      if (closed || timer) return
      listening = database.listen?.(CHANNEL, () => void poll())
      void poll()
      tick()
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await Promise.all([listening?.close(), running])
    },
  }
}

type Reading = { changed: Change[]; last: number }

async function startOver(database: Database): Promise<Reading> {
  const [row] = await database.sql<{ last: string | null }[]>`select max(seq) as last from changes`
  return { changed: everything, last: Number(row?.last ?? 0) }
}

/** Reads the row at the position too: if it is gone, changes were pruned behind it, or the database was set back to an older state. */
async function readSince(database: Database, position: number): Promise<Reading> {
  const rows = await database.sql<{ seq: string; kind: ChangeKind; tenant_id: string | null }[]>`
    select seq, kind, tenant_id from changes where seq >= ${position} order by seq limit ${CHANGES_PER_POLL_MAX + 2}`
  const [first, ...fresh] = position === 0 ? [{ seq: '0' }, ...rows] : rows
  if (Number(first?.seq) !== position || fresh.length > CHANGES_PER_POLL_MAX) return startOver(database)
  const changed = new Map<string, Change>()
  for (const row of fresh) {
    const { kind, tenant_id: tenantId } = row as (typeof rows)[number]
    changed.set(JSON.stringify([kind, tenantId]), { kind, tenantId })
  }
  return { changed: [...changed.values()], last: Number(fresh.at(-1)?.seq ?? position) }
}

const PRUNED_AT_ONCE_MAX = 10_000

/** Deletes changes older than a day, some at a time, and never the last one, at which every reader stands. */
export async function pruneChanges(database: Database): Promise<void> {
  await database.sql`
    delete from changes where seq in (
      select seq from changes where at < now() - interval '1 day' and seq < (select max(seq) from changes) order by seq limit ${PRUNED_AT_ONCE_MAX})`
}
