/** Prometheus metrics, and the three figures an alert needs without a query. */
import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { blockRateOf, createLastMinute, errorRateOf } from './last-minute.ts'
import { type Across, BLOCK_RATE, ERROR_RATE, type Figures, type MetricFigures } from './sum-figures.ts'
import { Counts, Distributions, showOn } from './tallies.ts'

export interface EndedExchange {
  tenant: string
  status: string
  dialect: string
  upstream: string
  judged: boolean
  /** What the client was answered; null where it had left. */
  httpStatus: number | null
  violations: readonly { rule: string; action: string }[]
  /** Milliseconds. */
  overheadMs: number
  firstByteMs: number | null
  upstreamMs: number | null
  inputTokens: number
  outputTokens: number
  /** Dollars; null: nobody knows a price; absent where nothing was used. */
  cost?: number | null | undefined
  /** How far a judged stream fell behind the provider's, at most; absent where no stream was judged. */
  held?: { characters: number; ms: number } | null
}

const MS = [0.5, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500]
/** 0 is a stream in which nothing waited. */
const CHARACTERS = [0, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576]
const HELD_MS = [0, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000]
const DECISION_MS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 60, 100, 250, 1000]
const LONG_MS = [10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000]

/** How often the event loop's delay is sampled: fifty times a second, as usual, would be most of what an idle process does. */
const LOOP_SAMPLE_MS = 250

