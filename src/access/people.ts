/** Who stands behind a token of somebody who has logged in. */
import type { Keyring } from '../crypto/keyring.ts'
import type { Db } from '../db/connect.ts'
import { eq } from '../db/drizzle.ts'
import { logins, tenants, users } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { createLoginTokens, isLoginToken } from './login-token.ts'
import { createLookups } from './lookups.ts'
import type { Oidc } from './oidc.ts'
import type { Person } from './person.ts'
import { isRole, scopesOf } from './roles.ts'

export interface People {
  /**
   * The person, or null for every token that opens nothing, whatever the cause. Asks the database only where the token's signature is right. Throws
   * Failure('unavailable') when that, or an identity provider's keys, cannot be asked, and a Refusal for whom their identity provider gives no role or
   * tenant here.
   */
  find(token: string): Person | null | Promise<Person | null>
}

export interface PeopleOptions {
  db: Db
  keyring: Pick<Keyring, 'loginKey'>
  /** Null where nobody comes from an identity provider. */
  oidc: Pick<Oidc, 'find' | 'forget'> | null
  /** Milliseconds since 1970. */
  now: () => number
}

const QUERY_MS = 5_000

interface Known {
  person: Person
  expiresAt: number
}

export interface KnownPeople extends People {
  /** Reads a tenant's people again when they next come; null means everybody. Call it for changes of kind 'users' and 'tenants'. */
  forget(tenantId: string | null): void
}

export function createPeople({ db, keyring, oidc, now }: PeopleOptions): KnownPeople {
  const tokens = createLoginTokens({ keyring, now })
  const known = createLookups<Known>({ now })

  return {
    find: (token) => (isLoginToken(token) ? findLogin(token) : oidc === null ? null : oidc.find(token)),
    forget(tenantId) {
      known.forget(tenantId === null ? undefined : ({ person }) => person.tenantId === tenantId)
      oidc?.forget(tenantId)
    },
  }

  async function findLogin(token: string): Promise<Person | null> {
    const claimed = await tokens.verify(token)
    if (claimed === null) return null
    const found = await known.find(claimed.loginId, () => read(claimed.loginId))
    return found !== null && found.person.id === claimed.userId && now() < found.expiresAt ? found.person : null
  }

  async function read(loginId: string): Promise<Known | null> {
    const [row] = await within(
      QUERY_MS,
      db
        .select({ user: users, isTenantActive: tenants.active, expiresAt: logins.expiresAt })
        .from(logins)
        .innerJoin(users, eq(users.id, logins.userId))
        .leftJoin(tenants, eq(tenants.id, users.tenantId))
        .where(eq(logins.id, loginId))
        .limit(1),
    )
    if (!row) return null
    const { id, email, name, role, tenantId, active } = row.user
    if (!active || !isRole(role) || (tenantId !== null && row.isTenantActive !== true)) return null
    return { person: { id, email, name, role, tenantId, scopes: scopesOf(role, tenantId), loginId }, expiresAt: row.expiresAt.getTime() }
  }
}
