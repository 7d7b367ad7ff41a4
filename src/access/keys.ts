/** Who stands behind a key: found in memory where it was seen before, else by one query. */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { Caller } from '../call.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Db } from '../db/connect.ts'
import { and, eq, sql } from '../db/drizzle.ts'
import { agents, apiKeys, quarantines, tenants } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { Failure } from '../errors.ts'
import { agentOf, isOpen } from './agents.ts'
import { isWellFormed, type KeyKind, mintKey, prefixOf } from './key-format.ts'
import { limitSetOf } from './limit-set.ts'
import { tenantOf } from './tenants.ts'

export interface Keys {
  /**
   * The caller, or null for every key that does not open anything. Answers at once for keys it knows and for text that is no key; otherwise asks the
   * database. Throws Failure('unavailable') when that cannot be asked: an outage is never "wrong key".
   */
  find(key: string): Caller | null | Promise<Caller | null>
  /** Reads a tenant's keys again when they are next used; null means every tenant. Call it for changes of kind 'keys' and 'tenants'. */
  forget(tenantId: string | null): void
  /** Writes down when keys were last used, rounded to the minute. Call it now and then; what could not be written is kept for the next time. */
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

const CALLERS_MAX = 10_000
/** At the bound the oldest is dropped: a flood of invented keys costs at most one query for each. */
const STRANGERS_MAX = 10_000
const STRANGER_MS = 5_000
const USES_MAX = 10_000
const LOOKUPS_MAX = 1_000
const QUERY_MS = 5_000
const MINUTE_MS = 60_000
const NEVER = Number.POSITIVE_INFINITY

interface Known {
  id: string
  caller: Caller
  expiresAt: number
  usedAt: number
}

export function createKeys({ db, keyring, now, defaultRequestsPerMinute, kind }: KeysOptions): Keys {
  // All three are keyed by the SHA-256 of the whole key: no two keys can meet in an entry, and no key rests in memory.
  const callers = new Map<string, Known>()
  const strangers = new Map<string, number>()
  const lookups = new Map<string, Promise<Caller | null>>()
  const uses = new Map<string, number>()
  // What was read before a change must not be kept after it.
  let generation = 0

  return {
    find(key) {
      if (!isWellFormed(key)) return null
      const digest = hash('sha256', key, 'base64')
      const known = callers.get(digest)
      if (known !== undefined) return admit(known)
      const strangerUntil = strangers.get(digest)
      if (strangerUntil !== undefined) {
        if (now() < strangerUntil) return null
        strangers.delete(digest)
      }
      const pending = lookups.get(digest)
      if (pending !== undefined) return pending
      if (lookups.size >= LOOKUPS_MAX) throw new Failure('unavailable', new Error(`More than ${LOOKUPS_MAX} keys are being looked up.`))
      const lookup = lookUp(key, digest).finally(() => {
        if (lookups.get(digest) === lookup) lookups.delete(digest)
      })
      lookups.set(digest, lookup)
      return lookup
    },

    forget(tenantId) {
      generation++
      lookups.clear()
      strangers.clear()
      if (tenantId === null) callers.clear()
      else for (const [digest, known] of callers) if (known.caller.tenant.id === tenantId) callers.delete(digest)
    },

    async flushUse() {
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

  function admit(known: Known): Caller | null {
    const at = now()
    if (at >= known.expiresAt) return null
    if (at - known.usedAt >= MINUTE_MS) {
      known.usedAt = at - (at % MINUTE_MS)
      if (uses.size < USES_MAX) uses.set(known.id, known.usedAt)
    }
    return known.caller
  }

  async function lookUp(key: string, digest: string): Promise<Caller | null> {
    const begunIn = generation
    const known = await read(key).catch((error: unknown) => {
      throw error instanceof Failure ? error : new Failure('unavailable', error)
    })
    if (generation === begunIn) {
      if (known) keep(callers, CALLERS_MAX, digest, known)
      else keep(strangers, STRANGERS_MAX, digest, now() + STRANGER_MS)
    }
    return known && admit(known)
  }

  async function read(key: string): Promise<Known | null> {
    const pepper = await within(QUERY_MS, keyring.pepper())
    const [row] = await within(
      QUERY_MS,
      db
        .select({ key: apiKeys, tenant: tenants, agent: agents, quarantineId: quarantines.id })
        .from(apiKeys)
        .innerJoin(tenants, eq(tenants.id, apiKeys.tenantId))
        .leftJoin(agents, and(eq(agents.id, apiKeys.agentId), eq(agents.tenantId, apiKeys.tenantId)))
        .leftJoin(quarantines, isOpen)
        .where(eq(apiKeys.prefix, prefixOf(key)))
        .limit(1),
    )
    // An unknown prefix is compared as well, so that the answer takes as long.
    const expected = row ? Buffer.from(row.key.hash, 'base64url') : Buffer.alloc(32)
    const offered = digestOf(pepper.key, key)
    if (row && row.key.pepperId !== pepper.id) throw new Failure('unavailable', new Error(`Key ${row.key.prefix} was hashed with another pepper.`))
    const matches = expected.length === offered.length && timingSafeEqual(expected, offered)
    if (!row || !matches || row.key.revokedAt !== null || !row.tenant.active) return null
    const { agent } = row
    if (row.key.agentId !== null && !agent?.active) return null
    const caller: Caller = {
      tenant: tenantOf(row.tenant, defaultRequestsPerMinute),
      keyPrefix: row.key.prefix,
      keyLimits: row.key.limits && limitSetOf(row.key.limits),
      agent: agent && agentOf(agent, row.quarantineId !== null),
      scopes: new Set(row.key.scopes),
    }
    return { id: row.key.id, caller, expiresAt: row.key.expiresAt?.getTime() ?? NEVER, usedAt: row.key.lastUsedAt?.getTime() ?? 0 }
  }
}

const digestOf = (pepper: Buffer, key: string): Buffer => createHmac('sha256', pepper).update(key).digest()

function keep<Value>(map: Map<string, Value>, entriesMax: number, key: string, value: Value): void {
  if (map.size >= entriesMax) for (const oldest of map.keys()) if (map.delete(oldest)) break
  map.set(key, value)
}
