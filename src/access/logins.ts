/** The rows of logins. Whoever ends one announces a change of 'users' at the end of the transaction. */
import type { Tx } from '../db/connect.ts'
import { and, desc, eq, inArray, lte } from '../db/drizzle.ts'
import { logins } from '../db/schema.ts'

/** How long somebody stays logged in. */
export const LOGIN_MS = 12 * 3_600_000
/** Of one person at once. With one more the oldest ends. */
export const LOGINS_PER_USER_MAX = 50
/** Expired rows that a new login clears away. */
const PRUNED_MAX = 100

export interface NewLogin {
  id: string
  userId: string
  createdAt: Date
  expiresAt: Date
}

/** Call it with the person's row locked. Says whether another login of theirs was ended for this one. */
export async function insertLogin(tx: Tx, login: NewLogin): Promise<{ endedOthers: boolean }> {
  await tx.insert(logins).values(login)
  const expired = tx.select({ id: logins.id }).from(logins).where(lte(logins.expiresAt, login.createdAt)).limit(PRUNED_MAX).for('update', { skipLocked: true })
  await tx.delete(logins).where(inArray(logins.id, expired))
  const tooMany = tx
    .select({ id: logins.id })
    .from(logins)
    .where(eq(logins.userId, login.userId))
    .orderBy(desc(logins.createdAt), desc(logins.id))
    .offset(LOGINS_PER_USER_MAX)
  const ended = await tx.delete(logins).where(inArray(logins.id, tooMany)).returning({ id: logins.id })
  return { endedOthers: ended.length > 0 }
}

export async function endLogin(tx: Tx, userId: string, id: string): Promise<void> {
  await tx.delete(logins).where(and(eq(logins.id, id), eq(logins.userId, userId)))
}

export async function endLogins(tx: Tx, userId: string): Promise<void> {
  await tx.delete(logins).where(eq(logins.userId, userId))
}
