/** The owner of an installation that has just been made. */
import { endLogins } from '../access/logins.ts'
import type { Passwords } from '../access/passwords.ts'
import { changeUser, findByEmail, insertUser } from '../access/users.ts'
import { newId } from '../ids.ts'
import { type AdminParts, change } from './parts.ts'

/** Makes the person, where nobody has the address. `reset` gives whoever has it this password. */
export async function ensureOwner(
  parts: Pick<AdminParts, 'db' | 'now' | 'changed' | 'seal' | 'report'> & { passwords: Pick<Passwords, 'hash'> },
  { email, password, reset }: { email: string; password: string; reset: boolean },
): Promise<void> {
  const known = await findByEmail(parts.db, email)
  if (known && !reset) return
  const passwordHash = await parts.passwords.hash(password)
  await change(parts, { actor: { kind: 'system' }, requestId: newId('req') }, async (tx) => {
    if (!known) {
      const { id } = await insertUser(tx, { tenantId: null, email, name: 'Owner', role: 'owner', passwordHash })
      return { result: undefined, done: { action: 'user.create', tenantId: null, subject: id, changes: [] } }
    }
    await changeUser(tx, null, known.id, { passwordHash })
    await endLogins(tx, known.id)
    return { result: undefined, done: { action: 'user.update', tenantId: known.tenantId, subject: known.id, changes: ['users'] } }
  })
}
