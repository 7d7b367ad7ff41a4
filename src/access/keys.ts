/** Who stands behind a key: found in memory where it was seen before, else by one query. */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { Caller } from '../call.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Db } from '../db/connect.ts'
import { and, eq, inArray, isNull, sql } from '../db/drizzle.ts'
import { agents, apiKeys, quarantines, tenants } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { Failure } from '../errors.ts'
import { isOpen } from './agents.ts'
import { callerOf, type Found, found, ofAgent, ofTenant } from './caller-of.ts'
import { isWellFormed, type KeyKind, mintKey, prefixOf } from './key-format.ts'
import { createLookups } from './lookups.ts'

export interface Keys {
  /**
   * The caller, or null for every key that does not open anything. Answers at once for keys it knows and for text that is no key; otherwise asks the
   * database. Throws Failure('unavailable') when that cannot be asked: an outage is never "wrong key".
   */
  find(key: string): Caller | null | Promise<Caller | null>
  /** The caller that a client certificate with one of these names stands for; null where it is nobody's. Throws like `find`. */
  findByCertificate(names: readonly string[]): Caller | null | Promise<Caller | null>
  /** Reads a tenant's keys again when they are next used; null means every tenant. Call it for changes of kind 'keys' and 'tenants'. */
  forget(tenantId: string | null): void
  /**
   * Writes down when keys were last used, rounded to the minute, and the new hashes of keys that were hashed under an older pepper. Call it now and then.
   * Uses that could not be written are kept for the next time; hashes are made again when their keys are next looked up.
   */
  flushUse(): Promise<void>
  /** A new key and the form in which it may be stored. Call it outside any transaction: the pepper may have to be read. */
  mint(): Promise<MintedKey>
}

export interface MintedKey {
  /** Shown once, stored nowhere. */
  key: string
  prefix: string
  hash: string
  pepperId: string
}

export interface KeysOptions {
  db: Db
  keyring: Pick<Keyring, 'pepper'>
  /** Milliseconds since 1970. */
  now: () => number
  /** For tenants that have no limit of their own. */
  defaultRequestsPerMinute: number
  /** What new keys are called: `ef_live_` or `ef_test_`. */
  kind: KeyKind
}

const USES_MAX = 10_000
/** Keys whose hash waits to be made anew under the newest pepper. Beyond it a key waits until it is looked up again. */
const RENEWALS_MAX = 1_000
const QUERY_MS = 5_000
const MINUTE_MS = 60_000
const NEVER = Number.POSITIVE_INFINITY

/** A hash that was right, and the one that takes its place. */
interface Renewal {
  was: string
  hash: string
  pepper_id: string
}

interface Known {
  id: string
  caller: Caller
  expiresAt: number
  usedAt: number
}