/** `now` in milliseconds. Rates and the 99th percentile look back 60 s. */
export function createMetrics({ now }: { now: () => number }) {
  const register = new Registry()
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS })
  // What each process may open says nothing about all of them together.
  Object.assign(register.getSingleMetric('process_max_fds') ?? {}, { aggregator: 'min' satisfies Across })
  const registers = [register]
  const counter = (name: string, help: string, labels: string[] = []): Counts => showOn(register, new Counts({ name, help, labels }))
  const histogram = (name: string, help: string, bounds: number[], labels: string[] = []): Distributions =>
    showOn(register, new Distributions({ name, help, bounds, labels }))
  const requests = counter('earthflow_requests_total', 'Exchanges that ended, by verdict.', ['tenant', 'status', 'dialect', 'upstream'])
  const violations = counter('earthflow_rule_violations_total', 'Rules that matched.', ['tenant', 'rule', 'action'])
  const unauthenticated = counter('earthflow_authentication_failures_total', 'Calls without a valid key; they make no audit row.')
  const loginFailures = counter('earthflow_login_failures_total', 'Logins that failed, by why.', ['why'])
  const overhead = histogram('earthflow_overhead_ms', 'Earthflow’s own share of a call.', MS)
  const firstByte = histogram('earthflow_first_byte_ms', 'From the call’s beginning to the provider’s first byte.', LONG_MS)
  const upstreamMs = histogram('earthflow_upstream_ms', 'Time with providers, all attempts.', LONG_MS, ['upstream'])
  const heldCharacters = histogram(
    'earthflow_held_characters',
    'Of each streamed reply that was judged: the most text that had come and waited to be decided.',
    CHARACTERS,
  )
  const heldMs = histogram('earthflow_held_ms', 'Of each streamed reply that was judged: the longest that one of its events waited to be decided.', HELD_MS)
  const tokens = counter('earthflow_tokens_total', 'Tokens as providers counted them, or as estimated where none did.', ['tenant', 'direction'])

  const cost = counter('earthflow_cost_usd_total', 'What calls cost, by the prices known.', ['tenant', 'upstream'])
  const unpriced = counter('earthflow_unpriced_requests_total', 'Calls whose model has no known price: their cost is missing from the sum.', [
    'tenant',
    'upstream',
  ])
  const crossings = counter('earthflow_budget_crossings_total', 'Budgets of which this share (percent) was used up in a window.', ['tenant', 'percent'])

  const failures = counter(
    'earthflow_failures_total',
    'Exchanges that ended in 5xx or broke off, by whose fault it was (earthflow, provider) and why; answered: the provider said 5xx itself.',
    ['fault', 'reason'],
  )
  const limitRejections = counter('earthflow_limit_rejections_total', 'Calls that a limit or a hard budget refused, by which one.', ['tenant', 'limit'])

  const limits = histogram(
    'earthflow_limits_ms',
    'How long it took to decide about limits, by who counted: all processes (shared), or this one alone (local).',
    DECISION_MS,
    ['mode'],
  )

  const attempts = counter(
    'earthflow_webhook_attempts_total',
    'Attempts to deliver an event, by result: delivered, failed, or dead where the last one failed too.',
    ['result'],
  )
  const attemptMs = histogram('earthflow_webhook_attempt_ms', 'How long an attempt to deliver an event took.', LONG_MS)
  const escalations = counter('earthflow_escalations_total', 'Calls that a rule wanted a person to decide about, by what came of them: approved or refused.', [
    'result',
  ])
  const upstreamAttempts = counter('earthflow_upstream_attempts_total', 'Attempts to have an upstream answer, by how they ended.', ['upstream', 'result'])
  const upstreamRetries = counter('earthflow_upstream_retries_total', 'Calls that were sent again to an upstream that had had them.', ['upstream'])
  const breakerOpenings = counter('earthflow_upstream_breaker_openings_total', 'How often an upstream was left alone because it failed.', ['upstream'])

  // What is there from the start is seen to grow when it first happens.
  for (const result of ['delivered', 'failed', 'dead']) attempts.part(result)
  for (const why of ['credentials', 'throttled']) loginFailures.part(why)
  const lastMinute = createLastMinute(now)
  /** `across`: how those of several processes become one. */
  const gauge = (name: string, help: string, read: () => number | Promise<number>, across: Across = 'sum'): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      aggregator: across,
      async collect() {
        this.set(await read())
      },
    })
  /** What somebody else counts, since the start: a number, or one for each value of a label. */
  const counted = (name: string, help: string, read: () => number | Readonly<Record<string, number>>, label = ''): Counter<string> =>
    new Counter<string>({
      name,
      help,
      registers,
      labelNames: label === '' ? [] : [label],
      collect() {
        this.reset()
        const counts = read()
        if (typeof counts === 'number') this.inc(counts)
        else for (const [value, count] of Object.entries(counts)) this.inc({ [label]: value }, count)
      },
    })
  let looked: EventLoopUtilization | undefined
  gauge(
    'earthflow_event_loop_utilization',
    'Share of the time since the last look that the event loop was busy, 0..1; of several processes the busiest’s.',
    () => {
      const now = performance.eventLoopUtilization()
      const { utilization } = looked ? performance.eventLoopUtilization(now, looked) : now
      looked = now
      return utilization
    },
    'max',
  )
  gauge(BLOCK_RATE, 'BLOCK ÷ judged calls, last 60 s.', () => blockRateOf(lastMinute.counts()), 'max')
  gauge(ERROR_RATE, 'Answers of 500 and above ÷ all, last 60 s.', () => errorRateOf(lastMinute.counts()), 'max')
  gauge('earthflow_latency_p99_ms', 'Earthflow’s own share of a call, 99th percentile, last 60 s; of several processes the slowest’s.', lastMinute.p99Ms, 'max')

  return {
    gauge,
    counted,
    ended(exchange: EndedExchange): void {
      const { tenant, status, upstream } = exchange
      requests.part(tenant, status, exchange.dialect, upstream).add()
      for (const { rule, action } of exchange.violations) violations.part(tenant, rule, action).add()
      overhead.part().observe(exchange.overheadMs)
      if (exchange.firstByteMs !== null) firstByte.part().observe(exchange.firstByteMs)
      if (exchange.upstreamMs !== null) upstreamMs.part(upstream).observe(exchange.upstreamMs)
      if (exchange.inputTokens > 0) tokens.part(tenant, 'input').add(exchange.inputTokens)
      if (exchange.outputTokens > 0) tokens.part(tenant, 'output').add(exchange.outputTokens)
      if (exchange.cost === null) unpriced.part(tenant, upstream).add()
      else if (exchange.cost !== undefined) cost.part(tenant, upstream).add(exchange.cost)
      if (exchange.held) {
        heldCharacters.part().observe(exchange.held.characters)
        heldMs.part().observe(exchange.held.ms)
      }
      lastMinute.add({
        isError: exchange.httpStatus !== null && exchange.httpStatus >= 500,
        isJudged: exchange.judged,
        isBlocked: status === 'BLOCK',
        overheadMs: exchange.overheadMs,
      })
    },
    /** One of which nobody knows whose it was failed. Milliseconds of our own. */
    unanswered(overheadMs: number): void {
      lastMinute.add({ isError: true, isJudged: false, isBlocked: false, overheadMs })
    },
    failed(fault: string, reason: string): void {
      failures.part(fault, reason).add()
    },
    limitRejected(tenant: string, limit: string): void {
      limitRejections.part(tenant, limit).add()
    },
    /** What runs here. */
    built(version: string): void {
      new Gauge({
        name: 'earthflow_build_info',
        help: '1, with the versions of Earthflow and of Node as labels.',
        labelNames: ['version', 'node'],
        registers,
        aggregator: 'max',
      }).set({ version, node: process.version }, 1)
    },
    limited(mode: string, ms: number): void {
      limits.part(mode).observe(ms)
    },
    crossed(tenant: string, percent: number): void {
      crossings.part(tenant, String(percent)).add()
    },
    loginFailed(why: string): void {
      loginFailures.part(why).add()
    },
    attempted(result: 'delivered' | 'failed' | 'dead', ms: number): void {
      attempts.part(result).add()
      attemptMs.part().observe(ms)
    },
    upstreamAttempted(upstream: string, result: string): void {
      upstreamAttempts.part(upstream, result).add()
    },
    upstreamRepeated(upstream: string): void {
      upstreamRetries.part(upstream).add()
    },
    breakerOpened(upstream: string): void {
      breakerOpenings.part(upstream).add()
    },
    /** `read` tells of every upstream's name how many of that name are left alone now. */
    breakers(read: () => Iterable<readonly [upstream: string, open: number]>): void {
      new Gauge({
        name: 'earthflow_upstream_breaker_open',
        help: '1 while an upstream is left alone because it failed; of several of one name, how many are. Of several processes the most.',
        labelNames: ['upstream'],
        registers,
        aggregator: 'max',
        collect() {
          this.reset()
          for (const [upstream, open] of read()) this.set({ upstream }, open)
        },
      })
    },
    escalated(result: 'approved' | 'refused'): void {
      escalations.part(result).add()
    },
    unauthenticated(): void {
      unauthenticated.part().add()
    },
    summary: () => ({
      block_rate: blockRateOf(lastMinute.counts()),
      error_rate: errorRateOf(lastMinute.counts()),
      latency_p99_ms: lastMinute.p99Ms(),
    }),
    figures: async (): Promise<Figures> => ({ metrics: (await register.getMetricsAsJSON()) as unknown as MetricFigures[], recent: lastMinute.counts() }),
    text: (): Promise<string> => register.metrics(),
    contentType: register.contentType,
  }
}
export type Metrics = ReturnType<typeof createMetrics>
