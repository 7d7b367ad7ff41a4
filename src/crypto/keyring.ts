/**
 * Encrypts what the database must not reveal. Random data keys, one for each tenant, encrypt the secrets; master keys, which are not in the database, wrap
 * the data keys. Both name in their authenticated header what they belong to, so that neither works in another row, for another tenant or another purpose.
 */
import type { Db } from '../db/connect.ts'
import { within } from '../db/unavailable.ts'
import { createDataKeys, type DataKey, type DataKeyRow, type Purpose, VERSIONS_MAX } from './data-keys.ts'
import { cannotBeOpened, decrypt, encrypt, keyIdOf } from './envelope.ts'
import { createKeyProvider, type KeyProvider } from './key-provider.ts'

export type { DataKey }

export type Keyring = {
  /**
   * Encrypts a secret of a tenant (null: of the installation) for one place, such as `upstreams.credential.up_…`. May need the database: call it before
   * a transaction, not in one, because the embedded database has a single session.
   */
  seal(tenantId: string | null, place: string, secret: string): Promise<string>
  /** Decrypts what was sealed for exactly this tenant and place. Throws for anything else, without saying what it found. */
  open(tenantId: string | null, place: string, sealed: string): Promise<string>
  /** The key of a tenant's reversible placeholders. Needs the database the first time, like `seal`. */
  redactionKey(tenantId: string): Promise<Buffer>
  /** The key of a tenant's fingerprints of prompts. Needs the database the first time, like `seal`. */
  hashKey(tenantId: string): Promise<Buffer>
  /** The key of the seals of audit rows that are chained later. Needs the database the first time, like `seal`. */
  sealKey(): Promise<Buffer>
  /** The seed of the Ed25519 key that signs checkpoints of the audit log. Needs the database the first time, like `seal`. */
  checkpointKey(): Promise<Buffer>
  /** The key API keys are hashed under, and its id; with an id the one of that id, null where there is none. */
  pepper(): Promise<DataKey>
  pepper(id: string): Promise<DataKey | null>
  /** The key that tokens of sessions are signed with; with an id the one of that id, null where there is none. Random ids cost no query each. */
  sessionKey(): Promise<DataKey>
  sessionKey(id: string): Promise<DataKey | null>
  /** The same of tokens of people who have logged in. */
  loginKey(): Promise<DataKey>
  loginKey(id: string): Promise<DataKey | null>
  /** Throws a sentence for the operator when the master keys do not open every data key of this database, or the current one none of them. */
  verify(): Promise<void>
}

const TIMEOUT_MS = 2_000
/** Owners whose keys are in memory. Beyond it those that were not used for longest are read again when they are needed. */
const OWNERS_CACHED_MAX = 1_000
/** For so long after it was read, the newest key is taken for the newest. Rotation deletes replaced keys only much later. */
export const NEWEST_MS = 60_000
/** An id that somebody invented makes the keys be read again once; then nothing does, for so long. */
const STRANGER_MS = 10_000
const DATA_KEY_ID = /^dk_[0-9a-hjkmnp-tv-z]{26}$/

/** What is replaced now and then. The others are one key for ever: what was made with them has no other. */
const rotated: ReadonlySet<Purpose> = new Set<Purpose>(['secrets', 'pepper', 'sessions', 'logins'])

interface Held {
  /** The newest, newest first, and those that were asked for by their id. */
  rows: DataKeyRow[]
  opened: Map<string, Promise<DataKey>>
  readAt: number
  /** When an id was last asked for that is not among them. */
  missedAt: number
}

/**
 * Makes a keyring of master keys, the current one first, or of what keeps them. Reads nothing yet. `now`: milliseconds by a clock that goes on while the
 * machine sleeps.
 */
