/** A call that a person has to decide about, and what is known of that. */

import type { escalations } from '../db/schema.ts'

type Row = typeof escalations.$inferSelect

/** The columns of its record that are known from the start; they are described where the table is. */
type Known = 'tenantId' | 'caller' | 'keyPrefix' | 'agentId' | 'userId' | 'requestId' | 'auditId' | 'dialect' | 'endpoint' | 'model' | 'rulesTriggered'

export interface HeldCall extends Pick<Row, Known | 'policyVersion' | 'bodyHash' | 'callHash'> {
  bodyBytes: number
  /** What the arbiter is shown, as JSON. Asked for only where a record is made. */
  content(): string
}

/**
 * Why it may not go on (yet). `approved`: it may, but has not said so. `another`: the approval is not for this very call, or there is none.
 * `too_large`, `caller_full`, `tenant_full`, `full`: nobody was asked.
 */
export type Why = 'pending' | 'approved' | 'denied' | 'expired' | 'used' | 'another' | 'too_large' | 'caller_full' | 'tenant_full' | 'full'

export type Answer =
  /** It may, this once. `heldAuditId`: the entry of the call that was held, where that was another exchange. */
  | { why: null; id: string; approvedBy: string; heldAuditId: string | null }
  /** `id`: of the record about this very call, if there is one. */
  | { why: Why; id: string | null }

export type Refused = Exclude<Answer, { why: null }>
