/** Whom calls go to: providers and the ways to them, the sandbox, and what settings make. */
import { bySystem, type Change, lastActorOn, lastChange } from './audit/record-change.ts'
import type { Config } from './config.ts'
import type { Keyring } from './crypto/keyring.ts'
import type { Db, Tx } from './db/connect.ts'
import { formats } from './dialects/index.ts'
import { parseEgressAllow } from './egress/allow.ts'
import { createEgress } from './egress/dispatcher.ts'
import type { OwnListener } from './egress/guard.ts'
import { createCatalogue } from './prices/catalogue.ts'
import { createSandbox, sandboxDialects } from './sandbox/sandbox.ts'
import type { Log } from './telemetry/log.ts'
import { createUpstreamCheck } from './upstreams/check.ts'
import { providers, upstreamsOf } from './upstreams/from-settings.ts'
import { createUpstreamHealth } from './upstreams/health.ts'
import { createHealthRecord } from './upstreams/health-record.ts'
import { liesIn } from './upstreams/regions.ts'
import { createRoute } from './upstreams/route.ts'
import { createUpstreamStore, type RecordChange, type UpstreamStore } from './upstreams/store.ts'
import { waysOut } from './ways-out.ts'

export interface UpstreamServiceParts {
  config: Config
  db: Db
  keyring: Keyring
  log: Log
  /** Writes down what the program itself changes. */
  record: (tx: Tx, change: Change) => Promise<void>
  /** Something was committed that this process has to read again, and to tell. */
  changed: () => Promise<void>
  ownListeners: () => readonly OwnListener[]
  metrics?: UpstreamMetrics
  report: (error: unknown, context?: object) => void
}

/** Who counts attempts, and asks whose breakers are open. All by the names of upstreams. */
export interface UpstreamMetrics {
  upstreamAttempted(upstream: string, result: string): void
  upstreamRepeated(upstream: string): void
  breakerOpened(upstream: string): void
  breakers(read: () => Iterable<readonly [upstream: string, open: number]>): void
}

export async function createUpstreamService({ config, db, keyring, log, record, changed, ownListeners, metrics, report }: UpstreamServiceParts) {
  const isDevelopment = config.env === 'development'
  const { egress, exporters, regions, closed } = waysOut(config, ownListeners)
  const sandbox = isDevelopment ? await createSandbox() : null
  const upstreams = createUpstreamStore({
    db,
    keyring,
    checkUrl: (url) => egress.check(url, { https: isDevelopment ? 'optional' : 'unless opened' }),
    dialects: formats.map(({ name }) => name),
    regions,
    report: (error, upstream) => report(error, { upstream: upstream.name }),
  })
  // The sandbox may be reached on loopback whatever EGRESS_ALLOW says, and nothing else may.
  const sandboxEgress = sandbox && createEgress({ allow: parseEgressAllow(new URL(sandbox.origin).host) })
  const catalogue = createCatalogue()
  const healthRecord = createHealthRecord({
    async record({ name, tenantId }, action, details) {
      await db.transaction((tx) => record(tx, bySystem({ action, subject: name, tenantId, details })))
      await changed()
    },
    async failuresOnRecord({ name, tenantId }) {
      const last = await lastChange(db, { tenantId, subject: name, actions: ['upstream.down', 'upstream.up'] })
      return last?.action === 'upstream.down' ? Number(last.details.failures) : null
    },
    report,
  })
  const health = createUpstreamHealth({ onChange: (transition) => healthRecord.changed(transition), onAnswer: (upstream) => healthRecord.answered(upstream) })
  const route = createRoute({
    load: () => upstreams.load(),
    egress,
    sandbox: sandbox && sandboxEgress ? () => sandboxEgress.pool(sandbox.origin) : null,
    defaults: config.upstreams,
    regions,
    catalogue,
    health,
    watch: {
      attempted: ({ name }, result) => metrics?.upstreamAttempted(name, result),
      repeated: ({ name }) => metrics?.upstreamRepeated(name),
      breakerChanged({ name, tenantId }, isOpen) {
        if (isOpen) metrics?.breakerOpened(name)
        const told = { upstream: name, ...(tenantId === null ? {} : { tenant_id: tenantId }) }
        if (isOpen) log.warn(told, 'an upstream fails and is left alone, but for a probe every second')
        else log.info(told, 'an upstream answers again')
      },
    },
  })
  metrics?.breakers(() => route.left())
  const recorded =
    (subject: string): RecordChange =>
    (tx, action) =>
      record(tx, bySystem({ action, subject, tenantId: null }))

  return {
    upstreams,
    route,
    catalogue,
    egress,
    /** To whoever is told of things. */
    exporters,
    hasSandbox: sandbox !== null,
    standingOf: (id: string) => route.standingOf(id),
    check: createUpstreamCheck({
      credentialOf: (row) => upstreams.credentialOf(row),
      pool: egress.pool,
      regions,
      sandbox: sandbox && sandboxEgress ? (options) => sandboxEgress.pool(sandbox.origin, options) : null,
    }),
    /** Makes and retires what settings name. */
    async ensure(): Promise<void> {
      for (const provider of upstreamsOf(config, sandboxDialects)) await upstreams.ensure(provider, recorded(provider.name))
      const shut = await withoutRegion(upstreams, closed, regions)
      if (shut.length > 0)
        log.warn({ upstreams: shut }, 'these upstreams of settings serve nothing: EARTHFLOW_LOCALITY closes the internet, and they name no region')
      // What was made of a setting ends with it, unless an administrator has taken it over since.
      for (const { name, key } of providers) {
        if (config.upstreams[key] === null && (await lastActorOn(db, 'upstream', name)) === 'system') await upstreams.retire(name, recorded(name))
      }
    },
    async close(): Promise<void> {
      await healthRecord.close()
      await route.close()
      await sandbox?.close()
    },
  }
}

/** Of the providers that settings name, those to which nobody has given one of the regions that calls may go to. */
async function withoutRegion(upstreams: UpstreamStore, names: readonly string[], regions: readonly string[] | null): Promise<string[]> {
  const rows = await Promise.all(names.map((name) => upstreams.find(null, name)))
  return rows.flatMap((row) => (row && (regions === null || !liesIn(row, regions)) ? [row.name] : []))
}
