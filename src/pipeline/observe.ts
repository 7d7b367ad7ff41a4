import { Failure } from '../errors.ts'
import { NANO_PER_DOLLAR } from '../prices/dollars.ts'
import { createFrequentLog, describeError, type Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createRareLine } from '../telemetry/rare-line.ts'
import { type Consequence, consequenceOf, faultOf } from './consequence.ts'
import { answeredBy, type ExchangeSpans } from './exchange-spans.ts'
import { overheadMs } from './relay.ts'
import { routeName } from './route-name.ts'
import type { Watchers } from './run.ts'
import type { Exchange, Known, Outcome } from './stage.ts'
import { outcomeOf, reasonOf, statusOf } from './status.ts'

export interface ObserverParts {
  log: Log
  metrics: Metrics
  /** Null: nothing is traced. */
  spansOf: ((exchange: Exchange) => ExchangeSpans) | null
  report: (error: unknown, context: object) => void
}

/** What operators see of exchanges: the metrics, one log line each, and traces. Text of a call is in none of them. */
export function createObserver({ log, metrics, spansOf, report }: ObserverParts): Watchers {
  const lines = createFrequentLog(log, 'exchange', ['model', 'upstream', 'trace_id'])
  const strangers: Record<Consequence, (fields: object) => void> = {
    info: createRareLine((fields, calls) => lines.info({ ...fields, calls }, 'calls of which nobody knows whose they are')),
    warn: createRareLine((fields, calls) => lines.warn({ ...fields, calls }, 'calls were refused of which nobody knows whose they are')),
    error: createRareLine((fields, calls) => lines.error({ ...fields, calls }, 'calls failed before it was known whose they are')),
  }
  /** A trace is never in the way of a call. */
  const traced = <Made>(work: () => Made): Made | undefined => {
    try {
      return work()
    } catch (error) {
      report(error, {})
      return undefined
    }
  }
  return {
    spansOf: spansOf ? (exchange) => traced(() => spansOf(exchange)) ?? null : undefined,
    report(error, known) {
      if (!(error instanceof Failure)) report(error, { request_id: known.id })
      else log.warn({ ...describeError(error.cause), reason: error.reason, request_id: known.id }, 'a call failed for a known reason')
    },
    ended(known, outcome, httpStatus) {
      traced(() => known.spans?.ended(known, outcome, httpStatus))
      const fault = faultOf(outcome, httpStatus)
      if (fault) metrics.failed(fault.of, fault.reason)
      const consequence = consequenceOf(outcome, httpStatus)
      if (known.caller) {
        measure(metrics, known, outcome, httpStatus)
        if (lines.isLevelEnabled(consequence)) lines[consequence](lineOf(known, outcome, httpStatus), 'exchange ended')
        return
      }
      // Whoever has no key may call as often as he likes: he is counted, and named now and then.
      if (outcome.kind === 'refused') metrics.unauthenticated()
      else if (outcome.kind === 'failed') metrics.unanswered(overheadMs(known))
      strangers[consequence](strangerOf(known, outcome, httpStatus))
    },
  }
}

function measure(metrics: Metrics, known: Known, outcome: Outcome, httpStatus: number | null): void {
  const { caller, trace, verdict, screen, dialect } = known
  const status = statusOf(known, outcome)
  metrics.ended({
    tenant: caller?.tenant.id ?? '',
    status,
    dialect: dialect.name,
    upstream: trace.attempts.at(-1)?.upstream ?? '',
    judged: verdict !== undefined,
    httpStatus,
    violations: [...(verdict?.findings ?? []), ...(screen?.findings() ?? [])].map(({ rule }) => ({ rule: rule.id, action: rule.action })),
    overheadMs: overheadMs(known),
    firstByteMs: trace.firstByteMs,
    upstreamMs: trace.upstreamMs,
    inputTokens: trace.bill?.usage?.input_tokens ?? 0,
    outputTokens: trace.bill?.usage?.output_tokens ?? 0,
    cost: trace.bill?.usage ? trace.bill.nano && trace.bill.nano / NANO_PER_DOLLAR : undefined,
    held: screen?.held() ?? null,
  })
  const limit = limitOf(outcome)
  if (caller && limit) metrics.limitRejected(caller.tenant.id, limit)
  if (status === 'ESCALATE') metrics.escalated(trace.held?.approvedBy ? 'approved' : 'refused')
}

/** Which limit refused, where the limits themselves were not asked any more: their own answers are counted where they are given. */
function limitOf(outcome: Outcome): string | null {
  if (outcome.kind !== 'refused') return null
  const { stage, refusal } = outcome
  if (refusal.reason === 'budget_exceeded') return 'budget'
  return refusal.reason === 'rate_limited' && stage === 'decode' ? 'tenant_requests_per_minute' : null
}

/** Not the path, which is the caller's to write, but the one it is an example of; and the model only where a provider knew it by that name. */
function lineOf(known: Known, outcome: Outcome, httpStatus: number | null): object {
  const { caller, call, trace, dialect, endpoint, verdict } = known
  const { entry } = trace
  const usage = trace.bill?.usage
  return {
    request_id: known.id,
    audit_id: known.auditId,
    tenant_id: caller?.tenant.id,
    key_prefix: entry?.key_prefix ?? undefined,
    agent_id: entry?.agent_id ?? undefined,
    endpoint: routeName(endpoint),
    dialect: dialect.name,
    stream: call?.streaming,
    status: statusOf(known, outcome),
    outcome: outcomeOf(outcome),
    reason: reasonOf(outcome) ?? undefined,
    http_status: httpStatus,
    model: answeredBy(known) ? (entry?.model ?? undefined) : undefined,
    upstream: trace.attempts.at(-1)?.upstream,
    attempts: trace.attempts.length,
    policy_version: verdict?.policy.version,
    rules: entry && entry.rules_triggered.length > 0 ? entry.rules_triggered : undefined,
    input_tokens: usage?.input_tokens,
    output_tokens: usage?.output_tokens,
    cost_usd: entry?.cost_usd ?? undefined,
    degraded: entry?.degraded ?? undefined,
    duration_ms: Math.round(performance.now() - known.startedAt),
    overhead_ms: Math.round(overheadMs(known) * 10) / 10,
    first_byte_ms: trace.firstByteMs ?? undefined,
    upstream_ms: trace.upstreamMs ?? undefined,
    trace_id: known.spans?.traceId ?? undefined,
  }
}

const strangerOf = (known: Known, outcome: Outcome, httpStatus: number | null): object => ({
  request_id: known.id,
  endpoint: routeName(known.endpoint),
  outcome: outcomeOf(outcome),
  reason: reasonOf(outcome) ?? undefined,
  http_status: httpStatus,
  duration_ms: Math.round(performance.now() - known.startedAt),
})
