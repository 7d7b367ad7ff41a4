/** From the claims of a verified token to a person, as the settings of its identity provider say. */
import { hash } from 'node:crypto'
import type { JWTPayload } from 'jose'
import { Refusal } from '../errors.ts'
import type { Person } from './person.ts'
import { type Role, roleNames, scopesOf } from './roles.ts'

/** An identity provider, as OIDC_ISSUERS describes it. */
export interface OidcSettings {
  issuer: string
  audience: string
  algorithms: readonly string[]
  jwks_uri?: string | undefined
  role_claim: string
  roles: Readonly<Record<string, Role>>
  tenant_claim?: string | undefined
  tenants?: Readonly<Record<string, string>> | undefined
  tenant?: string | undefined
}

/** How settings say "the whole installation". */
const INSTALLATION = '*'
/** OpenID Connect Core 1.0, section 2. */
const SUBJECT_CHARACTERS_MAX = 255
const TENANT_CHARACTERS_MAX = 200
const email = /^[^\s\p{Cc}@]{1,64}@[^\s\p{Cc}@]{1,189}$/u
const name = /^[^\p{Cc}]{1,200}$/u

/** Null where it names nobody. Throws a Refusal where it gives no role, or no tenant that is active. */
export async function personOf(payload: JWTPayload, settings: OidcSettings, isActive: (tenantId: string) => Promise<boolean>): Promise<Person | null> {
  const { sub } = payload
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_CHARACTERS_MAX || /\p{Cc}/u.test(sub)) return null
  const role = roleOf(payload, settings)
  if (role === undefined) throw new Refusal('forbidden', 'Your identity provider names no role of Earthflow.')
  const tenantId = tenantOf(payload, settings)
  if (tenantId === undefined || (tenantId !== null && !(await isActive(tenantId)))) {
    throw new Refusal('forbidden', 'Your identity provider names no active tenant of Earthflow.')
  }
  const address = addressOf(payload, sub)
  return {
    id: `sso_${hash('sha256', `${settings.issuer}\n${sub}`, 'base64url').slice(0, 22)}`,
    email: address,
    name: typeof payload.name === 'string' && name.test(payload.name) ? payload.name : address,
    role,
    tenantId,
    scopes: scopesOf(role, tenantId),
    loginId: null,
  }
}

/** Of several the strongest, in the order of the table of roles. */
function roleOf(payload: JWTPayload, { role_claim, roles }: OidcSettings): Role | undefined {
  const claim = claimOf(payload, role_claim)
  const named: unknown[] = Array.isArray(claim) ? claim : [claim]
  const held = new Set(named.map((word) => (typeof word === 'string' ? own(roles, word) : undefined)))
  return roleNames.find((role) => held.has(role))
}

/** Null is the whole installation, which no claim can name but through the settings. */
function tenantOf(payload: JWTPayload, { tenant, tenant_claim, tenants }: OidcSettings): string | null | undefined {
  if (tenant !== undefined) return tenant === INSTALLATION ? null : tenant
  const claim = tenant_claim === undefined ? undefined : claimOf(payload, tenant_claim)
  if (typeof claim !== 'string' || claim.length > TENANT_CHARACTERS_MAX || claim.includes('\0')) return undefined
  if (tenants === undefined) return claim === INSTALLATION ? undefined : claim
  const mapped = own(tenants, claim)
  return mapped === INSTALLATION ? null : mapped
}

/** A claim of that name, or of that path: Keycloak has its roles in `realm_access.roles`. */
function claimOf(payload: JWTPayload, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path]
  return path.split('.').reduce<unknown>((value, member) => (typeof value === 'object' && value !== null ? own(value, member) : undefined), payload)
}

/**
 * Under what somebody stands in the audit log: nobody can call themselves `admin` there, or be called so by their provider, and an address is theirs only
 * where the provider says that it has seen to that (OpenID Connect Core 1.0, section 5.1: `email_verified`).
 */
function addressOf({ email: claimed, email_verified: isVerified }: JWTPayload, sub: string): string {
  return typeof claimed === 'string' && isVerified === true && email.test(claimed) ? claimed.toLowerCase() : `sso:${sub}`
}

const own = <Value>(record: Readonly<Record<string, Value>> | object, member: string): Value | undefined =>
  Object.hasOwn(record, member) ? (record as Record<string, Value>)[member] : undefined
