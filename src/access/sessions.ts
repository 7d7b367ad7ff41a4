/** Who stands behind a session's token: the key it was made with, or its tenant alone; never more than that. */
import { hash } from 'node:crypto'
import type { Caller } from '../call.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Db } from '../db/connect.ts'
import { and, eq } from '../db/drizzle.ts'
import { agents, apiKeys, quarantines, sessions, tenants } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { newId } from '../ids.ts'
import { isOpen } from './agents.ts'
import { callerOf, found, ofAgent } from './caller-of.ts'
import { createLookups } from './lookups.ts'
import { type Profile, profiles, sessionOf } from './profiles.ts'
import { isTokenShaped, signSession, verifySession } from './session-token.ts'
import { tenantOf } from './tenants.ts'

export interface Sessions {
  /**
   * The caller, or null for every token that opens nothing: malformed, signed otherwise, expired, ended, of a closed tenant, of a key that opens nothing.
   * Answers at once for tokens it knows and for text that is none; asks the database only where the signature is right. Throws Failure('unavailable')
   * when that cannot be asked.
   */
  find(token: string): Caller | null | Promise<Caller | null>
  /** Reads a tenant's sessions again when they are next used; null means every tenant. Call it for changes of kind 'sessions', 'keys' and 'tenants'. */
  forget(tenantId: string | null): void
  /** A new session that is yet to be stored, and its token. Call it outside any transaction: the key may have to be read. */
  mint(profile: Profile): Promise<MintedSession>
}

export interface MintedSession {
  id: string
  /** Shown once, stored nowhere. */
  token: string
  profile: Profile
  createdAt: Date
  expiresAt: Date
}

export interface SessionsOptions {
  db: Db
  keyring: Pick<Keyring, 'sessionKey'>
  /** Milliseconds since 1970. */
  now: () => number
  /** For tenants that have no limit of their own. */
  defaultRequestsPerMinute: number
}

interface Known {
  caller: Caller
  /** Milliseconds since 1970; from then on it opens nothing. */
  expiresAt: number
}

const QUERY_MS = 5_000
const SECOND_MS = 1_000
/** What a session lets do, and what its key must let do. */
const CALLS = 'proxy:write'

export function createSessions({ db, keyring, now, defaultRequestsPerMinute }: SessionsOptions): Sessions {
  // By the SHA-256 of the whole token: no two can meet in an entry, and none rests in memory.
  const lookups = createLookups<Known>({ now })
  const admit = (known: Known | null): Caller | null => (known && now() < known.expiresAt ? known.caller : null)

  return {
    find(token) {
      if (!isTokenShaped(token)) return null
      const found = lookups.find(hash('sha256', token, 'base64'), () => read(token))
      return found instanceof Promise ? found.then(admit) : admit(found)
    },
    forget: (tenantId) => lookups.forget(tenantId === null ? undefined : ({ caller }) => caller.tenant.id === tenantId),

    async mint(profile) {
      const at = now()
      const issuedAt = at - (at % SECOND_MS)
      const expiresAt = issuedAt + profiles[profile].seconds * SECOND_MS
      const id = newId('ses', at)
      const token = await signSession(keyring, { id, issuedAt, expiresAt })
      return { id, token, profile, createdAt: new Date(at), expiresAt: new Date(expiresAt) }
    },
  }

  async function read(token: string): Promise<Known | null> {
    const id = await verifySession(keyring, token, now())
    if (id === null) return null
    const [row] = await within(
      QUERY_MS,
      db
        .select({ session: sessions, ...found })
        .from(sessions)
        .innerJoin(tenants, eq(tenants.id, sessions.tenantId))
        .leftJoin(apiKeys, and(eq(apiKeys.id, sessions.keyId), eq(apiKeys.tenantId, sessions.tenantId)))
        .leftJoin(agents, ofAgent)
        .leftJoin(quarantines, isOpen)
        .where(eq(sessions.id, id))
        .limit(1),
    )
    const session = row && sessionOf(row.session)
    if (!session || row.session.endedAt !== null) return null
    const { key, tenant, agent, quarantineId, line } = row
    if ((row.session.keyId === null) !== (key === null)) return null
    const caller = key ? callerOf({ key, tenant, agent, quarantineId, line }, defaultRequestsPerMinute) : withoutKey(tenant, id)
    if (!caller?.scopes.has(CALLS)) return null
    return {
      caller: { ...caller, scopes: new Set([CALLS]), session },
      expiresAt: Math.min(row.session.expiresAt.getTime(), key?.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY),
    }
  }

  /** What a person or the administrator made is limited by the tenant alone. */
  function withoutKey(tenant: typeof tenants.$inferSelect, id: string): Caller | null {
    if (!tenant.active) return null
    return {
      tenant: tenantOf(tenant, defaultRequestsPerMinute),
      keyPrefix: id,
      keyLimits: null,
      allowedModels: null,
      allowedAddresses: null,
      clientCertificate: null,
      agent: null,
      scopes: new Set([CALLS]),
      session: null,
    }
  }
}
