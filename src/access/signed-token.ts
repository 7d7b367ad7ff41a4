/**
 * Tokens that are signed here: a prefix that says what they are for, and a JWT (RFC 7519, HS256) that names rows and says how long it lives, and nothing
 * else. One rule for all of them, as RFC 8725 asks (sections 3.1, 3.8, 3.9 and 3.12). Nothing here asks a table of what they name.
 */
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose'
import type { Keyring } from '../crypto/keyring.ts'
import { within } from '../db/unavailable.ts'
import { Failure } from '../errors.ts'

/** What tells the tokens of one purpose from those of another. */
export interface SignedTokenOptions<Claim extends NamingClaim> {
  /** Letters and underscores; ends with one. */
  prefix: string
  audience: string
  /** The claims that name something, each with the prefix of the ids it may hold. */
  names: Readonly<Record<Claim, string>>
}

/** RFC 7519, sections 4.1.2 and 4.1.7. */
type NamingClaim = 'jti' | 'sub'

/** The keys of one purpose: the newest, or the one of an id. */
type SigningKeys = Keyring['sessionKey'] | Keyring['loginKey']

export interface SignedTokens<Claim extends NamingClaim> {
  /** Whether the text has such a token's shape. Everything else can be refused before any hash, signature or query. */
  isShaped(text: string): boolean
  /** Times are milliseconds since 1970; the token says them in whole seconds (RFC 7519, section 2). Call it outside any transaction: the key may have to be read. */
  sign(keys: SigningKeys, names: Readonly<Record<Claim, string>>, times: { issuedAt: number; expiresAt: number }): Promise<string>
  /**
   * What it names, or null for every token that was not signed here for this purpose, or has expired; whether that is still there is for its row to say.
   * Asks for a key only where the shape is right. Throws Failure('unavailable') where the key cannot be had.
   */
  verify(keys: SigningKeys, token: string, now: number): Promise<Record<Claim, string> | null>
}

/** Ours have about 350. A longer text is none, and is neither hashed nor read. */
const TOKEN_CHARACTERS_MAX = 1_000
/** A compact JWS (RFC 7515, section 7.1); HS256 signs with 32 bytes. */
const JWS = String.raw`[\w-]+\.[\w-]+\.[\w-]{43}`
const ALGORITHM = 'HS256'
const KEY_MS = 5_000

/** Ids as `newId` makes them. */
const idOf = (prefix: string): RegExp => new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`)
const keyId = idOf('dk')

export function createSignedTokens<Claim extends NamingClaim>({ prefix, audience, names }: SignedTokenOptions<Claim>): SignedTokens<Claim> {
  const shape = new RegExp(`^${prefix}${JWS}$`)
  const isShaped = (text: string): boolean => text.length <= TOKEN_CHARACTERS_MAX && shape.test(text)
  const claims = Object.keys(names) as Claim[]
  const ids = new Map(claims.map((claim) => [claim, idOf(names[claim])]))
  const isNamed = (payload: Partial<Record<string, unknown>>): payload is Record<Claim, string> =>
    claims.every((claim) => typeof payload[claim] === 'string' && ids.get(claim)?.test(payload[claim]))

  return {
    isShaped,

    async sign(keys, named, { issuedAt, expiresAt }) {
      const { id: kid, key } = await keys()
      const statement = new SignJWT({ ...named })
        .setProtectedHeader({ alg: ALGORITHM, kid })
        .setAudience(audience)
        .setIssuedAt(new Date(issuedAt))
        .setExpirationTime(new Date(expiresAt))
      return prefix + (await statement.sign(key))
    },

    async verify(keys, token, now) {
      if (!isShaped(token)) return null
      const jws = token.slice(prefix.length)
      const kid = keyIdOf(jws)
      if (kid === null) return null
      const found = await within(KEY_MS, keys(kid)).catch((error: unknown) => {
        throw new Failure('unavailable', error)
      })
      if (found === null) return null
      const checks = { algorithms: [ALGORITHM], audience, requiredClaims: ['exp', 'iat', ...claims], currentDate: new Date(now) }
      try {
        const { payload } = await jwtVerify(jws, found.key, checks)
        return isNamed(payload) ? payload : null
      } catch (error) {
        if (error instanceof errors.JOSEError) return null
        throw error
      }
    },
  }
}

/** Null where the header is not one of ours, so that no key need be looked for. */
function keyIdOf(jws: string): string | null {
  try {
    const { alg, kid } = decodeProtectedHeader(jws)
    return alg === ALGORITHM && typeof kid === 'string' && keyId.test(kid) ? kid : null
  } catch {
    return null // no JSON in it
  }
}
