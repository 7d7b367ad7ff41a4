import { Failure } from '../errors.ts'
import { NANO_PER_DOLLAR } from '../prices/dollars.ts'
import { describeError, type Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { overheadMs } from './relay.ts'
import type { Watchers } from './run.ts'
import { outcomeOf, statusOf } from './status.ts'

/** What operators see of exchanges: the metrics, and one log line each. Text of a call is in neither. */
export function createObserver({ log, metrics, report }: { log: Log; metrics: Metrics; report: (error: unknown, context: object) => void }): Watchers {
  return {
    report(error, known) {
      if (!(error instanceof Failure)) report(error, { request_id: known.id })
      else log.warn({ ...describeError(error.cause), reason: error.reason, request_id: known.id }, 'a call failed for a known reason')
    },
    ended(known, outcome, httpStatus) {
      const { caller, call, trace, verdict, screen, dialect, endpoint } = known
      const status = statusOf(known, outcome)
      const upstream = trace.attempts.at(-1)?.upstream
      if (!caller) metrics.unauthenticated()
      else {
        metrics.ended({
          tenant: caller.tenant.id,
          status,
          dialect: dialect.name,
          upstream: upstream ?? '',
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
        if (status === 'ESCALATE') metrics.escalated(trace.held?.approvedBy ? 'approved' : 'refused')
      }
      log.info(
        {
          logger: 'exchange',
          request_id: known.id,
          audit_id: caller ? known.auditId : undefined,
          tenant_id: caller?.tenant.id,
          // Not the path, which is the caller's to write: it stands in the row, if no rule found anything in it.
          kind: endpoint.kind,
          dialect: dialect.name,
          stream: call?.streaming,
          status,
          outcome: outcomeOf(outcome),
          http_status: httpStatus,
          upstream,
          duration_ms: Math.round(performance.now() - known.startedAt),
          overhead_ms: Math.round(overheadMs(known)),
        },
        'exchange ended',
      )
    },
  }
}
