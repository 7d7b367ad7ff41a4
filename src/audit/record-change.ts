/** The record of an administrative change. It commits with the change it tells of, or not at all. */
import type { Tx } from '../db/connect.ts'
import { auditEntries } from '../db/schema.ts'
import { newId } from '../ids.ts'

export interface Change {
  /** `admin`, `system`, or the prefix of a key. */
  actor: string
  /** The prefix of the key that was used, if it was a tenant's. */
  keyPrefix: string | null
  /** What was done: `tenant.create`. */
  action: string
  /** Null where it concerns the whole installation. */
  tenantId: string | null
  /** What it was done to: an id, a name, a prefix. Never a secret. */
  subject: string
  requestId: string
  at: Date
}

export async function recordChange(tx: Tx, { actor, keyPrefix, action, tenantId, subject, requestId, at }: Change): Promise<void> {
  await tx.insert(auditEntries).values({
    auditId: newId('aud', at.getTime()),
    timestamp: at,
    kind: 'change',
    tenantId,
    requestId,
    keyPrefix,
    outcome: 'completed',
    reason: action,
    metadata: { actor, subject },
  })
}
