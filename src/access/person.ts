import type { Role } from './roles.ts'
import type { Scope } from './scopes.ts'

/** Somebody who has logged in, with a password or through an identity provider. */
export interface Person {
  /** `usr_…`; of an identity provider's token `sso_` and a digest of issuer and subject. */
  id: string
  email: string
  name: string
  role: Role
  /** Null: belongs to the whole installation. */
  tenantId: string | null
  scopes: ReadonlySet<Scope>
  /** What logging out ends; null where a token of an identity provider was sent. */
  loginId: string | null
}
