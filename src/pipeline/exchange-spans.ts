/** What an exchange tells of itself in a trace: how long each stage and each attempt took and how it ended, and never what was said. */
import { NANO_PER_DOLLAR } from '../prices/dollars.ts'
import { readTraceparent } from '../telemetry/trace-context.ts'
import type { RequestTrace, SpanAttributes, Tracing } from '../telemetry/tracing.ts'
import type { AttemptSpan, AttemptSpans } from '../upstreams/attempt.ts'
import { answerAttributes, OPERATION, operationOf, PROVIDER, providerOf, REQUEST_MODEL, usageAttributes } from './gen-ai.ts'
import { routeName } from './route-name.ts'
import type { Exchange, Known, Outcome } from './stage.ts'
import { outcomeOf, type PartlyKnown, reasonOf, statusOf } from './status.ts'

export interface ExchangeSpans extends AttemptSpans {
  /** Null where the trace is not recorded. */
  readonly traceId: string | null
  /** The one before it is over. */
  stage(name: string): void
  /** `status` is what the client was answered, null where it had left. */
  ended(known: Known, outcome: Outcome, status: number | null): void
}

const METHOD = 'http.request.method'
const STATUS = 'http.response.status_code'

/** The spans of an exchange that begins, which continue the caller's trace where it names one. */
export function createExchangeSpans(tracing: Tracing): (exchange: Exchange) => ExchangeSpans {
  return (exchange) => {
    const { incoming, endpoint, startedAt } = exchange
    const method = incoming.method ?? ''
    const parent = readTraceparent(incoming.headers.traceparent)
    const route = routeName(endpoint)
    const trace = tracing.begin(`${method} ${route}`, parent, startedAt)
    const requests: RequestTrace[] = []
    return {
      traceId: trace.traceId,
      stage: (name) => trace.stage(name),
      attempt(upstream): AttemptSpan {
        const { admission } = exchange as PartlyKnown
        const speaks = admission?.speaks ?? endpoint
        const spoken = routeName(speaks)
        const operation = operationOf(spoken)
        const { hostname, port } = URL.parse(upstream.origin) ?? { hostname: '', port: '' }
        const request = trace.request(operation ?? `${method} ${spoken}`, {
          [OPERATION]: operation,
          [PROVIDER]: providerOf(speaks),
          [METHOD]: method,
          'server.address': hostname || undefined,
          'server.port': port === '' ? undefined : Number(port),
          'http.request.resend_count': requests.length || undefined,
          'earthflow.upstream': upstream.name,
        })
        requests.push(request)
        return {
          traceparent: request.traceparent,
          keepsState: parent !== null,
          ended: ({ status, error }) => request.ended({ [STATUS]: status ?? undefined }, error ?? (status !== null && status >= 400 ? String(status) : null)),
        }
      },
      ended(known, outcome, status) {
        if (!known.caller || trace.traceId === null) return
        if (answeredBy(known)) requests.at(-1)?.add(answerOf(known))
        trace.end(attributesOf(known, outcome, { method, route, status }), failureOf(outcome, status))
      },
    }
  }
}

/** Whether the last who was asked gave an answer: then the model's name is one that a provider knows. */
export const answeredBy = ({ trace }: Pick<Exchange, 'trace'>): boolean => {
  const status = trace.attempts.at(-1)?.status ?? null
  return status !== null && status < 400
}

function answerOf({ trace }: Known): SpanAttributes {
  const { usage } = trace.bill ?? {}
  const model = trace.entry?.model ?? null
  return { [REQUEST_MODEL]: model ?? undefined, ...(usage ? usageAttributes(usage) : {}), ...answerAttributes(trace.ends, model) }
}

interface Answered {
  method: string
  route: string
  status: number | null
}

function attributesOf(known: Known, outcome: Outcome, { method, route, status }: Answered): SpanAttributes {
  const { caller, call, dialect, verdict, trace } = known
  return {
    [METHOD]: method,
    'http.route': route,
    [STATUS]: status ?? undefined,
    'earthflow.tenant': caller?.tenant.id,
    'earthflow.request_id': known.id,
    'earthflow.audit_id': known.auditId,
    'earthflow.dialect': dialect.name,
    'earthflow.verdict': statusOf(known, outcome),
    'earthflow.outcome': outcomeOf(outcome),
    'earthflow.reason': reasonOf(outcome) ?? undefined,
    'earthflow.policy_version': verdict?.policy.version,
    'earthflow.rules_triggered': trace.entry?.rules_triggered.length || undefined,
    'earthflow.stream': call?.streaming,
    'earthflow.attempts': trace.attempts.length,
    'earthflow.overhead_ms': trace.overheadMs ?? undefined,
    'earthflow.cost_usd': trace.bill?.nano == null ? undefined : trace.bill.nano / NANO_PER_DOLLAR,
  }
}

/** A server's span fails where the server does (semantic conventions for HTTP); who is refused, or leaves, is no failure of ours. */
function failureOf(outcome: Outcome, status: number | null): { error: string; stage: string | null } | null {
  if (outcome.kind === 'failed') return { error: reasonOf(outcome) ?? 'internal', stage: outcome.stage }
  if (status === null || status < 500) return null
  return { error: reasonOf(outcome) ?? String(status), stage: outcome.kind === 'refused' ? outcome.stage : null }
}
