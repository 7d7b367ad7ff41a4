import type { HashOf } from '../audit/prompt-hash.ts'
import { type AuditLog, durabilityOf, entryOf } from './audit.ts'
import type { Stage } from './stage.ts'

/** Puts the exchange on record before anything leaves: a crash from here on leaves a row, with outcome `unknown`. */
export const openRecord =
  (auditLog: AuditLog, hashOf: HashOf): Stage<'caller' | 'call' | 'promptHash' | 'admission' | 'verdict' | 'outbound', 'ticket'> =>
  async (known) => {
    const forwardedHash = await hashOf(known.caller.tenant.id, known.outbound)
    await auditLog.open(entryOf(known, null, auditLog.isAway, forwardedHash), durabilityOf(known))
    return { ticket: { forwardedHash } }
  }
