import { isDeepStrictEqual } from 'node:util'
import type { Pool } from 'undici'
import type { Caller, ModelCall, Tenant } from '../call.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { vendorOf } from '../dialects/index.ts'
import type { Egress } from '../egress/dispatcher.ts'
import { Refusal } from '../errors.ts'
import { matchesPattern } from '../model-pattern.ts'
import type { Catalogue } from '../prices/catalogue.ts'
import { createUpstreamPrices } from '../prices/upstream-prices.ts'
import { createGate } from './gate.ts'
import type { UpstreamHealth } from './health.ts'
import { liesIn } from './regions.ts'
import { createStanding, type Standing, type UpstreamWatch } from './standing.ts'
import type { LoadedUpstream } from './store.ts'
import { SANDBOX_URL, type Upstream } from './upstream.ts'

/** A call that was admitted to an upstream may be on its way to it for so long, for its record has to be committed first. */
const RETIRE_MS = 10_000
/** Calls that may wait for one of an upstream's connections. */
const QUEUE_MAX = 1024
/** Answers to "who serves this model for this tenant?" kept until upstreams change. */
const ANSWERS_MAX = 10_000
/** A longer question, such as of a batch for many models, is answered anew each time. */
const QUESTION_CHARACTERS_MAX = 2048
/** What is made there lies at one provider. */
const STORED = /\/(?:batches|cachedContents)$/

/** Whether what is made by such a call, or asked for, lies at one provider. */
export const liesAtOne = ({ kind, path }: Pick<Endpoint, 'kind' | 'path'>): boolean => kind === 'native' || STORED.test(path)

interface Placed {
  row: LoadedUpstream
  upstream: Upstream
  /** What the pool was made from: while it stays the same, so do the connections. */
  made: string
}

/** Who serves a call, best first. */
interface Answer {
  best: readonly Placed[]
  upstreams: readonly Upstream[]
}

export interface RouteOptions {
  load: () => Promise<readonly LoadedUpstream[]>
  egress: Egress
  /** Connections to the built-in sandbox, whose base URL is `sandbox:`; null where there is none. */
  sandbox: (() => Pool) | null
  defaults: { firstByteMs: number; idleMs: number; totalMs: number; connectionsMax: number }
  /** EARTHFLOW_LOCALITY, where it names regions: whoever lies in none of them serves nothing. */
  regions?: readonly string[] | null
  /** What models cost that an upstream's row does not price; without one they have no price. */
  catalogue?: Pick<Catalogue, 'priceOf'>
  /** Is told how attempts go. */
  health?: Pick<UpstreamHealth, 'saw'>
  watch?: UpstreamWatch
  /** Milliseconds since 1970. */
  now?: () => number
  /** Milliseconds, of a clock that never steps. */
  monotonicNow?: () => number
  /** From 0 to 1, for the choice among equals. */
  random?: () => number
}

