/** Prometheus metrics, and the three figures an alert needs without a query. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

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

const SLOT_SECONDS = 10
const SLOTS = 6
const MS = [0.5, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500]
/** 0 is a stream in which nothing waited. */
const CHARACTERS = [0, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576]
const HELD_MS = [0, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000]
const DECISION_MS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 60, 100, 250, 1000]
const LONG_MS = [10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000]

interface Slot {
  begun: number
  all: number
  errors: number
  judged: number
  blocked: number
  /** Microseconds. */
  overhead: RecordableHistogram
}

/** How often the event loop's delay is sampled: fifty times a second, as usual, would be most of what an idle process does. */
const LOOP_SAMPLE_MS = 250

/** `now` in milliseconds. Rates and the 99th percentile look back 60 s, in slots of 10 s. */
export function createMetrics({ now }: { now: () => number }) {
  const register = new Registry()
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS })
  const registers = [register]
  const requests = new Counter({
    name: 'earthflow_requests_total',
    help: 'Exchanges that ended, by verdict.',
    labelNames: ['tenant', 'status', 'dialect', 'upstream'],
    registers,
  })
  const violations = new Counter({ name: 'earthflow_rule_violations_total', help: 'Rules that matched.', labelNames: ['tenant', 'rule', 'action'], registers })
  const unauthenticated = new Counter({
    name: 'earthflow_authentication_failures_total',
    help: 'Calls without a valid key; they make no audit row.',
    registers,
  })
  const loginFailures = new Counter({ name: 'earthflow_login_failures_total', help: 'Logins that failed, by why.', labelNames: ['why'], registers })
  const overhead = new Histogram({ name: 'earthflow_overhead_ms', help: 'Earthflow’s own share of a call.', buckets: MS, registers })
  const firstByte = new Histogram({
    name: 'earthflow_first_byte_ms',
    help: 'From the call’s beginning to the provider’s first byte.',
    buckets: LONG_MS,
    registers,
  })
  const upstream = new Histogram({
    name: 'earthflow_upstream_ms',
    help: 'Time with providers, all attempts.',
    labelNames: ['upstream'],
    buckets: LONG_MS,
    registers,
  })
  const heldCharacters = new Histogram({
    name: 'earthflow_held_characters',
    help: 'Of each streamed reply that was judged: the most text that had come and waited to be decided.',
    buckets: CHARACTERS,
    registers,
  })
  const heldMs = new Histogram({
    name: 'earthflow_held_ms',
    help: 'Of each streamed reply that was judged: the longest that one of its events waited to be decided.',
    buckets: HELD_MS,
    registers,
  })
  const tokens = new Counter({
    name: 'earthflow_tokens_total',
    help: 'Tokens as providers counted them, or as estimated where none did.',
    labelNames: ['tenant', 'direction'],
    registers,
  })

  const cost = new Counter({
    name: 'earthflow_cost_usd_total',
    help: 'What calls cost, by the prices known.',
    labelNames: ['tenant', 'upstream'],
    registers,
  })
  const unpriced = new Counter({
    name: 'earthflow_unpriced_requests_total',
    help: 'Calls whose model has no known price: their cost is missing from the sum.',
    labelNames: ['tenant', 'upstream'],
    registers,
  })
  const crossings = new Counter({
    name: 'earthflow_budget_crossings_total',
    help: 'Budgets of which this share (percent) was used up in a window.',
    labelNames: ['tenant', 'percent'],
    registers,
  })

  const limits = new Histogram({
    name: 'earthflow_limits_ms',
    help: 'How long it took to decide about limits, by who counted: all processes (shared), or this one alone (local).',
    labelNames: ['mode'],
    buckets: DECISION_MS,
    registers,
  })

  const attempts = new Counter({
    name: 'earthflow_webhook_attempts_total',
    help: 'Attempts to deliver an event, by result: delivered, failed, or dead where the last one failed too.',
    labelNames: ['result'],
    registers,
  })
  const attemptMs = new Histogram({ name: 'earthflow_webhook_attempt_ms', help: 'How long an attempt to deliver an event took.', buckets: LONG_MS, registers })
  const escalations = new Counter({
    name: 'earthflow_escalations_total',
    help: 'Calls that a rule wanted a person to decide about, by what came of them: approved or refused.',
    labelNames: ['result'],
    registers,
  })

  const slots: Slot[] = Array.from({ length: SLOTS }, () => ({ begun: -1, all: 0, errors: 0, judged: 0, blocked: 0, overhead: createHistogram() }))
  const slotAt = (ms: number): Slot => {
    const begun = Math.floor(ms / 1000 / SLOT_SECONDS)
    const slot = slots[begun % SLOTS]
    if (slot.begun !== begun) {
      slot.overhead.reset()
      Object.assign(slot, { begun, all: 0, errors: 0, judged: 0, blocked: 0 })
    }
    return slot
  }
  const recent = (): Slot[] => {
    const latest = Math.floor(now() / 1000 / SLOT_SECONDS)
    return slots.filter(({ begun }) => begun >= 0 && begun > latest - SLOTS)
  }
  const ratio = (part: 'errors' | 'blocked', whole: 'all' | 'judged'): number => {
    const sum = (field: 'errors' | 'blocked' | 'all' | 'judged'): number => recent().reduce((total, slot) => total + slot[field], 0)
    const of = sum(whole)
    return of === 0 ? 0 : sum(part) / of
  }
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  const p99 = (): number => {
    const merged = createHistogram()
    for (const slot of recent()) if (slot.overhead.count > 0) merged.add(slot.overhead)
    return merged.count === 0 ? 0 : merged.percentile(99) / 1000
  }
  const blockRate = (): number => ratio('blocked', 'judged')
  const errorRate = (): number => ratio('errors', 'all')
  gauge('earthflow_block_rate', 'BLOCK ÷ judged calls, last 60 s.', blockRate)
  gauge('earthflow_error_rate', 'Answers of 500 and above ÷ all, last 60 s.', errorRate)
  gauge('earthflow_latency_p99_ms', 'Earthflow’s own share of a call, 99th percentile, last 60 s.', p99)

  return {
    gauge,
    ended(exchange: EndedExchange): void {
      const { tenant, status, dialect } = exchange
      requests.inc({ tenant, status, dialect, upstream: exchange.upstream })
      for (const { rule, action } of exchange.violations) violations.inc({ tenant, rule, action })
      overhead.observe(exchange.overheadMs)
      if (exchange.firstByteMs !== null) firstByte.observe(exchange.firstByteMs)
      if (exchange.upstreamMs !== null) upstream.observe({ upstream: exchange.upstream }, exchange.upstreamMs)
      if (exchange.inputTokens > 0) tokens.inc({ tenant, direction: 'input' }, exchange.inputTokens)
      if (exchange.outputTokens > 0) tokens.inc({ tenant, direction: 'output' }, exchange.outputTokens)
      if (exchange.cost === null) unpriced.inc({ tenant, upstream: exchange.upstream })
      else if (exchange.cost !== undefined) cost.inc({ tenant, upstream: exchange.upstream }, exchange.cost)
      if (exchange.held) {
        heldCharacters.observe(exchange.held.characters)
        heldMs.observe(exchange.held.ms)
      }
      const slot = slotAt(now())
      slot.all++
      if (exchange.httpStatus !== null && exchange.httpStatus >= 500) slot.errors++
      if (exchange.judged) slot.judged++
      if (status === 'BLOCK') slot.blocked++
      slot.overhead.record(Math.max(1, Math.round(exchange.overheadMs * 1000)))
    },
    limited(mode: string, ms: number): void {
      limits.observe({ mode }, ms)
    },
    crossed(tenant: string, percent: number): void {
      crossings.inc({ tenant, percent: String(percent) })
    },
    loginFailed(why: string): void {
      loginFailures.inc({ why })
    },
    attempted(result: 'delivered' | 'failed' | 'dead', ms: number): void {
      attempts.inc({ result })
      attemptMs.observe(ms)
    },
    escalated(result: 'approved' | 'refused'): void {
      escalations.inc({ result })
    },
    unauthenticated(): void {
      unauthenticated.inc()
    },
    summary: () => ({ block_rate: blockRate(), error_rate: errorRate(), latency_p99_ms: p99() }),
    text: (): Promise<string> => register.metrics(),
    contentType: register.contentType,
  }
}
export type Metrics = ReturnType<typeof createMetrics>
