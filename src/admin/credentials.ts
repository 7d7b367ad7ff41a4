/** Who asks: by `Authorization: Bearer` or `X-API-Key`, or by the cookie of a browser that has logged in. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { Keys } from '../access/keys.ts'
import type { Peer } from '../access/peer.ts'
import type { People } from '../access/people.ts'
import { whyNotFrom } from '../access/place.ts'
import { withImplied } from '../access/scopes.ts'
import { Refusal } from '../errors.ts'
import type { Actor, RouteScope } from './route.ts'
import type { Ambient } from './same-origin.ts'

/** A header longer than this is no key and no token, and is not even compared. */
const CREDENTIAL_CHARACTERS_MAX = 8_192
/** `__Host-`: the browser takes it from this host alone, over TLS alone (RFC 6265bis, section 4.1.3.2). */
export const LOGIN_COOKIE = '__Host-earthflow-login'

export interface Identified {
  actor: Actor
  /** By what a browser sends whoever asks it to: what changes something must then come from our own pages. */
  ambient: Ambient
}

export interface CredentialsOptions {
  keys: Pick<Keys, 'find' | 'findByCertificate'>
  people: Pick<People, 'find'>
  adminKey: string | null
}

/** Wrong, unknown, revoked, expired, missing: one answer, which teaches nothing. Throws Failure('unavailable') when keys cannot be looked up. */
export function createCredentials({ keys, people, adminKey }: CredentialsOptions) {
  const adminDigest = adminKey === null ? null : digestOf(adminKey)

  return async (headers: Headers, peer: Peer): Promise<Identified | Refusal> => {
    const offered = read(headers)
    if (offered === null) return stranger()
    if (offered === undefined) return (await byCookie(headers)) ?? (await byCertificate(peer)) ?? stranger()
    // Both are hashed first: equal lengths, and nothing about the key can be learned from the time the comparison takes.
    if (adminDigest !== null && timingSafeEqual(digestOf(offered), adminDigest)) return { actor: { kind: 'admin' }, ambient: 'none' }
    const caller = await keys.find(offered)
    if (caller) return whyNotFrom(caller, peer) ?? { actor: { kind: 'key', caller }, ambient: 'none' }
    const person = await people.find(offered)
    return person ? { actor: { kind: 'person', person }, ambient: 'none' } : stranger()
  }

  async function byCookie(headers: Headers): Promise<Identified | null> {
    const token = cookieOf(headers)
    const person = token === null ? null : await people.find(token)
    return person && { actor: { kind: 'person', person }, ambient: 'cookie' }
  }

  async function byCertificate(peer: Peer): Promise<Identified | Refusal | null> {
    const caller = peer.certificate === null ? null : await keys.findByCertificate(peer.certificate)
    return caller && (whyNotFrom(caller, peer) ?? { actor: { kind: 'key', caller }, ambient: 'certificate' })
  }
}

/** A tenant's key never does more than keys may, whatever its row says. */
export const may = (actor: Actor, scope: RouteScope): boolean => {
  if (actor.kind === 'admin' || scope === 'any' || scope === 'public') return true
  if (actor.kind === 'person') return actor.person.scopes.has(scope)
  return withImplied(actor.caller.scopes).has(scope)
}

export const noTenant = (): Refusal => new Refusal('tenant_not_found', 'There is no such tenant.')

export const stranger = (): Refusal =>
  new Refusal('unauthenticated', 'A valid API key or login is required, as "Authorization: Bearer <key>" or "X-API-Key: <key>".', {
    headers: ['www-authenticate', 'Bearer'],
  })

/** Undefined where none is sent, null where what is sent can be none. */
function read(headers: Headers): string | null | undefined {
  const authorization = headers.get('authorization')
  const bearer = authorization === null ? undefined : /^bearer +(\S+) *$/i.exec(authorization)?.[1]
  if (bearer === undefined && authorization !== null) return null
  const plain = headers.get('x-api-key')
  if (bearer !== undefined && plain !== null && plain !== bearer) return null
  const offered = bearer ?? plain
  if (offered === null) return undefined
  return offered === '' || offered.length > CREDENTIAL_CHARACTERS_MAX ? null : offered
}

function cookieOf(headers: Headers): string | null {
  const cookies = (headers.get('cookie') ?? '').split(';').map((pair) => pair.trim())
  const mine = cookies.filter((pair) => pair.startsWith(`${LOGIN_COOKIE}=`)).map((pair) => pair.slice(LOGIN_COOKIE.length + 1))
  return mine.length === 1 && mine[0] !== '' && mine[0].length <= CREDENTIAL_CHARACTERS_MAX ? mine[0] : null
}

const digestOf = (text: string): Buffer => hash('sha256', text, 'buffer')
