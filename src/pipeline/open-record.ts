import type { HashOf } from '../audit/prompt-hash.ts'
import { type AuditLog, entryOf } from './audit.ts'
import type { Stage } from './stage.ts'

/** Puts the exchange on record before anything leaves: a crash from here on leaves a row, with outcome `unknown`. */
export const openRecord =
  (auditLog: AuditLog, hashOf: HashOf): Stage<'caller' | 'call' | 'promptHash' | 'admission' | 'verdict' | 'outbound', 'ticket'> =>
  async (known) => {
    const forwardedHash = await hashOf(known.caller.tenant.id, known.outbound)
    const { caller, admission } = known
    // What is reserved of a hard budget is charged by whoever finds the record, should this process and its disk be gone.
    const durability = admission.reservation ? 'strict' : caller.tenant.auditDurability
    await auditLog.open(entryOf(known, null, auditLog.isAway, forwardedHash), durability)
    return { ticket: { forwardedHash } }
  }