/** Who serves a call: the tenant's own upstreams and the installation's, by dialect and model; by priority, then at random by weight. */
export function createRoute({
  load,
  egress,
  sandbox,
  defaults,
  regions = null,
  catalogue,
  health,
  watch,
  now = Date.now,
  monotonicNow = () => performance.now(),
  random = Math.random,
}: RouteOptions) {
  let placed: readonly Placed[] = []
  let current: ReadonlySet<Upstream> = new Set()
  let answers = new Map<string, Answer | Refusal>()
  let loaded = false

  const place = (row: LoadedUpstream, earlier: ReadonlyMap<string, Placed>): Placed => {
    const before = earlier.get(row.id)
    if (before && isDeepStrictEqual(before.row, row)) return before
    const isSandbox = row.baseUrl === SANDBOX_URL
    const { origin, pathname } = isSandbox ? { origin: SANDBOX_URL, pathname: '/' } : new URL(row.baseUrl)
    const made = JSON.stringify([origin, row.timeouts])
    const same = before?.made === made ? before.upstream : undefined
    const { connect_seconds, first_byte_seconds, idle_seconds, total_seconds } = row.timeouts
    const pool =
      same?.pool ??
      (isSandbox && sandbox
        ? sandbox()
        : egress.pool(origin, {
            connections: defaults.connectionsMax,
            firstByteMs: first_byte_seconds === undefined ? defaults.firstByteMs : first_byte_seconds * 1000,
            idleMs: idle_seconds === undefined ? defaults.idleMs : idle_seconds * 1000,
            ...(connect_seconds === undefined ? {} : { connectMs: connect_seconds * 1000 }),
          }))
    const prices = createUpstreamPrices({
      prices: row.prices,
      catalogue: catalogue ?? null,
      vendor: vendorOf(row.dialects[0] ?? '') ?? '',
      baseUrl: row.baseUrl,
    })
    const passthrough = row.credentialMode === 'passthrough'
    const name = { name: row.name, tenantId: row.tenantId }
    const upstream: Upstream = {
      name: row.name,
      dialects: row.dialects,
      priority: row.priority,
      origin,
      // The sandbox answers at the paths themselves, whatever the dialect.
      basePath: isSandbox ? null : pathname.replace(/\/$/, ''),
      pool,
      credential: row.credential,
      passthrough,
      queueMax: QUEUE_MAX,
      serves: row.models,
      priceOf: (models) => prices.ratesOf(models, now()),
      costOf: prices.costOf,
      totalMs: total_seconds === undefined ? defaults.totalMs : total_seconds * 1000,
      // Of an address that was changed nothing is known yet.
      standing:
        same && same.passthrough === passthrough
          ? same.standing
          : createStanding({
              name,
              hasBreaker: !isSandbox,
              passthrough,
              now: monotonicNow,
              wallNow: now,
              health,
              watch,
              gate: same?.standing.gate ?? createGate(defaults.connectionsMax),
            }),
      isCurrent: () => current.has(upstream),
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
      placed = rows.filter(({ baseUrl }) => baseUrl !== SANDBOX_URL || sandbox).map((row) => place(row, earlier))
      current = new Set(placed.map(({ upstream }) => upstream))
      answers = new Map()
      loaded = true
      const kept = new Set(placed.map(({ upstream }) => upstream.pool))
      for (const { upstream } of earlier.values()) if (!kept.has(upstream.pool)) retire(upstream.pool)
    },
    get isLoaded(): boolean {
      return loaded
    },
    /** Best first. A Refusal where somebody would serve the call, but nobody who may; empty where nobody would. */
    candidates({ tenant, session }: Pick<Caller, 'tenant' | 'session'>, { models }: ModelCall, endpoint: Endpoint): readonly Upstream[] | Refusal {
      const { kind, dialect, upstream } = endpoint
      const storedOnly = session?.storedOnly === true
      const question =
        models.length === 1 && upstream === null && tenant.allowedRegions === null && !storedOnly
          ? `${tenant.id} ${kind} ${dialect.name} ${dialect.vendor.name} ${models[0]}` // as most are, and like none of the others, which begin with a bracket
          : JSON.stringify([tenant.id, tenant.allowedRegions, storedOnly, kind, dialect.name, dialect.vendor.name, upstream, models])
      let found = answers.get(question)
      if (!found) {
        const serving = placed.filter(({ row }) => (row.tenantId === null || row.tenantId === tenant.id) && serves(row, endpoint, models))
        const near = serving.filter(({ row }) => liesIn(row, regions) && isWithin(row, tenant))
        const open = storedOnly ? near.filter((one) => !one.upstream.passthrough) : near
        if (open.length === 0 && serving.length > 0) found = near.length === 0 ? outside() : passedThrough()
        else {
          const best = ranked(open, endpoint, models)
          found = { best, upstreams: best.map((one) => one.upstream) }
        }
        if (question.length <= QUESTION_CHARACTERS_MAX) {
          if (answers.size >= ANSWERS_MAX) answers.delete(answers.keys().next().value as string)
          answers.set(question, found)
        }
      }
      if (found instanceof Refusal) return found
      // What lies at one provider, such as a file, is not at another: such calls go to the same one each time, and only there.
      const { best, upstreams } = found
      if (upstreams.length < 2 || kind === 'models') return upstreams
      return liesAtOne(endpoint) ? upstreams.slice(0, 1) : shuffled(best, random).map((one) => one.upstream)
    },
    /** How many of each name are left alone now. */
    left(): ReadonlyMap<string, number> {
      const left = new Map<string, number>()
      for (const { row, upstream } of placed) left.set(row.name, (left.get(row.name) ?? 0) + Number(upstream.standing.state !== 'closed'))
      return left
    },
    /** Of the upstream with this row; undefined where it serves no calls. */
    standingOf: (id: string): Standing | undefined => placed.find(({ row }) => row.id === id)?.upstream.standing,
    /** Ends all connections, in the middle of an answer too. */
    async close(): Promise<void> {
      for (const timer of retiring.values()) clearTimeout(timer)
      await Promise.all([...placed.map(({ upstream }) => upstream.pool), ...retiring.keys()].map((pool) => pool.destroy()))
    },
  }
}

