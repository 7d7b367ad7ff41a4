/** The entry format: what of an entry goes into the chain. The one thing that whoever writes the log and whoever verifies it share. */
import { hash } from 'node:crypto'
import { canonical, ordered } from './canonical.ts'
import type { AuditEntry } from './entry.ts'

/** Where an entry stands in its writer's chain. */
export interface LeafPlace {
  writer_id: string
  /** From 1 on, without a gap. */
  seq: number
  /** The tenant's leaf of the same kind before this one in the same chain; 0: none. */
  tenant_prev: number
}

/** An entry with all that its leaf is made of. `salt` is null where its personal fields were erased; `erased_by` then names the entry that tells of it. */
export interface ChainedEntry extends AuditEntry, LeafPlace {
  salt: string | null
  payload_hash: string
  erased_by: string | null
}

/** The fields that may be erased: what a caller says of people. The leaf holds a salted hash of them. */
export const payloadFields = ['user_id', 'metadata'] as const

const VERSION = 1

/** The canonical form (RFC 8785) of the fields that may be erased. */
export const payloadOf = ({ user_id, metadata }: Pick<AuditEntry, (typeof payloadFields)[number]>): string => canonical({ metadata, user_id })

/** SHA-256, base64url, over the salt (16 bytes, base64url) and the text of the fields that may be erased. */
export function payloadHash(payload: string, salt: string): string {
  if (salt.length + payload.length * UTF8_BYTES_MAX > scratch.length)
    return hash('sha256', Buffer.concat([Buffer.from(salt, 'base64url'), Buffer.from(payload)]), 'base64url')
  const at = scratch.write(salt, 'base64url')
  return hash('sha256', scratch.subarray(0, at + scratch.write(payload, at)), 'base64url')
}
/** Of a character of a JavaScript string. */
const UTF8_BYTES_MAX = 3
const scratch = Buffer.allocUnsafeSlow(8 << 10)

export const payloadHashOf = (said: Pick<AuditEntry, (typeof payloadFields)[number]>, salt: string): string => payloadHash(payloadOf(said), salt)

/** The leaf's text, in canonical form (RFC 8785). Throws where the entry holds what JSON cannot. */
export const leafOf = (entry: AuditEntry, { writer_id, seq, tenant_prev }: LeafPlace, payload_hash: string): string =>
  canonical(fieldsOf(entry, { writer_id, seq, tenant_prev, payload_hash }, undefined))

/** All fields of an entry in canonical form: what the seal of a row is taken over that is chained later. */
export const contentOf = (entry: AuditEntry): string => canonical(fieldsOf(entry, undefined, entry))

/**
 * Exactly the fields of an entry, in the order of RFC 8785, each as the database gives it back: a decimal number without the zeros at its end. With its place, or
 * with what may be erased. What concerns approvals stands in entries that have to do with one, and in no others: those that were written before there were any
 * keep their leaves. What is undefined is left out.
 */
function fieldsOf(entry: AuditEntry, place: (LeafPlace & { payload_hash: string }) | undefined, said: AuditEntry | undefined): object {
  const { escalation_id = null, approved_by = null, held_audit_id = null } = entry
  const isHeld = escalation_id !== null || approved_by !== null || held_audit_id !== null
  return {
    agent_id: entry.agent_id,
    approved_by: isHeld ? approved_by : undefined,
    attempts: ordered(entry.attempts),
    audit_id: entry.audit_id,
    budgets: ordered(entry.budgets),
    cost_usd: withoutZeros(entry.cost_usd),
    degraded: entry.degraded,
    dialect: entry.dialect,
    endpoint: entry.endpoint,
    escalation_id: isHeld ? escalation_id : undefined,
    findings: ordered(entry.findings),
    first_byte_ms: entry.first_byte_ms,
    forwarded_hash: entry.forwarded_hash,
    held_audit_id: isHeld ? held_audit_id : undefined,
    http_status: entry.http_status,
    key_prefix: entry.key_prefix,
    kind: entry.kind,
    latency_ms: entry.latency_ms,
    metadata: said && ordered(said.metadata),
    model: entry.model,
    outcome: entry.outcome,
    overhead_ms: entry.overhead_ms,
    payload_hash: place?.payload_hash,
    policy_version: entry.policy_version,
    prompt_hash: entry.prompt_hash,
    reason: entry.reason,
    request_id: entry.request_id,
    rules_evaluated: entry.rules_evaluated,
    rules_triggered: entry.rules_triggered,
    seq: place?.seq,
    status: entry.status,
    stream: entry.stream,
    tenant_id: entry.tenant_id,
    tenant_prev: place?.tenant_prev,
    timestamp: entry.timestamp,
    uninspected_bytes: entry.uninspected_bytes,
    upstream: entry.upstream,
    upstream_ms: entry.upstream_ms,
    usage: ordered(entry.usage),
    user_id: said?.user_id,
    v: place && VERSION,
    writer_id: place?.writer_id,
  }
}

const withoutZeros = (decimal: string | null): string | null => (decimal?.endsWith('0') && decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal)
