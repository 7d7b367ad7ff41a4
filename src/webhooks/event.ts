/**
 * What others are told. Every event follows from an entry of the audit log, or is committed with what it tells of; one that nobody asked for makes no row.
 * No event holds text of a call or a reply, a key or a secret.
 */
import type { AuditEntry } from '../audit/entry.ts'
import type { NewEvent } from '../db/outbox.ts'
import { newId } from '../ids.ts'

/** Every event there is. */
export const events = {
  ALLOW: 'a call ended that no rule minded',
  WARN: 'a call ended that a rule warned of',
  REDACT: 'a call ended of which a rule cut something',
  ESCALATE: 'a call waits for a person, or was turned away because it would have had to',
  BLOCK: 'a call was blocked by a rule',
  RULE_TRIGGERED: 'a call ended in which rules found something, whatever was done about it',
  RATE_LIMIT_HIT: 'calls of a key were over a limit',
  BUDGET_THRESHOLD: 'half of a budget is spent, or four fifths',
  BUDGET_EXCEEDED: 'a budget is spent, or calls of a key were refused because one is',
  AGENT_QUARANTINED: 'an agent may make no calls',
  AGENT_RELEASED: 'an agent may make calls again',
  KEY_CREATED: 'an API key was issued',
  KEY_REVOKED: 'an API key was revoked',
  KEY_ROTATED: 'API keys were replaced by others',
  SESSIONS_LOCKED: 'all sessions were ended, and none can be made',
  POLICY_CHANGED: 'rules or dictionaries were changed',
  ESCALATION_DECIDED: 'a call that waited for a person was approved or denied, or nobody decided in time',
  UPSTREAM_DOWN: 'a provider does not answer',
  UPSTREAM_UP: 'a provider answers again',
  WEBHOOK_DISABLED: 'a webhook was disabled, because it is gone or has failed for days',
  CERTIFICATE_EXPIRING: 'the certificate that is served expires within 30, 14, 7, 3 days, or one',
  AUDIT_CHECKPOINT: 'a checkpoint of the audit log was signed',
  AUDIT_DEGRADED: 'no checkpoint of the audit log can be made or delivered, or something of the log was set aside',
} as const satisfies Record<string, string>

export type EventType = keyof typeof events
export const eventTypes = Object.keys(events) as [EventType, ...EventType[]]
/** In the place of names of events: all of them, those of later versions too. */
export const EVERY_EVENT = '*'

/** Told once a minute for each subject, with a count: also what each of several processes sees. */
export const countedEvents: ReadonlySet<EventType> = new Set(['RATE_LIMIT_HIT', 'BUDGET_EXCEEDED', 'UPSTREAM_DOWN', 'UPSTREAM_UP'])

export interface Told {
  type: EventType
  /** Of those that are counted: whose they are. */
  subject: string | null
  data: Record<string, unknown>
}

/** Who listens, as far as this process knows. */
export interface Listeners {
  /** Nobody does. */
  readonly isEmpty: boolean
  /** Somebody may listen to this event of a tenant; of null, the installation. */
  wants(type: EventType, tenantId: string | null): boolean
}

/** Where nobody knows who listens: the database does. */
const anybody: Listeners = { isEmpty: false, wants: () => true }

/** Bytes of JSON that a payload spends on what rules found and on what is said of a change: all of it together has at most 20 kB. The audit log has the rest. */
const RULES_BYTES_MAX = 4_096
const FINDINGS_BYTES_MAX = 6_144
const DETAILS_BYTES_MAX = 8_192

/** Actions of administrative changes, and of the program itself, that are told. */
export const toldActions: Readonly<Record<string, EventType>> = {
  'agent.quarantine': 'AGENT_QUARANTINED',
  'agent.release': 'AGENT_RELEASED',
  'tenant.create': 'KEY_CREATED', // its first
  'key.create': 'KEY_CREATED',
  'key.revoke': 'KEY_REVOKED',
  'key.rotate': 'KEY_ROTATED',
  'sessions.lock': 'SESSIONS_LOCKED',
  'policy.restore': 'POLICY_CHANGED',
  'preset.merge': 'POLICY_CHANGED',
  'preset.replace': 'POLICY_CHANGED',
  'rules.import.merge': 'POLICY_CHANGED',
  'rules.import.replace': 'POLICY_CHANGED',
  'rule.create': 'POLICY_CHANGED',
  'rule.update': 'POLICY_CHANGED',
  'rule.delete': 'POLICY_CHANGED',
  'dictionary.put': 'POLICY_CHANGED',
  'dictionary.delete': 'POLICY_CHANGED',
  'escalation.approve': 'ESCALATION_DECIDED',
  'escalation.deny': 'ESCALATION_DECIDED',
  'escalation.expire': 'ESCALATION_DECIDED',
  'upstream.down': 'UPSTREAM_DOWN',
  'upstream.up': 'UPSTREAM_UP',
  'webhook.disable': 'WEBHOOK_DISABLED',
  'certificate.expiring': 'CERTIFICATE_EXPIRING',
  'audit.degraded': 'AUDIT_DEGRADED',
  'audit.spool_damaged': 'AUDIT_DEGRADED',
}