const outside = (): Refusal =>
  new Refusal(
    'locality',
    'Whoever serves this call lies outside the regions that EARTHFLOW_LOCALITY or the tenant allows; an administrator says with PATCH /v1/upstreams/{name} in which region one lies, or adds another.',
  )

const passedThrough = (): Refusal =>
  new Refusal(
    'forbidden',
    'A session of this profile uses stored credentials only, and whoever serves this call is sent the caller’s own; make the call with a key.',
  )

/** An upstream of which nobody said where it lies, lies in no region. */
const isWithin = ({ region }: LoadedUpstream, { allowedRegions }: Tenant): boolean =>
  allowedRegions === null || (region !== null && allowedRegions.includes(region))

function serves(row: LoadedUpstream, { kind, dialect, upstream }: Endpoint, models: readonly string[]): boolean {
  if (upstream !== null) {
    if (row.name !== upstream) return false
  } else if (kind === 'call') {
    if (!(dialect.envelope?.speaks() ?? [dialect.name]).some((name) => row.dialects.includes(name))) return false
  } else if (!row.dialects.some((name) => vendorOf(name) === (dialect.vendor.name === 'azure' ? 'openai' : dialect.vendor.name))) return false
  return models.every((model) => row.models.some((pattern) => matchesPattern(pattern, model)))
}

/**
 * By priority. At Azure's paths only those that can be Azure, if there are any. Of one name, a tenant's own comes before the installation's and alone.
 * Where no model tells who is meant, or where what is made must be found again, only those that serve every model, if there are any.
 */
function ranked(found: readonly Placed[], { kind, dialect, path, upstream }: Endpoint, models: readonly string[]): readonly Placed[] {
  const own = upstream === null ? [] : found.filter(({ row }) => row.tenantId !== null)
  const azure = dialect.vendor.name === 'azure' ? found.filter(({ row }) => !/(?<!\/openai)\/v1$/.test(row.baseUrl)) : []
  const meant = own.length > 0 ? own : azure.length > 0 ? azure : found
  const isTogether = liesAtOne({ kind, path }) || (kind === 'call' && models.length === 0)
  const broad = isTogether ? meant.filter(({ row }) => row.models.includes('*')) : []
  return (broad.length > 0 ? broad : meant).toSorted((a, b) => b.row.priority - a.row.priority)
}

/** Within one priority, an upstream of weight 3 comes first three times as often as one of weight 1. */
function shuffled(sorted: readonly Placed[], random: () => number): Placed[] {
  // Efraimidis and Spirakis, 2006: sorting by random^(1/weight) draws without replacement in proportion to weight.
  const drawn = sorted.map((one) => ({ one, key: random() ** (1 / Math.max(one.row.weight, 1e-9)) }))
  return drawn.sort((a, b) => b.one.row.priority - a.one.row.priority || b.key - a.key).map(({ one }) => one)
}
