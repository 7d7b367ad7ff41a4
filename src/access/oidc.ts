/** People whom an identity provider vouches for, by its signed token (RFC 7519, OpenID Connect Core 1.0). They have no row here: the token says it all. */
import { hash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { Db } from '../db/connect.ts'
import { eq } from '../db/drizzle.ts'
import { tenants } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { createLookups, keepBounded } from './lookups.ts'
import { type OidcSettings, personOf } from './oidc-claims.ts'
import { createProviderKeys, type ProviderFetch } from './oidc-keys.ts'
import type { Person } from './person.ts'

export interface Oidc {
  /**
   * The person of a token of one of the providers; null where it opens nothing. Throws a Refusal ('forbidden') where the token is right and gives no role
   * or no active tenant, and Failure('unavailable') while the provider's keys, or the database, cannot be asked.
   */
  find(token: string): Promise<Person | null> | null
  /** Reads again whether tenants are active; null means all. Call it for changes of kind 'tenants'. */
  forget(tenantId: string | null): void
}

export interface OidcOptions {
  issuers: readonly OidcSettings[]
  /** Through the egress guard; without following redirects. */
  fetch: ProviderFetch
  db: Db
  /** Milliseconds since 1970. */
  now: () => number
}

/** What credentials may be long. */
const TOKEN_CHARACTERS_MAX = 8_192
/** A token without a signature has an empty third part, and is none. */
const shape = /^[\w-]+\.[\w-]+\.[\w-]+$/
const KEY_ID_CHARACTERS_MAX = 200
const CLOCK_TOLERANCE_SECONDS = 30
const TOKEN_AGE_MAX = '24h'
/** A token that was verified is believed for so long, then its signature is checked again: a provider may have withdrawn the key. */
const BELIEVED_MS_MAX = 600_000
const BELIEVED_MAX = 10_000
const QUERY_MS = 5_000

interface Believed {
  person: Person
  until: number
}

export function createOidc({ issuers, fetch, db, now }: OidcOptions): Oidc {
  const providers = new Map(issuers.map((settings) => [settings.issuer, { settings, keys: createProviderKeys({ ...settings, fetch, now }) }]))
  // Keyed by the SHA-256 of the whole token: none rests in memory.
  const believed = new Map<string, Believed>()
  const activeTenants = createLookups<{ id: string }>({ now })

  return {
    find: (token) => (providers.size > 0 && token.length <= TOKEN_CHARACTERS_MAX && shape.test(token) ? find(token) : null),
    forget: (tenantId) => activeTenants.forget(tenantId === null ? undefined : ({ id }) => id === tenantId),
  }

  async function find(token: string): Promise<Person | null> {
    const digest = hash('sha256', token, 'base64')
    const known = believed.get(digest)
    const isKnown = known !== undefined && now() < known.until
    if (isKnown && (known.person.tenantId === null || (await isActive(known.person.tenantId)))) return known.person
    believed.delete(digest)

    const provider = providerOf(token)
    if (provider === undefined) return null
    const { settings, keys } = provider
    const payload = await verified(token, settings, keys)
    if (payload === null) return null
    const person = await personOf(payload, settings, isActive)
    if (person !== null) keepBounded(believed, BELIEVED_MAX, digest, { person, until: Math.min((payload.exp ?? 0) * 1_000, now() + BELIEVED_MS_MAX) })
    return person
  }

  /** Chosen by what the token says of itself, which is only believed once that provider's key has verified it. */
  function providerOf(token: string) {
    try {
      const { alg, kid } = decodeProtectedHeader(token)
      const { iss } = decodeJwt(token)
      const provider = typeof iss === 'string' ? providers.get(iss) : undefined
      const isKeyId = kid === undefined || (typeof kid === 'string' && kid.length <= KEY_ID_CHARACTERS_MAX)
      return isKeyId && (provider?.settings.algorithms as readonly unknown[] | undefined)?.includes(alg) ? provider : undefined
    } catch {
      return undefined
    }
  }

  async function verified(token: string, { issuer, audience, algorithms }: OidcSettings, keys: JWTVerifyGetKey): Promise<JWTPayload | null> {
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: [...algorithms],
        requiredClaims: ['exp', 'iat', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        maxTokenAge: TOKEN_AGE_MAX,
        currentDate: new Date(now()),
      })
      return payload
    } catch (error) {
      // Everything jose says is about the token: what goes wrong with the provider is a Failure.
      if (error instanceof errors.JOSEError) return null
      throw error
    }
  }

  async function isActive(tenantId: string): Promise<boolean> {
    return (await activeTenants.find(tenantId, () => readTenant(tenantId))) !== null
  }

  async function readTenant(tenantId: string): Promise<{ id: string } | null> {
    const [row] = await within(QUERY_MS, db.select({ id: tenants.id, active: tenants.active }).from(tenants).where(eq(tenants.id, tenantId)).limit(1))
    return row?.active === true ? { id: row.id } : null
  }
}