export function createKeyring(db: Db, masterKeys: KeyProvider | readonly Buffer[], now: () => number = () => Date.now()): Keyring {
  const data = createDataKeys(db, 'wrap' in masterKeys ? masterKeys : createKeyProvider(masterKeys))
  const kept = new Map<string, Held>()
  const reading = new Map<string, Promise<Held>>()
  const next = new Map<string, Promise<Held>>()
  const making = new Map<string, Promise<Held>>()

  return {
    async seal(tenantId, place, secret) {
      return encrypt(Buffer.from(secret), await newest('secrets', tenantId), contextOf(place, tenantId))
    },
    async open(tenantId, place, sealed) {
      const id = keyIdOf(sealed)
      const found = id === null ? null : await find('secrets', tenantId, id)
      if (found === null) throw cannotBeOpened()
      return (await decrypt(sealed, found.key, contextOf(place, tenantId))).toString()
    },
    redactionKey: async (tenantId) => (await newest('redaction', tenantId)).key,
    hashKey: async (tenantId) => (await newest('hashes', tenantId)).key,
    sealKey: async () => (await newest('seals', null)).key,
    checkpointKey: async () => (await newest('checkpoints', null)).key,
    // Ids of peppers and of sealed values come out of our own tables, those in tokens from anybody.
    pepper: ((id) => (id === undefined ? newest('pepper', null) : find('pepper', null, id))) as Keyring['pepper'],
    sessionKey: ((id) => (id === undefined ? newest('sessions', null) : find('sessions', null, id, STRANGER_MS))) as Keyring['sessionKey'],
    loginKey: ((id) => (id === undefined ? newest('logins', null) : find('logins', null, id, STRANGER_MS))) as Keyring['loginKey'],
    verify: () => within(TIMEOUT_MS, data.verify()),
  }

  async function newest(purpose: Purpose, tenantId: string | null): Promise<DataKey> {
    const owner = contextOf(purpose, tenantId)
    const known = touched(owner)
    const isFresh = known !== undefined && known.rows.length > 0 && (!rotated.has(purpose) || isRecent(known.readAt, NEWEST_MS))
    let held = isFresh ? known : await read(purpose, tenantId)
    if (held.rows.length === 0) held = await make(purpose, tenantId)
    const [row] = held.rows
    if (!row) throw new Error('A data key that was just made is not there.')
    return opened(owner, held, row)
  }

  /** Another process may have made it since: what is not known is looked for, but not more often than every `pauseMs`. */
  async function find(purpose: Purpose, tenantId: string | null, id: string, pauseMs = 0): Promise<DataKey | null> {
    const owner = contextOf(purpose, tenantId)
    const named = (row: DataKeyRow): boolean => row.id === id
    const known = touched(owner)
    const row = known?.rows.find(named)
    if (known && row) return opened(owner, known, row)
    if (known && isRecent(known.missedAt, pauseMs)) return null
    const held = await read(purpose, tenantId)
    const found = held.rows.find(named) ?? (await findOlder(held, purpose, tenantId, id))
    if (found) return opened(owner, held, found)
    held.missedAt = now()
    return null
  }

  /** Where there may be more than were read. */
  async function findOlder(held: Held, purpose: Purpose, tenantId: string | null, id: string): Promise<DataKeyRow | undefined> {
    if (held.rows.length < VERSIONS_MAX || !DATA_KEY_ID.test(id)) return undefined
    const row = await within(TIMEOUT_MS, data.find(purpose, tenantId, id))
    if (row && !held.rows.some((other) => other.id === id)) held.rows.push(row)
    return row
  }

  /** A clock that was put back makes nothing recent. */
  function isRecent(at: number, ms: number): boolean {
    const age = now() - at
    return age >= 0 && age < ms
  }

  function touched(owner: string): Held | undefined {
    const held = kept.get(owner)
    if (!held) return undefined
    kept.delete(owner)
    kept.set(owner, held)
    return held
  }

  async function opened(owner: string, held: Held, row: DataKeyRow): Promise<DataKey> {
    const key = held.opened.get(row.id) ?? data.unwrap(row)
    held.opened.set(row.id, key)
    try {
      return await key
    } catch (error) {
      // An error is not remembered: the row may be wrapped under another master key by now.
      if (kept.get(owner) === held) kept.delete(owner)
      throw error
    }
  }

  /** Reads what is stored when it is called, or later. All who ask before it begins share it. */
  function read(purpose: Purpose, tenantId: string | null): Promise<Held> {
    const owner = contextOf(purpose, tenantId)
    const running = reading.get(owner)
    if (!running) return shared(reading, owner, () => readNow(owner, purpose, tenantId))
    return shared(next, owner, async () => {
      await running.catch(() => {})
      next.delete(owner)
      return read(purpose, tenantId)
    })
  }

  async function readNow(owner: string, purpose: Purpose, tenantId: string | null): Promise<Held> {
    const rows = await within(TIMEOUT_MS, data.versions(purpose, tenantId))
    const before = kept.get(owner)
    const held: Held = { rows, opened: new Map(), readAt: now(), missedAt: Number.NEGATIVE_INFINITY }
    for (const { id } of rows) {
      const key = before?.opened.get(id)
      if (key) held.opened.set(id, key)
    }
    kept.delete(owner)
    kept.set(owner, held)
    if (kept.size > OWNERS_CACHED_MAX) kept.delete(kept.keys().next().value!)
    return held
  }

  function make(purpose: Purpose, tenantId: string | null): Promise<Held> {
    return shared(making, contextOf(purpose, tenantId), async () => {
      await within(TIMEOUT_MS, data.make(purpose, tenantId, 1))
      return read(purpose, tenantId)
    })
  }
}

/** One of several who want the same does it for all. */
function shared<Result>(pending: Map<string, Promise<Result>>, key: string, work: () => Promise<Result>): Promise<Result> {
  const running = pending.get(key)
  if (running) return running
  const begun = work().finally(() => {
    if (pending.get(key) === begun) pending.delete(key)
  })
  pending.set(key, begun)
  return begun
}

function contextOf(place: string, tenantId: string | null): string {
  return JSON.stringify([place, tenantId])
}