export function createKeys({ db, keyring, now, defaultRequestsPerMinute, kind }: KeysOptions): Keys {
  // By the SHA-256 of the whole key: no two keys can meet in an entry, and no key rests in memory.
  const lookups = createLookups<Known>({ now })
  const uses = new Map<string, number>()
  const renewals = new Map<string, Renewal>()

  return {
    find: (key) => (isWellFormed(key) ? findBy(hash('sha256', key, 'base64'), () => readKey(key)) : null),

    findByCertificate: (names) => (names.length === 0 ? null : findBy(`certificate ${JSON.stringify(names)}`, () => readCertificate(names))),

    forget(tenantId) {
      lookups.forget(tenantId === null ? undefined : ({ caller }) => caller.tenant.id === tenantId)
    },

    async flushUse() {
      await flushRenewals()
      if (uses.size === 0) return
      const taken = [...uses]
      uses.clear()
      try {
        const rows = JSON.stringify(taken.map(([id, at]) => ({ id, at: new Date(at).toISOString() })))
        await within(
          QUERY_MS,
          db.execute(sql`
            update ${apiKeys} set last_used_at = greatest(api_keys.last_used_at, used.at)
            from jsonb_to_recordset(${rows}::text::jsonb) as used(id text, at timestamptz) where api_keys.id = used.id`),
        )
      } catch (error) {
        for (const [id, at] of taken) if (uses.size < USES_MAX && !uses.has(id)) uses.set(id, at)
        throw error
      }
    },

    async mint() {
      const key = mintKey(kind)
      const pepper = await keyring.pepper()
      return { key, prefix: prefixOf(key), hash: digestOf(pepper.key, key).toString('base64url'), pepperId: pepper.id }
    },
  }

  async function flushRenewals(): Promise<void> {
    if (renewals.size === 0) return
    const rows = JSON.stringify([...renewals].map(([id, renewal]) => ({ id, ...renewal })))
    renewals.clear()
    // The hash must still be the one that was right, and its new pepper still be there.
    await within(
      QUERY_MS,
      db.execute(sql`
        update ${apiKeys} set hash = renewed.hash, pepper_id = renewed.pepper_id
        from jsonb_to_recordset(${rows}::text::jsonb) as renewed(id text, was text, hash text, pepper_id text)
        where api_keys.id = renewed.id and api_keys.hash = renewed.was and exists (select from data_keys where data_keys.id = renewed.pepper_id)`),
    )
  }

  function findBy(digest: string, read: () => Promise<Known | null>): Caller | null | Promise<Caller | null> {
    const known = lookups.find(digest, read)
    return known instanceof Promise ? known.then(admit) : admit(known)
  }

  function admit(known: Known | null): Caller | null {
    if (known === null) return null
    const at = now()
    if (at >= known.expiresAt) return null
    if (at - known.usedAt >= MINUTE_MS) {
      known.usedAt = at - (at % MINUTE_MS)
      if (uses.size < USES_MAX) uses.set(known.id, known.usedAt)
    }
    return known.caller
  }

  async function readKey(key: string): Promise<Known | null> {
    const newest = await within(QUERY_MS, keyring.pepper())
    const [stored] = await within(
      QUERY_MS,
      db
        .select(found)
        .from(apiKeys)
        .innerJoin(tenants, ofTenant)
        .leftJoin(agents, ofAgent)
        .leftJoin(quarantines, isOpen)
        .where(eq(apiKeys.prefix, prefixOf(key)))
        .limit(1),
    )
    // The pepper of a key that has ended may be gone.
    const row = stored && !hasEnded(stored) ? stored : undefined
    // An unknown prefix is compared as well, so that the answer takes as long.
    const expected = row ? Buffer.from(row.key.hash, 'base64url') : Buffer.alloc(32)
    const pepper = !row || row.key.pepperId === newest.id ? newest : await within(QUERY_MS, keyring.pepper(row.key.pepperId))
    if (pepper === null) throw new Failure('unavailable', new Error(`Key ${prefixOf(key)} was hashed with a pepper that is not there.`))
    const offered = digestOf(pepper.key, key)
    const matches = expected.length === offered.length && timingSafeEqual(expected, offered)
    if (!row || !matches) return null
    if (newest.version > pepper.version && renewals.size < RENEWALS_MAX) {
      renewals.set(row.key.id, { was: row.key.hash, hash: digestOf(newest.key, key).toString('base64url'), pepper_id: newest.id })
    }
    return knownFrom(row)
  }

  async function readCertificate(names: readonly string[]): Promise<Known | null> {
    const named = and(inArray(apiKeys.clientCertificate, [...names]), isNull(apiKeys.revokedAt), isNull(apiKeys.successor))
    const rows = await within(
      QUERY_MS,
      db.select(found).from(apiKeys).innerJoin(tenants, ofTenant).leftJoin(agents, ofAgent).leftJoin(quarantines, isOpen).where(named).limit(2),
    )
    // A certificate that names two of them says of neither that it is meant.
    return rows.length === 1 ? knownFrom(rows[0]) : null
  }

  function hasEnded({ key: { revokedAt, expiresAt } }: Found): boolean {
    return revokedAt !== null || (expiresAt !== null && now() >= expiresAt.getTime())
  }

  function knownFrom(row: Found): Known | null {
    const caller = callerOf(row, defaultRequestsPerMinute)
    return caller && { id: row.key.id, caller, expiresAt: row.key.expiresAt?.getTime() ?? NEVER, usedAt: row.key.lastUsedAt?.getTime() ?? 0 }
  }
}

const digestOf = (pepper: Buffer, key: string): Buffer => createHmac('sha256', pepper).update(key).digest()
