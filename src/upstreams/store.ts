/**
 * The rows of upstreams. A credential goes in sealed and comes out only through `load`, for the calls it is meant for.
 * Whoever writes in a transaction of their own announces a change of 'upstreams' at its end.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Keyring } from '../crypto/keyring.ts'
import { placeIn, upstreamCredential } from '../crypto/sealed-columns.ts'
import { announce } from '../db/changes.ts'
import type { Db, Tx } from '../db/connect.ts'
import { and, asc, count, eq, isNull, or } from '../db/drizzle.ts'
import { type PriceFields, upstreams } from '../db/schema.ts'
import { isUnavailable } from '../db/unavailable.ts'
import { EgressRefused } from '../egress/check-url.ts'
import { Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import { liesIn, outsideRegions } from './regions.ts'

export type CredentialMode = 'stored' | 'passthrough'
export interface Timeouts {
  connect_seconds?: number | undefined
  first_byte_seconds?: number | undefined
  idle_seconds?: number | undefined
  /** Of an attempt and its whole answer. */
  total_seconds?: number | undefined
}

export interface UpstreamFields {
  name: string
  dialects: readonly string[]
  /** What an SDK would be given: `https://api.openai.com/v1`. */
  baseUrl: string
  /** Null where the caller's own is passed through, or none is needed. */
  credential: string | null
  credentialMode: CredentialMode
  /** Patterns such as `gpt-*`. */
  models: readonly string[]
  priority: number
  weight: number
  region: string | null
  timeouts: Timeouts
  prices: readonly PriceFields[]
  active: boolean
}

/** An upstream as calls need it. */
export interface LoadedUpstream extends Omit<UpstreamFields, 'active'> {
  id: string
  /** Null serves every tenant. */
  tenantId: string | null
}

/** A row whose credential is still sealed. */
export type UpstreamRow = typeof upstreams.$inferSelect

/** What of an upstream may be told to whom it serves. */
export type ServingUpstream = Pick<UpstreamRow, 'name' | 'dialects' | 'baseUrl' | 'models' | 'prices'>

/** A checked and sealed row or part of one, ready to be written. */
export type Prepared<Fields> = { readonly prepared: Fields }

export interface UpstreamsOptions {
  db: Db
  keyring: Pick<Keyring, 'seal' | 'open'>
  /** Throws EgressRefused, with a sentence for the administrator, for addresses no call may go to. */
  checkUrl(url: string): Promise<unknown>
  /** The names of the wire formats there are. */
  dialects: readonly string[]
  /** EARTHFLOW_LOCALITY, where it names regions: an active upstream must lie in one of them. */
  regions?: readonly string[] | null
  /** Is told of a credential that cannot be opened. Its upstream serves nothing until that is mended. */
  report(error: unknown, upstream: { id: string; name: string }): void
}

export const UPSTREAMS_PER_TENANT_MAX = 100

type NewRow = Omit<UpstreamRow, 'createdAt'>
type Change = Partial<Omit<UpstreamRow, 'id' | 'tenantId' | 'name' | 'createdAt'>>

/** Writes the record of a change of the program's own, in the transaction of that change. */
export type RecordChange = (tx: Tx, action: 'upstream.create' | 'upstream.update') => Promise<void>

export type UpstreamStore = ReturnType<typeof createUpstreamStore>

