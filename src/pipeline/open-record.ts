import type { HashOf } from '../audit/prompt-hash.ts'
import { type AuditLog, durabilityOf, entryOf } from './audit.ts'
import type { Exchange, Facts, Stage } from './stage.ts'

/** Puts the exchange on record before anything leaves: a crash from here on leaves a row, with outcome `unknown`. */
export const openRecord =
  (auditLog: AuditLog, hashOf: HashOf): Stage<'caller' | 'call' | 'promptHash' | 'admission' | 'verdict' | 'outbound', 'ticket'> =>
  (known) => {
    const forwardedHash = hashOf(known.caller.tenant.id, known.outbound)
    return typeof forwardedHash === 'string' ? opened(auditLog, known, forwardedHash) : forwardedHash.then((hash) => opened(auditLog, known, hash))
  }

async function opened(auditLog: AuditLog, known: Exchange & Pick<Facts, 'caller' | 'admission'>, forwardedHash: string): Promise<Pick<Facts, 'ticket'>> {
  await auditLog.open(entryOf(known, null, auditLog.isAway, forwardedHash), durabilityOf(known))
  return { ticket: { forwardedHash } }
}
