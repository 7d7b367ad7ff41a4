/** The port of a process that serves: what answers there, how it tells that it is ready, and how it stops. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Hono } from 'hono'
import { createPeerOf } from './access/peer.ts'
import type { Config } from './config.ts'
import type { Database } from './db/connect.ts'
import { pendingMigrations } from './db/migrate.ts'
import { formats } from './dialects/index.ts'
import { createDrain, type Drain, type Lead } from './drain.ts'
import type { Desk } from './escalations/desk.ts'
import { type Listening, type ListenParts, listen } from './listen.ts'
import type { countOpen } from './pipeline/count-open.ts'
import { createApp, type ProxyParts } from './proxy/app.ts'
import { type Check, type CheckedParts, createChecks } from './proxy/checks.ts'
import { createLoadShedder } from './proxy/load-shedding.ts'
import { createMemoryShare, memoryOfEach } from './proxy/memory-share.ts'
import { createOperations } from './proxy/operations.ts'
import type { Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'

export type HealthParts = Pick<
  ServingParts,
  'config' | 'version' | 'startedAt' | 'metrics' | 'page' | 'database' | 'watcher' | 'route' | 'limits' | 'auditLog' | 'spool'
>

export interface ServingParts extends Pick<CheckedParts, 'auditLog' | 'spool' | 'limits'>, Pick<ProxyParts, 'admin' | 'report'> {
  config: Config
  version: string
  startedAt: number
  log: Log
  metrics: Metrics
  /** The metrics of all processes; null where there are no others. */
  page: (() => Promise<string | null>) | null
  database: Database
  watcher: { readonly lastPolledAt: number }
  route: { readonly isLoaded: boolean }
  counter: ReturnType<typeof countOpen>
  desk: Pick<Desk, 'waiting' | 'close'>
  certificateExpiring: ListenParts['certificateExpiring']
}

export interface Serving {
  port: number
  /** Where the authority of the certificate lies, when it is ours. */
  caPath: string | null
  /** What it listens on. */
  readonly listeners: { address: string; port: number }[]
  /** What readiness asks. */
  checks(): Promise<Record<string, Check>>
  /** Lets open calls end, for at most the configured time. `hurry` ends the waiting early. */
  drain(lead: Lead, hurry: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Resolves when it listens. Throws where the port or the certificate do not let it. */
export async function openPort(parts: ServingParts): Promise<Serving> {
  const { config, log, metrics, counter, desk, limits, report } = parts
  let draining: Drain | null = null
  const { checks, operations } = createHealth(parts, () => draining?.isDraining ?? false)
  const memoryShare = createMemoryShare(memoryOfEach(config.workers))
  const shedder = createLoadShedder({
    now: () => performance.now(),
    computed: computedMs,
    later: setImmediate,
    memoryShare,
  })
  const app = createApp({
    run: counter.run,
    shedder,
    admin: parts.admin,
    operations,
    peerOf: createPeerOf({ trustedProxies: config.trustedProxies, now: Date.now }),
    needsCertificate: config.clientCaPath !== null,
    allowedHosts: config.allowedHosts,
    allowedOrigins: config.allowedOrigins,
    isStrictTransport: config.tls.mode !== 'auto',
    report,
  })
  metrics.gauge('earthflow_limits_local', '1 while Redis is away and this process counts by itself.', () => (limits.health === 'away' ? 1 : 0), 'max')
  metrics.gauge('earthflow_escalations_waiting', 'Connections that wait for a person now.', () => desk.waiting)
  metrics.gauge('earthflow_open_exchanges', 'Calls under way.', () => counter.open)
  metrics.gauge('earthflow_memory_share', 'How much of the memory that a process may have it has, 0..1; of several processes the most.', memoryShare, 'max')
  metrics.gauge('earthflow_waiting_calls', 'Calls that have arrived and were not begun yet.', () => shedder.waiting)
  metrics.counted('earthflow_shed_total', 'Calls turned away because of too much load, or too little memory.', () => shedder.shed, 'why')

  const door = await listen(app, { config, at: { host: config.host, port: config.port }, log, metrics, certificateExpiring: parts.certificateExpiring })
  const drain = createDrain({
    door,
    open: () => counter.open + shedder.waiting,
    cutAll: counter.cutAll,
    stopWaiting: () => desk.close(),
    drainMs: config.drainMs,
    now: () => performance.now(),
    sleep,
  })
  draining = drain
  return servingOf(door, drain, checks)
}

/** A port that is open. */
export const servingOf = (door: Listening, drain: Drain, checks: Serving['checks']): Serving => ({
  port: door.port,
  caPath: door.caPath,
  get listeners() {
    const address = door.listener.address()
    return typeof address === 'object' && address ? [{ address: address.address, port: address.port }] : []
  },
  checks,
  drain: drain.run,
  async close() {
    await door.stopWatching()
    const closed = door.close(0)
    door.closeAllConnections()
    await closed
  },
})

/** How a process is, and what tells of it. */
export function createHealth(
  { config, version, startedAt, metrics, page, database, watcher, route, limits, auditLog, spool }: HealthParts,
  isDraining: () => boolean,
): { checks: () => Promise<Record<string, Check>>; operations: Hono } {
  const checks = createChecks({
    isDraining,
    databaseSilentMs: () => Date.now() - watcher.lastPolledAt,
    staleMs: config.staleMs,
    pendingMigrations: () => pendingMigrations(database),
    isLoaded: () => route.isLoaded,
    limits,
    auditLog,
    spool,
  })
  const operations = createOperations({
    version,
    startedAt,
    now: Date.now,
    checks,
    info: () => ({
      environment: config.env,
      dialects: formats.map(({ name }) => name),
      database: database.engine,
      audit_durability: config.audit.durability,
    }),
    metrics: { text: page ?? metrics.text, contentType: metrics.contentType },
    adminKey: config.adminKey,
  })
  return { checks, operations }
}

function computedMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