export function createUpstreamStore({ db, keyring, checkUrl, dialects, regions = null, report }: UpstreamsOptions) {
  return {
    /** Checks a new upstream and seals its credential. Call it outside any transaction. Throws a Refusal. */
    async prepare(tenantId: string | null, fields: UpstreamFields): Promise<Prepared<NewRow>> {
      checkRegion(fields)
      await checkBaseUrl(fields.baseUrl)
      return { prepared: await toRow(tenantId, fields) }
    },

    /** The same for a change of an existing one; fields left out stay as they are. */
    async prepareChange(row: UpstreamRow, fields: Partial<Omit<UpstreamFields, 'name'>>): Promise<Prepared<Change>> {
      const { credential, dialects: names, models, prices, baseUrl, ...rest } = fields
      checkRegion({ active: fields.active ?? row.active, baseUrl: baseUrl ?? row.baseUrl, region: fields.region === undefined ? row.region : fields.region })
      if (baseUrl !== undefined) await checkBaseUrl(baseUrl)
      if (names !== undefined) checkDialects(names)
      const mode = fields.credentialMode ?? row.credentialMode
      checkCredential(mode, credential ?? null)
      const change: Change = { ...(rest as Change) }
      if (baseUrl !== undefined) change.baseUrl = withoutSlash(baseUrl)
      if (names !== undefined) change.dialects = [...names]
      if (models !== undefined) change.models = [...models]
      if (prices !== undefined) change.prices = [...prices]
      if (mode === 'passthrough') change.credential = null
      else if (credential !== undefined) change.credential = await seal(row.tenantId, row.id, credential)
      // A stored credential was given for one host. Whoever may change the address must not be able to send the credential somewhere else.
      else if (row.credential !== null && change.baseUrl !== undefined && originOf(change.baseUrl) !== originOf(row.baseUrl)) {
        throw new Refusal('config', 'A base_url on another host needs its credential again.', { context: { field: 'credential' } })
      }
      return { prepared: change }
    },

    async insert(tx: Tx, { prepared }: Prepared<NewRow>): Promise<UpstreamRow> {
      const [counted] = await tx.select({ total: count() }).from(upstreams).where(ownedBy(prepared.tenantId))
      if (counted.total >= UPSTREAMS_PER_TENANT_MAX) throw new Refusal('config', `There can be at most ${UPSTREAMS_PER_TENANT_MAX} upstreams.`)
      const [row] = await tx.insert(upstreams).values(prepared).returning()
      return row
    },

    /** `before` is the row the change was prepared for. Throws a Refusal where its credential or address is another by now: neither goes with the other. */
    async change(tx: Tx, before: UpstreamRow, { prepared }: Prepared<Change>): Promise<UpstreamRow | undefined> {
      const mine = and(ownedBy(before.tenantId), eq(upstreams.id, before.id))
      const [now] = await tx.select().from(upstreams).where(mine).for('update')
      if (!now) return undefined
      if (now.baseUrl !== before.baseUrl || now.credential !== before.credential || now.credentialMode !== before.credentialMode) {
        throw new Refusal('conflict', 'The upstream was changed by somebody else meanwhile.')
      }
      if (Object.keys(prepared).length === 0) return now
      return (await tx.update(upstreams).set(prepared).where(mine).returning())[0]
    },

    async remove(tx: Tx, tenantId: string | null, name: string): Promise<UpstreamRow | undefined> {
      const [row] = await tx
        .delete(upstreams)
        .where(and(ownedBy(tenantId), eq(upstreams.name, name)))
        .returning()
      return row
    },

    /** `tenantId` null is the installation itself. */
    async find(tenantId: string | null, name: string): Promise<UpstreamRow | undefined> {
      const [row] = await db
        .select()
        .from(upstreams)
        .where(and(ownedBy(tenantId), eq(upstreams.name, name)))
        .limit(1)
      return row
    },

    /** In clear, to ask the provider something with it. Throws where it cannot be opened. */
    async credentialOf(row: UpstreamRow): Promise<string | null> {
      return row.credential === null ? null : keyring.open(row.tenantId, placeOf(row.id), row.credential)
    },

    /** `tenantId` 'all' lists every tenant's and the installation's. By name. */
    async list(
      tenantId: string | 'all',
      { active, limit, offset }: { active?: boolean | undefined; limit: number; offset: number },
    ): Promise<{ rows: UpstreamRow[]; total: number }> {
      const which = and(tenantId === 'all' ? undefined : eq(upstreams.tenantId, tenantId), active === undefined ? undefined : eq(upstreams.active, active))
      const [counted] = await db.select({ total: count() }).from(upstreams).where(which)
      const rows = await db.select().from(upstreams).where(which).orderBy(asc(upstreams.name), asc(upstreams.id)).limit(limit).offset(offset)
      return { rows, total: counted.total }
    },

    /** The active ones that serve a tenant: its own and the installation's, or without a tenant these alone. By name. */
    async serving(tenantId: string | null): Promise<ServingUpstream[]> {
      const { name, dialects: names, baseUrl, models, prices } = upstreams
      const whose = tenantId === null ? ownedBy(null) : or(ownedBy(null), ownedBy(tenantId))
      return db
        .select({ name, dialects: names, baseUrl, models, prices })
        .from(upstreams)
        .where(and(whose, eq(upstreams.active, true)))
        .orderBy(asc(name), asc(upstreams.id))
    },

    /**
     * Makes the installation's upstream of this name be so: for the sandbox and for providers named in the environment. Its address comes from whoever
     * runs the program and is not checked here. No setting says where it lies: the region that an administrator gave it stays. Whether anything changed.
     */
    async ensure(fields: UpstreamFields, record: RecordChange): Promise<boolean> {
      const [row] = await db
        .select()
        .from(upstreams)
        .where(and(ownedBy(null), eq(upstreams.name, fields.name)))
        .limit(1)
      if (row && (await isSame(row, fields))) return false
      const wanted = await toRow(null, fields, row?.id)
      const { region: _, ...change } = wanted
      await db.transaction(async (tx) => {
        // Several processes may start at once: the second finds the row of the first.
        const written = row ? tx.update(upstreams).set(change).where(eq(upstreams.id, row.id)) : tx.insert(upstreams).values(wanted).onConflictDoNothing()
        if ((await written.returning()).length === 0) return
        await record(tx, row ? 'upstream.update' : 'upstream.create')
        await announce(tx, 'upstreams', null)
      })
      return true
    },

    /** Deactivates the installation's upstream of this name. Whether anything changed. */
    retire: (name: string, record: RecordChange): Promise<boolean> =>
      db.transaction(async (tx) => {
        const active = and(ownedBy(null), eq(upstreams.name, name), eq(upstreams.active, true))
        if ((await tx.update(upstreams).set({ active: false }).where(active).returning()).length === 0) return false
        await record(tx, 'upstream.update')
        await announce(tx, 'upstreams', null)
        return true
      }),

    /** Every active upstream with its credential in clear, best first. Throws when the database is away. */
    async load(): Promise<LoadedUpstream[]> {
      const rows = await db.select().from(upstreams).where(eq(upstreams.active, true)).orderBy(asc(upstreams.name), asc(upstreams.id))
      const loaded: LoadedUpstream[] = []
      for (const row of rows.sort((a, b) => b.priority - a.priority)) {
        const { active: _active, createdAt: _createdAt, ...rest } = row
        try {
          loaded.push({ ...rest, credential: row.credential === null ? null : await keyring.open(row.tenantId, placeOf(row.id), row.credential) })
        } catch (error) {
          if (isUnavailable(error)) throw error
          report(error, { id: row.id, name: row.name })
        }
      }
      return loaded
    },
  }

  async function checkBaseUrl(baseUrl: string): Promise<void> {
    try {
      await checkUrl(baseUrl)
    } catch (error) {
      if (error instanceof EgressRefused) throw new Refusal('config', error.message, { context: { field: 'base_url' } })
      throw error
    }
    if (baseUrl.includes('?')) throw new Refusal('config', 'base_url must not contain a query.', { context: { field: 'base_url' } })
  }

  function checkRegion({ active, ...place }: Pick<UpstreamRow, 'active' | 'baseUrl' | 'region'>): void {
    if (active && !liesIn(place, regions)) throw new Refusal('config', outsideRegions(regions ?? []), { context: { field: 'region' } })
  }

  function checkDialects(names: readonly string[]): void {
    const unknown = names.find((name) => !dialects.includes(name))
    if (unknown !== undefined) throw new Refusal('config', `There is no such dialect. Known: ${dialects.join(', ')}.`, { context: { field: 'dialects' } })
  }

  function checkCredential(mode: CredentialMode, credential: string | null): void {
    if (mode === 'passthrough' && credential !== null) {
      throw new Refusal('config', "With credential_mode 'passthrough' no credential is stored.", { context: { field: 'credential' } })
    }
  }

  async function toRow(tenantId: string | null, fields: UpstreamFields, id = newId('up')): Promise<NewRow> {
    checkDialects(fields.dialects)
    checkCredential(fields.credentialMode, fields.credential)
    const { credential, dialects: names, models, timeouts, prices, baseUrl, ...rest } = fields
    return {
      id,
      tenantId,
      ...rest,
      baseUrl: withoutSlash(baseUrl),
      dialects: [...names],
      models: [...models],
      prices: [...prices],
      timeouts: timeouts as UpstreamRow['timeouts'],
      credential: await seal(tenantId, id, credential),
    }
  }

  async function seal(tenantId: string | null, id: string, credential: string | null): Promise<string | null> {
    return credential === null ? null : await keyring.seal(tenantId, placeOf(id), credential)
  }

  async function isSame(row: UpstreamRow, fields: UpstreamFields): Promise<boolean> {
    const credential = row.credential === null ? null : await keyring.open(null, placeOf(row.id), row.credential)
    const { name, dialects: names, baseUrl, credentialMode, models, priority, weight, timeouts, prices, active } = row
    const now = { name, dialects: names, baseUrl, credential, credentialMode, models, priority, weight, timeouts: ordered(timeouts), prices, active }
    const wanted = { ...fields, baseUrl: withoutSlash(fields.baseUrl), timeouts: ordered(fields.timeouts) }
    // PostgreSQL keeps the members of JSON in an order of its own.
    return (Object.keys(now) as (keyof typeof now)[]).every((key) => isDeepStrictEqual(now[key], wanted[key]))
  }
}

const placeOf = (id: string): string => placeIn(upstreamCredential, id)
const ownedBy = (tenantId: string | null) => (tenantId === null ? isNull(upstreams.tenantId) : eq(upstreams.tenantId, tenantId))
const withoutSlash = (url: string): string => url.replace(/\/+$/, '')
const originOf = (url: string): string => URL.parse(url)?.origin ?? ''
const ordered = ({ connect_seconds, first_byte_seconds, idle_seconds, total_seconds }: Timeouts): Timeouts => ({
  connect_seconds,
  first_byte_seconds,
  idle_seconds,
  total_seconds,
})
