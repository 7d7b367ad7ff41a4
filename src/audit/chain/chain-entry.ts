import { type AuditEntry, emptyEntry } from '../entry.ts'

/** An entry of what the log tells of itself. `at` is milliseconds since 1970. */
export const chainEntry = (reason: 'writer.open' | 'writer.close', metadata: Record<string, unknown>, at: number): AuditEntry => ({
  ...emptyEntry({ at, kind: 'chain', reason }),
  metadata,
})
