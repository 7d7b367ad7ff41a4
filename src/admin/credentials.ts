/** Who asks, by `Authorization: Bearer` or `X-API-Key`, and which tenant they ask about. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { Keys } from '../access/keys.ts'
import { Refusal } from '../errors.ts'
import type { Actor, RouteScope } from './route.ts'

/** A header longer than this is no key, and is not even compared. */
const CREDENTIAL_CHARACTERS_MAX = 512

/** Wrong, unknown, revoked, expired, missing: one answer, which teaches nothing. Throws Failure('unavailable') when keys cannot be looked up. */
export function createCredentials({ keys, adminKey }: { keys: Pick<Keys, 'find'>; adminKey: string | null }) {
  const adminDigest = adminKey === null ? null : digestOf(adminKey)

  return async (headers: Headers): Promise<Actor | Refusal> => {
    const offered = read(headers)
    if (offered === null) return stranger()
    // Both are hashed first: equal lengths, and nothing about the key can be learned from the time the comparison takes.
    if (adminDigest !== null && timingSafeEqual(digestOf(offered), adminDigest)) return { kind: 'admin' }
    const caller = await keys.find(offered)
    return caller ? { kind: 'key', caller } : stranger()
  }
}

/** A tenant's key is never an administrator, whatever its row says. */
export const may = (actor: Actor, scope: RouteScope): boolean =>
  actor.kind === 'admin' || scope === 'any' || scope === 'public' || (scope !== 'admin' && actor.caller.scopes.has(scope))

export const noTenant = (): Refusal => new Refusal('tenant_not_found', 'There is no such tenant.')

const stranger = (): Refusal =>
  new Refusal('unauthenticated', 'A valid API key is required, as "Authorization: Bearer <key>" or "X-API-Key: <key>".', {
    headers: ['www-authenticate', 'Bearer'],
  })

function read(headers: Headers): string | null {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.get('authorization') ?? '')?.[1]
  if (bearer === undefined && headers.has('authorization')) return null
  const plain = headers.get('x-api-key')
  if (bearer !== undefined && plain !== null && plain !== bearer) return null
  const offered = bearer ?? plain
  return offered === null || offered === '' || offered.length > CREDENTIAL_CHARACTERS_MAX ? null : offered
}

const digestOf = (text: string): Buffer => hash('sha256', text, 'buffer')
