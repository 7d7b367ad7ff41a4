import type { AuditEntry, Status } from '../audit/entry.ts'
import type { Reason } from '../errors.ts'
import { Failure } from '../errors.ts'
import { severity } from '../rules/rule.ts'
import type { Exchange, Facts, Outcome } from './stage.ts'

/** An exchange of which any fact may not be known (yet). */
export type PartlyKnown = Exchange & { readonly [F in keyof Facts]?: Facts[F] | undefined }

/** What Earthflow decided, for the row and the header alike: the verdict on the call, or REJECTED where the call never came so far. */
export function statusOf({ verdict, screen, trace }: PartlyKnown, outcome: Outcome | null): Status {
  if (outcome?.kind === 'refused') {
    if (outcome.refusal.reason === 'blocked_by_rule' || outcome.refusal.reason === 'cannot_redact') return 'BLOCK'
    if (outcome.refusal.reason === 'approval_required') return 'ESCALATE'
    if (outcome.stage !== 'forward' || NOT_SENT.has(outcome.refusal.reason)) return 'REJECTED'
  }
  const isUnanswered = outcome?.kind === 'refused' || outcome?.kind === 'failed'
  if (isUnanswered && outcome.stage === 'forward' && trace.attempts.length === 0) return 'REJECTED'
  if (!verdict || (outcome?.kind === 'failed' && !LEFT.has(outcome.stage))) return 'REJECTED'
  let status = verdict.action
  for (const { rule } of screen?.findings() ?? []) if (rule.mode === 'enforce' && severity[rule.action] > severity[status]) status = rule.action
  return status
}
/** Reasons for which nothing leaves, though it is the last stage that says so. */
const NOT_SENT: ReadonlySet<Reason> = new Set(['unauthenticated', 'locality'])
/** Stages in which the call has left for the provider, or had. */
const LEFT = new Set(['forward', 'settle'])

/** How it ended, in the row's words. */
export const outcomeOf = (outcome: Outcome): AuditEntry['outcome'] =>
  outcome.kind === 'refused' && outcome.refusal.reason === 'draining' ? 'cut_by_drain' : outcome.kind

/** Why, in the row's words; null where nothing needs a reason. */
export function reasonOf(outcome: Outcome | null): string | null {
  if (outcome === null || outcome.kind === 'completed') return null
  if (outcome.kind === 'cancelled') return outcome.isSlow ? 'slow_reader' : 'cancelled'
  const reason: Reason = outcome.kind === 'refused' ? outcome.refusal.reason : outcome.error instanceof Failure ? outcome.error.reason : 'internal'
  return words[reason] ?? reason
}
const words: Partial<Record<Reason, string>> = {
  rate_limited: 'rate_limit',
  budget_exceeded: 'budget',
  agent_quarantined: 'quarantine',
  address_not_allowed: 'address',
  certificate_required: 'certificate',
  invalid_request: 'invalid',
  unsupported_media_type: 'invalid',
  audit_unavailable: 'unavailable',
  blocked_by_rule: 'rule',
}
