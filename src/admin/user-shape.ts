import { z } from 'zod'
import { type Passwords, whyNotPassword } from '../access/passwords.ts'
import { roleNames } from '../access/roles.ts'
import { emailOf, type UserRow } from '../access/users.ts'
import { Refusal } from '../errors.ts'
import { iso, label, timestamp } from './shapes.ts'

/** RFC 5321, section 4.5.3.1.3: 256 octets with the angle brackets. */
const EMAIL_CHARACTERS_MAX = 254
/** Of what is read; how long a password may be is said by the rule for new ones. */
const PASSWORD_CHARACTERS_READ_MAX = 1_000

export const emailShape = z.email('Must be an e-mail address.').max(EMAIL_CHARACTERS_MAX).transform(emailOf).meta({ type: 'string', format: 'email' })
export const passwordShape = z.string().min(1).max(PASSWORD_CHARACTERS_READ_MAX)
export const roleShape = z.enum(roleNames)

export const user = z.strictObject({
  id: z.string(),
  email: z.string(),
  name: z.string(),
  role: roleShape,
  tenant_id: z.string().nullable(),
  active: z.boolean(),
  created_at: timestamp,
  last_login_at: timestamp.nullable(),
})

export const newUser = z.strictObject({
  email: emailShape,
  name: label.optional().meta({ description: 'The e-mail address, where there is none.' }),
  role: roleShape,
  password: passwordShape.optional().meta({ description: 'Without one nobody can log in by password.' }),
})

export const changedUser = z.strictObject({
  name: label.optional(),
  role: roleShape.optional(),
  active: z.boolean().optional(),
  password: passwordShape.optional(),
})

/** Throws a Refusal that says what must be changed about the password. */
export async function newPasswordHash(passwords: Pick<Passwords, 'hash'>, password: string, email: string): Promise<string> {
  const why = whyNotPassword(password, email)
  if (why !== null) throw new Refusal('invalid_request', `password: ${why}`, { context: { field: 'password' } })
  return passwords.hash(password)
}

export const shownUser = (row: UserRow): z.input<typeof user> => ({
  id: row.id,
  email: row.email,
  name: row.name,
  role: roleShape.parse(row.role),
  tenant_id: row.tenantId,
  active: row.active,
  created_at: row.createdAt.toISOString(),
  last_login_at: iso(row.lastLoginAt),
})
