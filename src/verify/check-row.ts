/** The leaf that a row makes. */
import type { AuditEntry } from '../audit/entry.ts'
import { leafOf, payloadHashOf } from '../audit/leaf.ts'
import { leafHash } from './merkle.ts'
import type { Chained, RowLeaf } from './record.ts'

/** `audit_id` to `http_status`, and `chain`. */
const LINE_MEMBERS = 35
/** Lines of an older version do not have these. */
const LATER_MEMBERS = ['escalation_id', 'approved_by', 'held_audit_id'] as const satisfies readonly (keyof AuditEntry)[]
const NO_HASH = Buffer.alloc(0)

export function leafOfRow(entry: AuditEntry, chain: Chained): RowLeaf {
  try {
    return { hash: leafHash(leafOf(entry, chain, chain.payload_hash)), problem: payloadProblem(entry, chain) }
  } catch {
    return { hash: NO_HASH, problem: 'the row holds what no entry can' }
  }
}

/** A line of an export holds the members of an entry, `chain`, and no others: nothing proves them. */
export function leafOfLine(entry: AuditEntry, chain: Chained): RowLeaf {
  const { hash, problem } = leafOfRow(entry, chain)
  const known = LINE_MEMBERS + LATER_MEMBERS.filter((name) => Object.hasOwn(entry, name)).length
  return { hash, problem: problem ?? (Object.keys(entry).length > known ? 'the entry has members that nothing proves' : null) }
}

function payloadProblem(entry: AuditEntry, { salt, payload_hash, erased_by }: Chained): string | null {
  if (salt === null) {
    if (erased_by === null) return 'the salt is missing, and no erasure is named'
    return entry.user_id === null && isEmpty(entry.metadata) ? null : 'the row was erased, and yet says something of a person'
  }
  if (erased_by !== null) return 'the row names an erasure, and yet was not erased'
  return payloadHashOf(entry, salt) === payload_hash ? null : 'user_id and metadata are not what was logged'
}

const isEmpty = (metadata: unknown): boolean => typeof metadata === 'object' && metadata !== null && Object.keys(metadata).length === 0
