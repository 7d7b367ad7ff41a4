/** The seal of a row that is chained later than written: whoever wrote it knew the installation's key, so nobody else's row gets into the chain. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { AuditEntry } from './entry.ts'
import { contentOf } from './leaf.ts'

/** HMAC-SHA-256, base64url, over all that the entry says. */
export type Seal = (entry: AuditEntry) => string

/** Of a key of 32 bytes. */
export const createSeal =
  (key: Uint8Array): Seal =>
  (entry) =>
    createHmac('sha256', key).update(contentOf(entry)).digest('base64url')

export function isSealed(seal: Seal, entry: AuditEntry, given: string): boolean {
  const right = Buffer.from(seal(entry))
  const other = Buffer.from(given)
  return right.length === other.length && timingSafeEqual(right, other)
}
