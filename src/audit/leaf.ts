/** The entry format: what of an entry goes into the chain. The one thing that whoever writes the log and whoever verifies it share. */
import { hash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { storable } from '../db/to-json.ts'
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

/** SHA-256, base64url, over the salt (16 bytes, base64url) and the canonical form (RFC 8785) of the fields that may be erased. */
export const payloadHashOf = ({ user_id, metadata }: Pick<AuditEntry, (typeof payloadFields)[number]>, salt: string): string =>
  hash('sha256', Buffer.concat([Buffer.from(salt, 'base64url'), Buffer.from(canonical({ user_id, metadata }))]), 'base64url')

/** The leaf's text, in canonical form (RFC 8785). Throws where the entry holds what JSON cannot. */
export function leafOf(entry: AuditEntry, { writer_id, seq, tenant_prev }: LeafPlace, payload_hash: string): string {
  const { user_id: _, metadata: __, ...rest } = fieldsOf(entry)
  return canonical({ ...rest, v: VERSION, writer_id, seq, tenant_prev, payload_hash })
}

/** All fields of an entry in canonical form: what the seal of a row is taken over that is chained later. */
export const contentOf = (entry: AuditEntry): string => canonical(fieldsOf(entry))

/**
 * Exactly the fields of an entry, each as the database gives it back: a decimal number without the zeros at its end. What concerns approvals stands in entries
 * that have to do with one, and in no others: those that were written before there were any keep their leaves.
 */
function fieldsOf(entry: AuditEntry): AuditEntry {
  const { audit_id, timestamp, kind, tenant_id, request_id, agent_id, key_prefix, user_id, status, outcome, reason, dialect, endpoint, model } = entry
  const { upstream, attempts, stream, rules_evaluated, rules_triggered, findings, policy_version, metadata, prompt_hash, forwarded_hash } = entry
  const { uninspected_bytes, degraded, usage, cost_usd, budgets, latency_ms, upstream_ms, first_byte_ms, overhead_ms, http_status } = entry
  const { escalation_id = null, approved_by = null, held_audit_id = null } = entry
  return {
    audit_id,
    timestamp,
    kind,
    tenant_id,
    request_id,
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
    attempts,
    stream,
    rules_evaluated,
    rules_triggered,
    findings,
    policy_version,
    metadata,
    prompt_hash,
    forwarded_hash,
    uninspected_bytes,
    degraded,
    usage,
    cost_usd: cost_usd?.includes('.') ? cost_usd.replace(/\.?0+$/, '') : cost_usd,
    budgets,
    latency_ms,
    upstream_ms,
    first_byte_ms,
    overhead_ms,
    http_status,
    ...(escalation_id === null && approved_by === null && held_audit_id === null ? {} : { escalation_id, approved_by, held_audit_id }),
  } as AuditEntry
}

/** What no text in the database can hold, NUL and half a surrogate pair, is hashed as what stands there in its place. */
function canonical(value: object): string {
  try {
    const text = canonicalize(value)
    if (text !== undefined && !text.includes('\\u0000')) return text
  } catch {
    // Half a surrogate pair: rare, and only then looked for.
  }
  return canonicalize(storable(value)) as string
}
