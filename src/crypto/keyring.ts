/**
 * Encrypts what the database must not reveal. Random data keys, one for each tenant, encrypt the secrets; master keys, which are not in the database, wrap
 * the data keys. Both are compact JWE (RFC 7516, `dir`, AES-256-GCM, a random IV each), and both name in their authenticated header what they belong to,
 * so that neither works in another row, for another tenant or another purpose.
 */
import { randomBytes } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import type { Db } from '../db/connect.ts'
import { and, eq, isNull, sql } from '../db/drizzle.ts'
import { dataKeys } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { newId } from '../ids.ts'
import { masterKeyId, wrappingKey } from './master-key.ts'

export type Keyring = {
  /**
   * Encrypts a secret of a tenant (null: of the installation) for one place, such as `upstreams.credential:up_…`. Needs the database the first time: call
   * it before a transaction, not in one, because the embedded database has a single session.
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
  /** The key API keys are hashed under, and its id. */
  pepper(): Promise<{ id: string; key: Buffer }>
  /** Throws a sentence for the operator when the master keys do not open every data key of this database. */
  verify(): Promise<void>
}

type Purpose = 'secrets' | 'redaction' | 'hashes' | 'seals' | 'checkpoints' | 'pepper'
type DataKey = { id: string; key: Buffer }
type Row = typeof dataKeys.$inferSelect

const KEY_BYTES = 32
const TIMEOUT_MS = 2_000
/** Unwrapped keys in memory. Beyond it the one that was not used for longest is read again when it is needed. */
const KEYS_CACHED_MAX = 1_000

/** Makes a keyring of master keys, the current one first; see parseMasterKeys. Reads nothing yet. */
export function createKeyring(db: Db, masterKeys: readonly Buffer[]): Keyring {
  const masters = new Map(masterKeys.map((key) => [masterKeyId(key), wrappingKey(key)]))
  const [current] = masters
  if (!current) throw new Error('A keyring needs a master key.')
  const [currentId, currentKey] = current
  const cached = new Map<string, Promise<DataKey>>()

  return {
    async seal(tenantId, place, secret) {
      const { id, key } = await remembered('secrets', tenantId, findOrMake)
      return encrypt(Buffer.from(secret), key, id, contextOf(place, tenantId))
    },
    async open(tenantId, place, sealed) {
      const { id, key } = await remembered('secrets', tenantId, find)
      return (await decrypt(sealed, (kid) => (kid === id ? key : undefined), contextOf(place, tenantId))).toString()
    },
    redactionKey: async (tenantId) => (await remembered('redaction', tenantId, findOrMake)).key,
    hashKey: async (tenantId) => (await remembered('hashes', tenantId, findOrMake)).key,
    sealKey: async () => (await remembered('seals', null, findOrMake)).key,
    checkpointKey: async () => (await remembered('checkpoints', null, findOrMake)).key,
    pepper: () => remembered('pepper', null, findOrMake),
    verify,
  }

  function remembered(purpose: Purpose, tenantId: string | null, read: typeof findOrMake): Promise<DataKey> {
    const owner = contextOf(purpose, tenantId)
    const known = cached.get(owner)
    cached.delete(owner)
    const found = known ?? within(TIMEOUT_MS, read(purpose, tenantId))
    cached.set(owner, found)
    // An error is not remembered.
    if (!known) found.catch(() => cached.get(owner) === found && cached.delete(owner))
    if (cached.size > KEYS_CACHED_MAX) cached.delete(cached.keys().next().value!)
    return found
  }

  async function findOrMake(purpose: Purpose, tenantId: string | null): Promise<DataKey> {
    const existing = await stored(purpose, tenantId)
    if (existing) return unwrap(existing)
    const id = newId('dk')
    const wrapped = await encrypt(randomBytes(KEY_BYTES), currentKey, currentId, wrappingContext({ id, purpose, tenantId }))
    await db
      .insert(dataKeys)
      .values({ id, purpose, tenantId, wrappings: { [currentId]: wrapped } })
      .onConflictDoNothing()
    // Another process may have been first; what is stored counts.
    return find(purpose, tenantId)
  }

  async function find(purpose: Purpose, tenantId: string | null): Promise<DataKey> {
    const row = await stored(purpose, tenantId)
    if (!row) throw new Error('A sealed value cannot be opened: its data key does not exist.')
    return unwrap(row)
  }

  async function stored(purpose: Purpose, tenantId: string | null): Promise<Row | undefined> {
    const owner = tenantId === null ? isNull(dataKeys.tenantId) : eq(dataKeys.tenantId, tenantId)
    const [row] = await db
      .select()
      .from(dataKeys)
      .where(and(eq(dataKeys.purpose, purpose), owner))
    return row
  }

  async function unwrap(row: Row): Promise<DataKey> {
    const wrapped = Object.entries(row.wrappings).find(([id]) => masters.has(id))?.[1]
    if (!wrapped) throw new Error(doesNotOpen(Object.keys(row.wrappings)))
    return { id: row.id, key: await decrypt(wrapped, (kid) => masters.get(kid), wrappingContext(row)) }
  }

  async function verify(): Promise<void> {
    const opened = sql`${dataKeys.wrappings} ?| array[${sql.join(
      [...masters.keys()].map((id) => sql`${id}`),
      sql`, `,
    )}]`
    const [foreign] = await within(TIMEOUT_MS, db.select().from(dataKeys).where(sql`not (${opened})`).limit(1))
    if (foreign) throw new Error(doesNotOpen(Object.keys(foreign.wrappings)))
    const [any] = await within(TIMEOUT_MS, db.select().from(dataKeys).limit(1))
    if (any) await unwrap(any)
  }

  function doesNotOpen(wrappedBy: string[]): string {
    return `EARTHFLOW_MASTER_KEY does not open this database: it was encrypted with master key ${wrappedBy.join(' or ')}, and the setting holds ${[...masters.keys()].join(', ')}. Put the key it was made with back into the list.`
  }
}

function contextOf(place: string, tenantId: string | null): string {
  return JSON.stringify([place, tenantId])
}

function wrappingContext({ id, purpose, tenantId }: Pick<Row, 'id' | 'purpose' | 'tenantId'>): string {
  return JSON.stringify(['data key', purpose, tenantId, id])
}

function encrypt(plaintext: Uint8Array, key: Uint8Array, kid: string, ctx: string): Promise<string> {
  return new CompactEncrypt(plaintext).setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid, ctx }).encrypt(key)
}

async function decrypt(sealed: string, keyOf: (kid: string) => Uint8Array | undefined, ctx: string): Promise<Buffer> {
  try {
    const key = keyOf(String(decodeProtectedHeader(sealed).kid))
    if (!key) throw new Error('It was sealed under another key.')
    const { plaintext, protectedHeader } = await compactDecrypt(sealed, key, { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] })
    if (protectedHeader.ctx !== ctx) throw new Error('It was sealed for another place.')
    return Buffer.from(plaintext)
  } catch (error) {
    throw new Error('A sealed value cannot be opened.', { cause: error })
  }
}