/** Why calls are turned away whose number is told. */
const toldReasons: Readonly<Record<string, EventType>> = { rate_limit: 'RATE_LIMIT_HIT', budget: 'BUDGET_EXCEEDED' }

/** The events that an entry of the audit log is. Each names it in its data. */
export function eventsOf(entry: AuditEntry): Told[] {
  if (entry.kind === 'exchange') return ofExchange(entry)
  const type = entry.kind === 'change' ? toldActions[entry.reason ?? ''] : undefined
  if (type === undefined) return []
  const { actor, subject, ...details } = entry.metadata
  const isShort = Buffer.byteLength(JSON.stringify(details)) <= DETAILS_BYTES_MAX
  const data = { audit_id: entry.audit_id, action: entry.reason, actor, subject, details: isShort ? details : {} }
  return [{ type, subject: countedEvents.has(type) ? String(subject) : null, data }]
}

/** Those that somebody listens to, as the database takes them. */
export function newEventsOf(entry: AuditEntry, listeners: Listeners = anybody): NewEvent[] {
  if (listeners.isEmpty) return []
  const { tenant_id, request_id, timestamp } = entry
  return eventsOf(entry)
    .filter(({ type }) => listeners.wants(type, tenant_id))
    .map((told) => ({ event_id: newId('evt'), tenant_id, request_id, at: timestamp, ...told }))
}

function ofExchange(entry: AuditEntry): Told[] {
  const { audit_id, status, outcome, reason, rules_triggered, key_prefix, agent_id, escalation_id = null } = entry
  const told: Told[] = []
  // That a call waits is told when it begins to.
  const isToldAlready = status === 'ESCALATE' && escalation_id !== null
  if (status !== null && status !== 'REJECTED' && !isToldAlready) told.push({ type: status, subject: null, data: exchangeData(entry) })
  if (rules_triggered.length > 0) told.push({ type: 'RULE_TRIGGERED', subject: null, data: exchangeData(entry) })
  // Also where a reply was stopped, for then it had begun.
  const counted = outcome === 'refused' ? toldReasons[reason ?? ''] : undefined
  if (counted) told.push({ type: counted, subject: key_prefix ?? '', data: { audit_id, key_prefix, agent_id } })
  return told
}

/** What is told of a call: who made it, what was found where, what became of it; nothing of what it says. What an earlier version left on the disk lacks fields. */
function exchangeData(entry: AuditEntry): Record<string, unknown> {
  const { audit_id, agent_id, key_prefix, user_id, status, outcome, reason, dialect, endpoint, model, upstream, stream } = entry
  const { policy_version, prompt_hash, usage, cost_usd, latency_ms, http_status, escalation_id = null, approved_by = null, held_audit_id = null } = entry
  return {
    audit_id,
    agent_id,
    key_prefix,
    user_id,
    status,
    outcome,
    reason,
    dialect,
    endpoint,
    model,
    upstream,
    stream,
    rules_triggered: atMost(RULES_BYTES_MAX, entry.rules_triggered),
    findings: atMost(FINDINGS_BYTES_MAX, entry.findings),
    policy_version,
    prompt_hash,
    usage,
    cost_usd,
    latency_ms,
    http_status,
    escalation_id,
    approved_by,
    held_audit_id,
  }
}

/** As many of them, from the first on, as take no more bytes of JSON. */
function atMost<T>(bytesMax: number, list: readonly T[]): readonly T[] {
  let bytes = 0
  const tooMany = list.findIndex((one) => (bytes += Buffer.byteLength(JSON.stringify(one)) + 1) > bytesMax)
  return tooMany === -1 ? list : list.slice(0, tooMany)
}
