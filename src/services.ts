/** The composition root: builds every part from the configuration, keeps them fresh, and closes them in reverse. */
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createKeys } from './access/keys.ts'
import { createQuarantineWatch } from './access/quarantine-watch.ts'
import { createAdmin } from './admin/app.ts'
import { type CreatedTenant, createTenant } from './admin/create-tenant.ts'
import { createAuditLog } from './audit/log.ts'
import { createHashOf } from './audit/prompt-hash.ts'
import { lastActorOn, recordChange } from './audit/record-change.ts'
import { createBudgets } from './budgets/budgets.ts'
import { type Config, ConfigError } from './config.ts'
import { createKeyring } from './crypto/keyring.ts'
import { watchChanges } from './db/changes.ts'
import { connect } from './db/connect.ts'
import { migrate, pendingMigrations } from './db/migrate.ts'
import { ensurePartitions } from './db/partitions.ts'
import { forgetDeadProcesses, otherProcesses, registerProcess } from './db/processes.ts'
import { connectRedis } from './db/redis.ts'
import { runPrepared } from './db/run-prepared.ts'
import { isUnavailable } from './db/unavailable.ts'
import { dialects, formats } from './dialects/index.ts'
import { parseEgressAllow } from './egress/allow.ts'
import { createEgress } from './egress/dispatcher.ts'
import { Failure } from './errors.ts'
import { newId } from './ids.ts'
import { createLimits, type Limits } from './limits/limits.ts'
import { countOpen } from './pipeline/count-open.ts'
import { createObserver } from './pipeline/observe.ts'
import { buildPipeline, buildSettlers, type Parts } from './pipeline/pipeline.ts'
import { serve } from './pipeline/run.ts'
import { createCatalogue } from './prices/catalogue.ts'
import { createApp } from './proxy/app.ts'
import { ensureDevelopmentCertificate } from './proxy/certificates.ts'
import { createChecks } from './proxy/checks.ts'
import { createListener } from './proxy/listener.ts'
import { createOperations } from './proxy/operations.ts'
import { createFindingsCache } from './rules/search/findings-cache.ts'
import { createTurns } from './rules/search/turns.ts'
import { createPolicies } from './rules/store.ts'
import { createSearchThread } from './rules/worker/search-thread.ts'
import { createSandbox, sandboxDialects } from './sandbox/sandbox.ts'
import { describeError, type Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { createUpstreamCheck } from './upstreams/check.ts'
import { createRoute } from './upstreams/route.ts'
import { createUpstreamStore, type RecordChange, SANDBOX_URL, type UpstreamFields } from './upstreams/store.ts'

export const version: string = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version

/** Bodies of all calls together; a multiple of the largest single one. */
const BUFFERED_BODIES = 16
const SWEEP_MS = 30_000
const POLL_MS = 1_000
const STOP_AUDIT_MS = 10_000

export type Earthflow = Awaited<ReturnType<typeof createEarthflow>>

/** Builds everything and listens. Throws where the configuration, the database or the port do not let it start. */
export async function createEarthflow(config: Config, log: Log) {
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
    const isDevelopment = config.env === 'development'

    const database = await connect(config.database.kind === 'embedded' ? { kind: 'embedded', dir: join(config.dataDir, 'database') } : config.database)
    closers.push(() => database.close())
    const { db } = database
    await migrate(database)
    await ensurePartitions(database, new Date())
    const processId = newId('proc')
    const heartbeat = await registerProcess(database, { id: processId, version })
    closers.push(() => heartbeat.close())
    if (config.env === 'production' && config.redisUrl === null && (await otherProcesses(database, processId)) > 0)
      throw new ConfigError(['REDIS_URL is missing: another process of this installation is alive, and limits must be shared by all.'])

    const keyring = createKeyring(db, config.masterKeys)
    await keyring.verify()
    const keys = createKeys({ db, keyring, now: Date.now, defaultRequestsPerMinute: config.limits.defaultRpm, kind: isDevelopment ? 'test' : 'live' })
    const policies = createPolicies({
      db,
      now: Date.now,
      report: (error, tenantId) => report(error, { tenant_id: tenantId }),
      redactionKey: (tenantId) => keyring.redactionKey(tenantId),
    })
    const searchThread = createSearchThread()
    closers.push(() => searchThread.close())

    let server: Server | undefined
    const ownListeners = () => {
      const address = server?.address()
      return typeof address === 'object' && address ? [{ address: address.address, port: address.port }] : []
    }
    const egress = createEgress({ allow: config.egressAllow, own: ownListeners })
    const sandbox = isDevelopment ? await createSandbox() : null
    if (sandbox) closers.push(() => sandbox.close())
    const upstreams = createUpstreamStore({
      db,
      keyring,
      checkUrl: (url) => egress.check(url, { https: isDevelopment ? 'optional' : 'unless opened' }),
      dialects: formats.map(({ name }) => name),
      report: (error, upstream) => report(error, { upstream: upstream.name }),
    })
    // The sandbox may be reached on loopback whatever EGRESS_ALLOW says, and nothing else may.
    const sandboxEgress = sandbox && createEgress({ allow: parseEgressAllow(new URL(sandbox.origin).host) })
    const catalogue = createCatalogue()
    const route = createRoute({
      load: () => upstreams.load(),
      egress,
      sandbox: sandbox && sandboxEgress ? () => sandboxEgress.pool(sandbox.origin) : null,
      defaults: config.upstreams,
      catalogue,
    })
    closers.push(() => route.close())

    const budgets = createBudgets({ database, processId, enforce: config.enforceBudgets, report })
    closers.push(() => budgets.close())
    const metrics = createMetrics({ now: Date.now })
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
      liveProcesses: () => heartbeat.live,
      now: () => performance.now(),
      wallNow: Date.now,
      onModeChange: (mode, cause) =>
        mode === 'shared' ? log.info('limits are shared again') : log.warn(describeError(cause), 'limits are counted by each process: Redis does not answer'),
    })
    closers.push(() => limits.close())

    const watcher = watchChanges(database, {
      everyMs: POLL_MS,
      onChange: async (changes) => {
        for (const { kind, tenantId } of changes) if (kind === 'keys' || kind === 'tenants') keys.forget(tenantId)
        await Promise.all(changes.map(({ kind, tenantId }) => kind === 'policies' && policies.forget(tenantId)))
        for (const { kind, tenantId } of changes) if (kind === 'budgets') budgets.forget(tenantId)
        if (changes.some(({ kind }) => kind === 'upstreams')) await route.refresh()
      },
      onError: (error) => log.warn(describeError(error), 'changes could not be read; trying again'),
    })
    closers.push(() => watcher.close())
    const recorded =
      (subject: string): RecordChange =>
      (tx, action) =>
        recordChange(tx, { action, subject, actor: 'system', tenantId: null, keyPrefix: null, requestId: newId('req'), at: new Date() })
    for (const provider of providersOf(config)) await upstreams.ensure(provider, recorded(provider.name))
    // What was made of a setting ends with it, unless an administrator has taken it over since.
    for (const { name, key } of providers) {
      if (config.upstreams[key] === null && (await lastActorOn(db, 'upstream', name)) === 'system') await upstreams.retire(name, recorded(name))
    }
    await watcher.poll()
    await route.refresh()
    watcher.start()
    const isStale = (): boolean => Date.now() - watcher.lastPolledAt > config.staleMs

    const auditLog = createAuditLog({
      run: (statement) => runPrepared(database, statement),
      processId,
      isUnavailable,
      report,
      onCrossing({ tenantId, budgetId, percent, window }) {
        metrics.crossed(tenantId, percent)
        log.warn({ tenant_id: tenantId, budget_id: budgetId, percent, window }, 'a budget is being used up')
      },
    })
    closers.push(() => auditLog.stop(STOP_AUDIT_MS))
    const chores = setInterval(() => {
      auditLog.sweep().then((rows) => rows > 0 && log.warn({ rows }, 'exchanges of a dead process were closed as unknown'), report)
      forgetDeadProcesses(database).catch(report)
      keys.flushUse().catch(report)
      ensurePartitions(database, new Date()).catch(report)
    }, SWEEP_MS).unref()
    closers.push(() => {
      clearInterval(chores)
      return keys.flushUse()
    })
    await auditLog.sweep()

    const agents = createQuarantineWatch({
      db,
      now: Date.now,
      record: (tx, tenantId, agentId, at) =>
        recordChange(tx, { action: 'agent.quarantine', subject: agentId, actor: 'system', tenantId, keyPrefix: null, requestId: newId('req'), at }),
      changed: () => watcher.poll(),
      report,
    })
    closers.push(() => agents.close())
    agents.start()
    const hashOf = createHashOf({ mode: config.hashMode, keyOf: (tenantId) => keyring.hashKey(tenantId) })
    const parts: Parts = {
      keys: {
        find: (key) => {
          if (isStale()) throw new Failure('unavailable', new Error('What is loaded is older than EARTHFLOW_STALE_SECONDS.'))
          return keys.find(key)
        },
      },
      bounds: { bodyBytesMax: config.bodyBytesMax, bufferedBytesMax: config.bodyBytesMax * BUFFERED_BODIES },
      fingerprints: { hashPrompts: config.hashPrompts, hashOf },
      limits: timed(limits, metrics),
      budgets,
      agents,
      route,
      policies: { of: (tenantId) => policies.of(tenantId), shared: { turns: createTurns(), cache: createFindingsCache(), thread: searchThread } },
      auditLog,
    }
    const counter = countOpen(serve(buildPipeline(parts), buildSettlers(parts), createObserver({ log, metrics, report })))
    const adminParts = {
      catalogue,
      db,
      keys,
      upstreams,
      checkUpstream: createUpstreamCheck({
        credentialOf: (row) => upstreams.credentialOf(row),
        pool: egress.pool,
        sandbox: sandbox && sandboxEgress ? (options) => sandboxEgress.pool(sandbox.origin, options) : null,
      }),
      hashPrompts: config.hashPrompts,
      hashMode: config.hashMode,
      hashOf,
      version,
      adminKey: config.adminKey,
      defaultRequestsPerMinute: config.limits.defaultRpm,
      dialects,
      now: Date.now,
      changed: () => watcher.poll(),
      report,
    }
    const admin = createAdmin(adminParts)

    let draining = false
    const checks = createChecks({
      isDraining: () => draining,
      databaseSilentMs: () => Date.now() - watcher.lastPolledAt,
      staleMs: config.staleMs,
      pendingMigrations: () => pendingMigrations(database),
      isLoaded: () => route.isLoaded,
      limits,
      auditLog,
    })
    const operations = createOperations({
      version,
      startedAt,
      now: Date.now,
      checks,
      info: () => ({ environment: config.env, dialects: formats.map(({ name }) => name), database: database.engine, audit_durability: 'strict' }),
      metrics,
      adminKey: config.adminKey,
    })
    metrics.gauge('earthflow_limits_local', '1 while Redis is away and this process counts by itself.', () => (limits.health === 'away' ? 1 : 0))
    metrics.gauge('earthflow_open_exchanges', 'Calls under way.', () => counter.open)
    metrics.gauge('earthflow_audit_backlog', 'Ended exchanges whose row the database has not taken yet.', () => auditLog.backlog)

    const tls = await tlsOf(config)
    const listener = createListener(createApp({ run: counter.run, admin, operations, report }), {
      mode: config.tls.mode,
      tls: tls && { key: tls.key, cert: tls.cert },
    })
    server = listener
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject)
      listener.listen({ port: config.port, host: config.host, backlog: 4096 }, () => {
        listener.off('error', reject)
        resolve()
      })
    })
    const address = listener.address()
    const port = typeof address === 'object' && address ? address.port : config.port
    let closed: Promise<void> | undefined
    const closeListener = (): Promise<void> => (closed ??= new Promise<void>((resolve) => listener.close(() => resolve())))
    closers.push(() => {
      const done = closeListener()
      listener.closeAllConnections()
      return done
    })

    return {
      port,
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
      /** Closes what dead processes left open. The timer does it too. */
      sweep: () => auditLog.sweep(),
      tls,
      sandbox: sandbox !== null,
      /** Lets open calls end, for at most the configured time, then closes every part. `hurry` ends the waiting early. */
      async stop(hurry: AbortSignal): Promise<void> {
        draining = true
        void closeListener()
        const deadline = Date.now() + config.drainMs
        while (counter.open > 0 && Date.now() < deadline && !hurry.aborted) {
          await new Promise((resolve) => setTimeout(resolve, DRAIN_STEP_MS))
        }
        // Whoever is still there is cut off, and every exchange settles before the log is closed.
        listener.closeAllConnections()
        for (const end = Date.now() + SETTLE_MS_MAX; counter.open > 0 && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, SETTLE_STEP_MS))
        await close()
      },
    }
  }
}

