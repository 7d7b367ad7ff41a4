import type { AuditEntry, AuditFinding } from '../audit/entry.ts'
import { pathsOf } from '../rules/places.ts'
import { refusalOf } from './refusal.ts'
import { overheadMs } from './relay.ts'
import type { Exchange, Outcome, Settler } from './stage.ts'
import { type PartlyKnown, reasonOf, statusOf } from './status.ts'

/** The record. Both promises resolve when the entry is committed and reject with Failure('audit_unavailable') when it cannot be. */
export interface AuditLog {
  open(entry: AuditEntry): Promise<void>
  close(entry: AuditEntry): Promise<void>
}

/** Closes the record of every exchange whose tenant is known: one row each, however it ended. */
export const audit =
  (auditLog: AuditLog): Settler =>
  (known, outcome) => {
    if (!known.caller) return undefined
    const entry = entryOf(known, outcome)
    return auditLog.close(entry).catch((error: unknown) => {
      // The row is still owed, and will say what the client was told instead.
      if (outcome.kind !== 'cancelled')
        Object.assign(entry, { outcome: 'failed', reason: 'unavailable', http_status: known.outgoing.headersSent ? known.outgoing.statusCode : UNAVAILABLE })
      throw error
    })
  }
const UNAVAILABLE = 503

const TEXT_MAX = 256
const METADATA_BYTES_MAX = 4096
const PLACES_MAX = 8

/** What is known of an exchange now, as a row. Before it ended (`outcome` null) the row says `unknown`, which is what a crash would leave. */
export function entryOf(known: PartlyKnown, outcome: Outcome | null, forwardedHash: string | null = known.ticket?.forwardedHash ?? null): AuditEntry {
  const { caller, call, verdict, promptHash, trace, incoming, outgoing } = known
  const ended = outcome !== null
  const findings = findingsOf(known)
  const user = clean(incoming.headers['x-earthflow-user'])
  return {
    audit_id: known.auditId,
    timestamp: new Date(known.arrivedAt).toISOString(),
    kind: 'exchange',
    tenant_id: caller?.tenant.id ?? null,
    request_id: known.id,
    agent_id: null,
    key_prefix: caller?.keyPrefix ?? null,
    user_id: user,
    status: statusOf(known, outcome),
    outcome: ended ? outcome.kind : 'unknown',
    reason: reasonOf(outcome),
    dialect: known.dialect.name,
    endpoint: known.endpoint,
    model: modelOf(call?.model),
    upstream: trace.attempts.at(-1)?.upstream ?? null,
    attempts: trace.attempts,
    stream: call?.streaming ?? false,
    rules_evaluated: verdict?.rulesEvaluated ?? 0,
    rules_triggered: [...new Set(findings.filter(({ mode }) => mode === 'enforce').map(({ rule_id }) => rule_id))],
    findings,
    policy_version: verdict?.policy.version ?? null,
    metadata: metadataOf(known),
    prompt_hash: promptHash ?? null,
    forwarded_hash: forwardedHash,
    uninspected_bytes: call?.opaqueBytes ?? 0,
    degraded: null,
    usage: trace.usage,
    cost_usd: null,
    latency_ms: ended ? Math.round(performance.now() - known.startedAt) : null,
    upstream_ms: trace.upstreamMs,
    first_byte_ms: trace.firstByteMs,
    overhead_ms: ended ? Math.round(overheadMs(known)) : null,
    http_status: httpStatus(outcome, outgoing.headersSent ? outgoing.statusCode : null, known.reply?.status ?? null),
  }
}

function httpStatus(outcome: Outcome | null, sent: number | null, replied: number | null): number | null {
  if (outcome?.kind === 'refused') return sent ?? outcome.refusal.status
  if (outcome?.kind === 'failed') return sent ?? failureStatus(outcome)
  return replied ?? sent
}
const failureStatus = (outcome: Outcome & { kind: 'failed' }): number => refusalOf(outcome, '')?.status ?? 500

function findingsOf({ call, verdict, screen }: PartlyKnown): AuditFinding[] {
  const onCall =
    !call || !verdict
      ? []
      : verdict.findings.map(
          ({ rule, spans }): AuditFinding => ({
            rule_id: rule.id,
            action: rule.action,
            mode: rule.mode,
            on: 'call',
            count: Math.max(1, spans.length),
            where: pathsOf(call, spans, PLACES_MAX),
          }),
        )
  const onReply = (screen?.findings() ?? []).map(
    ({ rule, count }): AuditFinding => ({
      rule_id: rule.id,
      action: rule.action,
      mode: rule.mode,
      on: 'reply',
      count,
      where: [],
    }),
  )
  return [...onCall, ...onReply]
}

/** What the caller said about the call in headers. It is bounded, and never text of the call. */
function metadataOf({ incoming: { headers }, call }: Exchange & PartlyKnown): Record<string, unknown> {
  const metadata: Record<string, unknown> = {}
  const conversation = clean(headers['x-earthflow-conversation'])
  if (conversation !== null) metadata.conversation = conversation
  const given = headers['x-earthflow-metadata']
  if (typeof given === 'string' && given.length <= METADATA_BYTES_MAX) Object.assign(metadata, parseMetadata(given))
  if (!call) metadata.body = 'not read'
  return metadata
}

function parseMetadata(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
    return Object.fromEntries(Object.entries(value).filter(([, item]) => ['string', 'number', 'boolean'].includes(typeof item)))
  } catch {
    return {} // a header that is no JSON describes nothing; the call itself is not the worse for it
  }
}

/** A model's name; anything else a caller wrote in its place is text, and text is not kept. */
const modelOf = (model: string | undefined): string | null => (model !== undefined && /^[\w.:/@+-]{1,200}$/.test(model) ? model : null)

const clean = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value.slice(0, TEXT_MAX) : null)
