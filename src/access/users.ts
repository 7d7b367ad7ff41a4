/** The rows of people. Whoever changes one announces a change of 'users' at the end of the transaction. */
import type { Db, Tx } from '../db/connect.ts'
import { and, asc, count, desc, eq, getTableColumns, isNull, sql } from '../db/drizzle.ts'
import { users } from '../db/schema.ts'
import { newId } from '../ids.ts'
import type { Role } from './roles.ts'

/** Without what its password was made into. */
export type UserRow = Omit<typeof users.$inferSelect, 'passwordHash'>
/** How somebody is found who wants to log in. */
export type UserWithPassword = typeof users.$inferSelect

export interface NewUser {
  tenantId: string | null
  /** In small letters, see `emailOf`. */
  email: string
  name: string
  role: Role
  passwordHash: string | null
}

export type UserChanges = Partial<Pick<NewUser, 'name' | 'role' | 'passwordHash'> & { active: boolean }>

/** What bounds the lists of one tenant, and of the installation's own. */
export const USERS_PER_TENANT_MAX = 10_000

const { passwordHash: _kept, ...shown } = getTableColumns(users)

/** The one spelling under which a person is found, whatever was typed. */
export const emailOf = (typed: string): string => typed.toLowerCase()

/** Runs into the unique index where the address is taken, by whomever. */
export async function insertUser(tx: Tx, fresh: NewUser): Promise<UserRow> {
  const [row] = await tx
    .insert(users)
    .values({ id: newId('usr'), ...fresh })
    .returning(shown)
  return row
}

/** Newest first: those of one tenant, or where none is named everybody. */
export async function listUsers(
  db: Db | Tx,
  { tenantId, limit, offset }: { tenantId: string | null; limit: number; offset: number },
): Promise<{ rows: UserRow[]; total: number }> {
  const which = within(tenantId)
  const [counted] = await db.select({ total: count() }).from(users).where(which)
  const rows = await db.select(shown).from(users).where(which).orderBy(desc(users.createdAt), desc(users.id)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

/** How many belong to the tenant; null: to no tenant. */
export async function countUsers(tx: Tx, tenantId: string | null): Promise<number> {
  const [counted] = await tx
    .select({ total: count() })
    .from(users)
    .where(tenantId === null ? isNull(users.tenantId) : eq(users.tenantId, tenantId))
  return counted.total
}

/** `reach` is the tenant whose people may be found; null: everybody. */
export async function findUser(db: Db | Tx, reach: string | null, id: string): Promise<UserRow | undefined> {
  return (
    await db
      .select(shown)
      .from(users)
      .where(and(within(reach), eq(users.id, id)))
      .limit(1)
  )[0]
}

/** The same, and every other change of this person waits until the transaction ends. */
export async function lockUser(tx: Tx, reach: string | null, id: string): Promise<UserWithPassword | undefined> {
  return (
    await tx
      .select()
      .from(users)
      .where(and(within(reach), eq(users.id, id)))
      .for('no key update')
  )[0]
}

export async function findByEmail(db: Db | Tx, email: string): Promise<UserWithPassword | undefined> {
  return (
    await db
      .select()
      .from(users)
      .where(eq(sql`lower(${users.email})`, emailOf(email)))
      .limit(1)
  )[0]
}

/** The fields left out stay as they are. */
export async function changeUser(tx: Tx, reach: string | null, id: string, fields: UserChanges & { lastLoginAt?: Date }): Promise<UserRow | undefined> {
  if (Object.keys(fields).length === 0) return findUser(tx, reach, id)
  return (
    await tx
      .update(users)
      .set(fields)
      .where(and(within(reach), eq(users.id, id)))
      .returning(shown)
  )[0]
}

/** The ids of the active owners of the whole installation. Until the transaction ends nobody else makes them fewer. */
export async function lockOwners(tx: Tx): Promise<string[]> {
  const owners = and(isNull(users.tenantId), eq(users.role, 'owner'), eq(users.active, true))
  // In one order, so that two who do this at once wait for each other and not for ever.
  const rows = await tx.select({ id: users.id }).from(users).where(owners).orderBy(asc(users.id)).for('no key update')
  return rows.map(({ id }) => id)
}

const within = (reach: string | null) => (reach === null ? undefined : eq(users.tenantId, reach))
