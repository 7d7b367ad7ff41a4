import type { Pool } from 'undici'
import type { Caller, ModelCall } from '../call.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { Egress } from '../egress/dispatcher.ts'
import { matchesPattern } from '../model-pattern.ts'
import type { LoadedUpstream } from './store.ts'
import type { Upstream } from './upstream.ts'

/** A call that was admitted to an upstream may be on its way to it for so long, for its record has to be committed first. */
const RETIRE_MS = 10_000
/** Calls that may wait for one of an upstream's connections. */
const QUEUE_MAX = 1024
/** Answers to "who serves this model for this tenant?" kept until upstreams change. */
const ANSWERS_MAX = 10_000

interface Placed {
  row: LoadedUpstream
  upstream: Upstream
  /** What the pool was made from: while it stays the same, so do the connections. */
  made: string
}

export interface RouteOptions {
  load: () => Promise<readonly LoadedUpstream[]>
  egress: Egress
  /** Connections to the built-in sandbox, whose base URL is `sandbox:`; null where there is none. */
  sandbox: (() => Pool) | null
  defaults: { firstByteMs: number; idleMs: number }
  /** From 0 to 1, for the choice among equals. */
  random?: () => number
}

/** Who serves a call: the tenant's own upstreams and the installation's, by dialect and model; by priority, then at random by weight. */
export function createRoute({ load, egress, sandbox, defaults, random = Math.random }: RouteOptions) {
  let placed: readonly Placed[] = []
  let answers = new Map<string, readonly Placed[]>()
  let loaded = false

  const place = (row: LoadedUpstream, earlier: ReadonlyMap<string, Placed>): Placed => {
    const isSandbox = row.baseUrl === 'sandbox:'
    const { origin, pathname } = isSandbox ? { origin: 'sandbox:', pathname: '/' } : new URL(row.baseUrl)
    const made = JSON.stringify([origin, row.timeouts])
    const before = earlier.get(row.id)
    const { connect_seconds, first_byte_seconds, idle_seconds } = row.timeouts
    const pool =
      before?.made === made
        ? before.upstream.pool
        : isSandbox && sandbox
          ? sandbox()
          : egress.pool(origin, {
              firstByteMs: first_byte_seconds === undefined ? defaults.firstByteMs : first_byte_seconds * 1000,
              idleMs: idle_seconds === undefined ? defaults.idleMs : idle_seconds * 1000,
              ...(connect_seconds === undefined ? {} : { connectMs: connect_seconds * 1000 }),
            })
    const upstream: Upstream = {
      id: row.id,
      name: row.name,
      // The sandbox answers at the paths themselves, whatever the dialect.
      basePath: isSandbox ? null : pathname.replace(/\/$/, ''),
      pool,
      credential: row.credential,
      passthrough: row.credentialMode === 'passthrough',
      queueMax: QUEUE_MAX,
    }
    return { row, upstream, made }
  }

  const retiring = new Map<Pool, NodeJS.Timeout>()
  const retire = (pool: Pool): void => {
    const close = (): void => {
      retiring.delete(pool)
      pool.close().catch(() => {}) // one that is closed already is as good
    }
    retiring.set(pool, setTimeout(close, RETIRE_MS).unref())
  }

  return {
    /** Reads the rows again. Connections of upstreams that stayed the same stay open; those of others end when their calls have. */
    async refresh(): Promise<void> {
      const rows = await load()
      const earlier = new Map(placed.map((one) => [one.row.id, one]))
      placed = rows.filter(({ baseUrl }) => baseUrl !== 'sandbox:' || sandbox).map((row) => place(row, earlier))
      answers = new Map()
      loaded = true
      const kept = new Set(placed.map(({ upstream }) => upstream.pool))
      for (const { upstream } of earlier.values()) if (!kept.has(upstream.pool)) retire(upstream.pool)
    },
    get isLoaded(): boolean {
      return loaded
    },
    candidates({ tenant }: Caller, { model }: ModelCall, dialect: Dialect): readonly Upstream[] {
      const question = `${tenant.id}\n${dialect.name}\n${model}`
      let found = answers.get(question)
      if (!found) {
        found = placed
          .filter(
            ({ row }) =>
              (row.tenantId === null || row.tenantId === tenant.id) &&
              row.dialects.includes(dialect.name) &&
              row.models.some((pattern) => matchesPattern(pattern, model)),
          )
          .sort((a, b) => b.row.priority - a.row.priority)
        if (answers.size >= ANSWERS_MAX) answers.delete(answers.keys().next().value as string)
        answers.set(question, found)
      }
      return found.length < 2 ? found.map(({ upstream }) => upstream) : shuffled(found, random).map(({ upstream }) => upstream)
    },
    /** Ends all connections, in the middle of an answer too. */
    async close(): Promise<void> {
      for (const timer of retiring.values()) clearTimeout(timer)
      await Promise.all([...placed.map(({ upstream }) => upstream.pool), ...retiring.keys()].map((pool) => pool.destroy()))
    },
  }
}

/** Within one priority, an upstream of weight 3 comes first three times as often as one of weight 1. */
function shuffled(sorted: readonly Placed[], random: () => number): Placed[] {
  // Efraimidis and Spirakis, 2006: sorting by random^(1/weight) draws without replacement in proportion to weight.
  const drawn = sorted.map((one) => ({ one, key: random() ** (1 / Math.max(one.row.weight, 1e-9)) }))
  return drawn.sort((a, b) => b.one.row.priority - a.one.row.priority || b.key - a.key).map(({ one }) => one)
}
