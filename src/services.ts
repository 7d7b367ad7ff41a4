/** The composition root: builds every part from the configuration, keeps them fresh, and closes them in reverse. */
import { join } from 'node:path'
import { createQuarantineWatch } from './access/quarantine-watch.ts'
import { openAmong } from './access/session-store.ts'
import { type CreatedTenant, createTenant } from './admin/create-tenant.ts'
import { ensureOwner } from './admin/ensure-owner.ts'
import { loadAdmin } from './admin/load-admin.ts'
import { createHashOf } from './audit/prompt-hash.ts'
import { bySystem, type Change, recordChange, recordOnce } from './audit/record-change.ts'
import { createSeal } from './audit/seal.ts'
import { startAuditService } from './audit-service.ts'
import { createBudgets } from './budgets/budgets.ts'
import { keepUse } from './chores.ts'
import { type Config, ConfigError, dotenvOfProcess, environmentOfProcess } from './config.ts'
import { createKeyProvider } from './crypto/key-provider.ts'
import { createKeyring } from './crypto/keyring.ts'
import { createRewrap } from './crypto/rewrap.ts'
import { watchChanges } from './db/changes.ts'
import { connect, type Tx } from './db/connect.ts'
import { migrate } from './db/migrate.ts'
import { ensurePartitions } from './db/partitions.ts'
import { otherProcesses, registerProcess } from './db/processes.ts'
import { connectRedis } from './db/redis.ts'
import { within } from './db/unavailable.ts'
import { dialects } from './dialects/index.ts'
import { createExamination } from './doctor/examination.ts'
import type { Lead } from './drain.ts'
import { waitingBytes } from './escalations/bounds.ts'
import { createDesk } from './escalations/desk.ts'
import { createEscalations } from './escalations/escalations.ts'
import { createIdentity } from './identity-service.ts'
import { newId } from './ids.ts'
import { createLimits, type Limits, type OverLimit, type Taken } from './limits/limits.ts'
import { countOpen } from './pipeline/count-open.ts'
import { createExchangeSpans } from './pipeline/exchange-spans.ts'
import { createObserver } from './pipeline/observe.ts'
import { createOpenSessions } from './pipeline/open-sessions.ts'
import { buildPipeline, buildSettlers, type Parts } from './pipeline/pipeline.ts'
import { serve } from './pipeline/run.ts'
import { memoryOfEach } from './proxy/memory-share.ts'
import { createFindingsCache } from './rules/search/findings-cache.ts'
import { createTurns } from './rules/search/turns.ts'
import { createPolicies } from './rules/store.ts'
import { createSearchThread } from './rules/worker/search-thread.ts'
import { openPort, type Serving, type ServingParts } from './serving.ts'
import { describeError, type Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { createSweep, type Nudge, startTending } from './tending.ts'
import { createTraceService } from './trace-service.ts'
import { createUpstreamService } from './upstream-service.ts'
import { version } from './version.ts'
import { createWebhookService } from './webhook-service.ts'

export { version }

/** Bodies of all calls together: a multiple of the largest single one, but no more than this part of the memory, for each takes its size several times over. */
const BUFFERED_BODIES = 16
const BUFFERED_SHARE_MAX = 1 / 8
const POLL_MS = 1_000
const SESSIONS_MS = 2_000
/** How long a question to the management API waits for what this process has not written yet. */
const RECORDED_MS_MAX = 1_000

export type Earthflow = Awaited<ReturnType<typeof createEarthflow>>

/** What a process is for, where an installation has several on one machine. */
export interface Role {
  /** It listens. */
  serves: boolean
  /** Another process tends the installation, and is told by this what there is to do; null: this one does. */
  tellTender: ((what: Nudge) => void) | null
  /** The metrics of all processes, where there are others. */
  page: (() => Promise<string | null>) | null
}

const alone: Role = { serves: true, tellTender: null, page: null }

/** Builds everything and listens. Throws where the configuration, the database or the port do not let it start. */
export async function createEarthflow(config: Config, log: Log, { serves, tellTender, page }: Role = alone) {
  const closers: (() => Promise<unknown> | unknown)[] = []
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).reverse()) {
      try {
        await one()
      } catch (error) {
        log.warn(describeError(error), 'a part did not close in order')
      }
    }
  }
  try {
    return await build()
  } catch (error) {
    await close()
    throw error
  }

  async function build() {
    const startedAt = Date.now()
    const report = (error: unknown, context: object = {}): void => log.error({ ...describeError(error), ...context }, 'something unexpected happened')

    const database = await connect(config.database.kind === 'embedded' ? { kind: 'embedded', dir: join(config.dataDir, 'database') } : config.database)
    closers.push(() => database.close())
    const { db } = database
    await migrate(database)
    await ensurePartitions(database, new Date())
    const processId = newId('proc')
    const masterKeys = createKeyProvider(config.masterKeys)
    const heartbeat = await registerProcess(database, { id: processId, version, masterKeys: masterKeys.ids })
    closers.push(() => heartbeat.close())
    if (config.env === 'production' && config.redisUrl === null && (await otherProcesses(database, processId)) > 0)
      throw new ConfigError(['REDIS_URL is missing: another process of this installation is alive, and limits must be shared by all.'])

    const keyring = createKeyring(db, masterKeys)
    await keyring.verify() // after the process is known: whoever retires a master key counts on that order
    const seal = createSeal(await keyring.sealKey())
    const record = (tx: Tx, change: Change): Promise<void> => recordChange(tx, change, seal)
    const policies = createPolicies({
      db,
      now: Date.now,
      report: (error, tenantId) => report(error, { tenant_id: tenantId }),
      redactionKey: (tenantId) => keyring.redactionKey(tenantId),
    })
    const searchThread = createSearchThread()
    closers.push(() => searchThread.close())

    let port: Serving | null = null
    let dashboard: Serving | null = null
    const ownListeners = () => [port, dashboard].flatMap((one) => one?.listeners ?? [])
    const metrics = createMetrics({ now: Date.now })
    const providers = await createUpstreamService({ config, db, keyring, log, record, changed: () => changed(), ownListeners, metrics, report })
    closers.push(() => providers.close())
    const { upstreams, route, catalogue, egress, exporters } = providers
    metrics.built(version)
    const tracing = await createTraceService({ config, version, processId, egress: exporters, log, metrics })
    closers.push(() => tracing?.close())

    const budgets = createBudgets({ database, processId, enforce: config.enforceBudgets, report })
    closers.push(() => budgets.close())
    const redis =
      config.redisUrl === null
        ? null
        : await connectRedis({
            url: config.redisUrl,
            onChange: ({ isReady, reason }) => (isReady ? log.info('Redis is there') : log.warn({ reason }, 'Redis is away')),
          })
    if (redis) closers.push(() => redis.close())
    const limits = createLimits({
      ...config.limits,
      redis,
      // Who tends others takes no calls.
      liveProcesses: () => (config.workers === 1 ? heartbeat.live : (heartbeat.live * config.workers) / (config.workers + 1)),
      now: () => performance.now(),
      wallNow: Date.now,
      onModeChange: (mode, cause) =>
        mode === 'shared' ? log.info('limits are shared again') : log.warn(describeError(cause), 'limits are counted by each process: Redis does not answer'),
    })
    closers.push(() => limits.close())

    const webhooks = createWebhookService({ config, database, keyring, egress: exporters, version, metrics, record, changed: () => changed(), report })
    closers.push(() => webhooks.deliveries.close())
    const onTold = (): void => (tellTender ? tellTender('deliveries') : webhooks.deliveries.nudge())
    const escalations = createEscalations({
      db,
      masterKeys,
      record: (tx, change) => record(tx, bySystem(change)),
      told: onTold,
      report,
    })
    const bufferedBytesMax = Math.max(config.bodyBytesMax, Math.min(config.bodyBytesMax * BUFFERED_BODIES, memoryOfEach(config.workers) * BUFFERED_SHARE_MAX))
    const desk = createDesk({ store: escalations, ...waitingBytes(bufferedBytesMax) })
    closers.push(() => desk.close())

    const isStale = (): boolean => Date.now() - watcher.lastPolledAt > config.staleMs
    const identity = createIdentity({ config, db, keyring, egress, redis, isStale })
    const { keys } = identity
    const openSessions = createOpenSessions({ openAmong: (ids) => within(SESSIONS_MS, openAmong(db, ids)), report })
    closers.push(() => openSessions.close())
    const watcher = watchChanges(database, {
      everyMs: POLL_MS,
      onChange: async (changes) => {
        identity.hear(changes)
        await Promise.all(changes.map(({ kind, tenantId }) => kind === 'policies' && policies.forget(tenantId)))
        for (const { kind, tenantId } of changes) if (kind === 'budgets') budgets.forget(tenantId)
        if (changes.some(({ kind }) => kind === 'upstreams')) await route.refresh()
        if (changes.some(({ kind }) => kind === 'sessions')) await openSessions.look()
        if (changes.some(({ kind }) => kind === 'escalations')) await desk.look()
        if (changes.some(({ kind }) => kind === 'webhooks')) await webhooks.reload()
      },
      onError: (error) => log.warn(describeError(error), 'changes could not be read; trying again'),
    })
    closers.push(() => watcher.close())
    await providers.ensure()
    await watcher.poll()
    await route.refresh()
    watcher.start()

    const audit = await startAuditService({
      config,
      database,
      processId,
      version,
      keyring,
      seal,
      egress: exporters,
      listeners: webhooks.subscriptions,
      onTold,
      tellTender: tellTender && (() => tellTender('checkpoint')),
      log,
      metrics,
      report,
    })
    const { log: auditLog, spool } = audit
    closers.push(() => audit.close())
    /** What was just committed is known here at once, and in the chain with the next checkpoint. */
    const changed = async (): Promise<void> => {
      audit.nudge()
      onTold()
      await watcher.poll()
    }
    const sweep = createSweep({ auditLog, swept: () => audit.nudge(), log })
    closers.push(keepUse(() => keys.flushUse(), report))
    if (!tellTender)
      closers.push(await startTending({ database, heartbeat, sweep, deliveries: webhooks.deliveries, expireEscalations: () => escalations.expire(), report }))

    const agents = createQuarantineWatch({
      db,
      now: Date.now,
      record: (tx, tenantId, agentId, at, reason) => record(tx, bySystem({ action: 'agent.quarantine', subject: agentId, tenantId, details: { reason } }, at)),
      changed,
      report,
    })
    closers.push(() => agents.close())
    agents.start()
    const hashOf = createHashOf({ mode: config.hashMode, keyOf: (tenantId) => keyring.hashKey(tenantId) })
    const parts: Parts = {
      keys: identity.callers,
      sessions: openSessions,
      bounds: { bodyBytesMax: config.bodyBytesMax, bufferedBytesMax },
      fingerprints: { hashPrompts: config.hashPrompts, hashOf },
      limits: timed(limits, metrics),
      budgets,
      agents,
      route,
      policies: {
        of: (tenantId, session) => policies.of(tenantId, session),
        shared: { turns: createTurns(), cache: createFindingsCache(), thread: searchThread },
      },
      auditLog,
      desk,
    }
    const spansOf = tracing && createExchangeSpans(tracing)
    const counter = countOpen(serve(buildPipeline(parts), buildSettlers(parts), createObserver({ log, metrics, spansOf, report })))
    const takesCalls = serves && config.services !== 'dashboard'
    const adminParts = {
      catalogue,
      database,
      db,
      logKey: audit.logKey,
      keys,
      people: identity.people,
      sessions: identity.sessions,
      passwords: identity.passwords,
      loginTokens: identity.loginTokens,
      throttle: identity.throttle,
      rewrap: createRewrap(db, masterKeys),
      settings: config.shown,
      doctor: {
        examine: createExamination({ config, environment: environmentOfProcess(), dotenv: dotenvOfProcess(), database }),
        services: async () => (port ?? dashboard)?.checks() ?? null,
      },
      openCalls: () => (takesCalls ? counter.open : null),
      loginFailed: (why: 'credentials' | 'throttled', context: object) => {
        metrics.loginFailed(why)
        log.warn({ why, ...context }, 'a login failed')
      },
      allowedOrigins: config.allowedOrigins,
      upstreams,
      endpoints: webhooks.endpoints,
      webhooks: webhooks.deliveries,
      escalations,
      checkUpstream: providers.check,
      // Who sends nothing has seen nothing of how they fare.
      standingOf: (id: string) => (takesCalls ? providers.standingOf(id) : undefined),
      hashPrompts: config.hashPrompts,
      hashMode: config.hashMode,
      hashOf,
      version,
      adminKey: config.adminKey,
      defaultRequestsPerMinute: config.limits.defaultRpm,
      dialects,
      now: Date.now,
      changed,
      seal,
      recorded: async () => {
        if (!auditLog.isAway) await auditLog.settled(RECORDED_MS_MAX)
      },
      report,
    }
    const admin = loadAdmin(adminParts)

    const certificateExpiring: ServingParts['certificateExpiring'] = async ({ fingerprint, expiresAt, days, since }) => {
      const change = { action: 'certificate.expiring', subject: fingerprint, tenantId: null, details: { expires_at: expiresAt.toISOString(), days } } as const
      if (await recordOnce(db, bySystem(change), since, seal)) await changed()
    }
    const watched = { database, watcher, route, limits, auditLog, spool, counter, desk }
    const serving = { config, version, startedAt, log, metrics, page, admin, certificateExpiring, report, ...watched }
    const isAlone = config.services === 'dashboard'
    // Of several processes one has it, and that is not one that comes and goes.
    if (!tellTender && config.services !== 'proxy') {
      const { openDashboard } = await import('./dashboard-port.ts') // a process of calls alone does without it
      dashboard = await openDashboard({ ...serving, isAlone, proxyPort: () => port?.port ?? config.port })
      closers.push(dashboard.close)
    }
    if (serves && !isAlone) {
      port = await openPort(serving)
      closers.push(port.close)
    }

    return {
      /** Where it listens, or others do. */
      port: port?.port ?? config.port,
      /** Null where there is no dashboard. */
      dashboardPort: dashboard?.port ?? null,
      database,
      admin,
      keys,
      /** With a key of all the rights a tenant's first key has. */
      createTenant: ({ name, preset }: { name: string; preset: string }): Promise<CreatedTenant> =>
        createTenant(
          adminParts,
          { actor: { kind: 'system' }, requestId: newId('req') },
          { name, rulesPreset: preset, maxRequestsPerMinute: null, allowedModels: null, contactEmail: null },
        ),
      ensureOwner: (owner: { email: string; password: string; reset: boolean }) => ensureOwner(adminParts, owner),
      /** Closes what dead processes left open. The timer does it too. */
      sweep,
      /** Resolves when all calls that have ended until now are in the database. */
      recorded: (msMax: number) => auditLog.settled(msMax),
      caPath: (port ?? dashboard)?.caPath ?? null,
      sandbox: providers.hasSandbox,
      metrics,
      /** Another process wrote what this one has to see to. */
      nudge: (what: Nudge) => (what === 'deliveries' ? onTold() : audit.nudge()),
      /** Lets open calls end, for at most the configured time, then closes every part. `hurry` ends the waiting early. */
      async stop(hurry: AbortSignal, lead: Lead = 'none'): Promise<void> {
        await Promise.all([port, dashboard].map((one) => one?.drain(lead, hurry)))
        await close()
      },
    }
  }
}

/** The same limits, whose decisions are measured, and whose refusals are counted. */
const timed = (limits: Limits, { limited, limitRejected }: Metrics): Pick<Limits, 'take' | 'peek'> => ({
  peek: (caller) => limits.peek(caller),
  take(call) {
    const began = performance.now()
    const decided = (taken: Taken): Taken => {
      limited(taken.mode, performance.now() - began)
      if (taken.over && !taken.over.never && taken.over.most > 0) limitRejected(call.caller.tenant.id, nameOfLimit(taken.over))
      return taken
    }
    const taken = limits.take(call)
    return taken instanceof Promise ? taken.then(decided) : decided(taken)
  },
})

/** One of few words, such as `key_tokens_per_day` or `tenant_concurrency`. */
const nameOfLimit = ({ subject, of, per }: OverLimit): string => `${subject}_${of}${per === null ? '' : `_per_${per}`}`