/** The same limits, whose decisions are measured. */
const timed = (limits: Limits, { limited }: Metrics): Pick<Limits, 'take' | 'peek'> => ({
  peek: (caller) => limits.peek(caller),
  async take(call) {
    const began = performance.now()
    const taken = await limits.take(call)
    limited(taken.mode, performance.now() - began)
    return taken
  },
})

const DRAIN_STEP_MS = 100
const SETTLE_MS_MAX = 5_000
const SETTLE_STEP_MS = 10

/** The certificate to serve, and where its authority lies when it is ours; null where somebody else speaks TLS. */
async function tlsOf({ tls, dataDir }: Config): Promise<{ key: string; cert: string; caPath: string | null } | null> {
  if (tls.mode === 'terminated') return null
  if (tls.certPath !== null && tls.keyPath !== null) return { key: readFileSync(tls.keyPath, 'utf8'), cert: readFileSync(tls.certPath, 'utf8'), caPath: null }
  return ensureDevelopmentCertificate(join(dataDir, 'certs'), { hosts: ['localhost', '127.0.0.1', '::1', hostname()], now: Date.now() })
}

/** Providers that one setting makes an upstream of every tenant. They are called like the vendor of their formats. */
const providers = [
  { name: 'openai', key: 'openaiKey', baseUrl: 'https://api.openai.com/v1' },
  { name: 'anthropic', key: 'anthropicKey', baseUrl: 'https://api.anthropic.com' },
  { name: 'gemini', key: 'geminiKey', baseUrl: 'https://generativelanguage.googleapis.com' },
] as const
const dialectsOf = (vendor: string): string[] => formats.filter((dialect) => dialect.vendor.name === vendor).map(({ name }) => name)

/** Upstreams that the environment or the mode of running calls for; they serve every tenant. */
function providersOf({ env, upstreams }: Config): UpstreamFields[] {
  const provider = (name: string, fields: Pick<UpstreamFields, 'dialects' | 'baseUrl'> & Partial<UpstreamFields>): UpstreamFields => ({
    name,
    credential: null,
    credentialMode: 'stored',
    models: ['*'],
    priority: 0,
    weight: 1,
    region: null,
    timeouts: {},
    prices: [],
    active: true,
    ...fields,
  })
  return [
    ...(env === 'development'
      ? [
          provider('sandbox', {
            dialects: sandboxDialects,
            baseUrl: SANDBOX_URL,
            models: ['sandbox', 'sandbox-*'],
            priority: 100,
            // So that costs and budgets can be tried.
            prices: [{ model: '*', input: 1, output: 2 }],
          }),
        ]
      : []),
    ...providers.flatMap(({ name, key, baseUrl }) => {
      const credential = upstreams[key]
      return credential === null ? [] : [provider(name, { dialects: dialectsOf(name), baseUrl, credential })]
    }),
  ]
}
