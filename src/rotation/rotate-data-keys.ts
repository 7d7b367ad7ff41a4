/** Replaces the data keys that may be replaced. Interrupted anywhere, the next run goes on where it was. */
import type { SQL } from 'drizzle-orm'
import { createDataKeys, type Purpose } from '../crypto/data-keys.ts'
import { keyIdOf } from '../crypto/envelope.ts'
import type { KeyProvider } from '../crypto/key-provider.ts'
import { createKeyring } from '../crypto/keyring.ts'
import { placeIn, type SealedColumn, sealedColumns } from '../crypto/sealed-columns.ts'
import { announce } from '../db/changes.ts'
import type { Db, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { isUnavailable } from '../db/unavailable.ts'
import type { RecordStep } from './open-rotation.ts'

/**
 * A data key that is younger was made by a run that was interrupted, and is not replaced again. And so long after it was replaced no process uses a key to
 * seal, hash or sign: each looks for a newer one every minute (NEWEST_MS of the keyring). Only then is it deleted, where nothing needs it any more.
 */
export const SETTLED_SECONDS = 3_600
/** Sealed values that are read, and sealed again, at once. */
const VALUES_MAX = 100

export interface RotatedDataKeys {
  /** New data keys. */
  made: number
  /** Stored secrets that were sealed again. */
  resealed: number
  /** Stored secrets that cannot be opened, and stay as they are. */
  unopened: number
  /** Replaced data keys that nothing needs any more. */
  deleted: number
}

/** A dry run tells what would be. */
export async function rotateDataKeys(
  db: Db,
  provider: KeyProvider,
  { isDryRun, record }: { isDryRun: boolean; record: RecordStep | null },
): Promise<RotatedDataKeys> {
  /** In the transaction of what it tells of. */
  const told = async (tx: Tx, counts: Partial<RotatedDataKeys>): Promise<void> => record?.(tx, 'data_keys.rotate', 'data keys', counts)
  const due = await dueOwners(db)
  let made = due.length
  if (!isDryRun) {
    const wanted = due.map(({ version, ...owner }) => ({ ...owner, version: version + 1 }))
    made = await createDataKeys(db, provider).makeAll(wanted, (tx, made) => told(tx, { made }))
  }
  const replaced = new Set(isDryRun ? due.filter(({ purpose }) => purpose === 'secrets').map(({ tenantId }) => tenantId) : [])
  let resealed = 0
  let unopened = 0
  for (const column of sealedColumns) {
    const counts = await reseal(column)
    resealed += counts.resealed
    unopened += counts.unopened
  }
  const used = await keysInUse(db)
  const deleted = await db.transaction(async (tx) => {
    const deleted = await deleteUnneeded(tx, { used, isDryRun })
    if (deleted > 0 && !isDryRun) await told(tx, { deleted })
    return deleted
  })
  return { made, resealed, unopened, deleted }

  async function reseal(column: SealedColumn): Promise<{ resealed: number; unopened: number }> {
    const keyring = createKeyring(db, provider)
    const newest = await newestSecretsKeys(db)
    let resealed = 0
    let unopened = 0
    for await (const values of valuesOf(db, column)) {
      const fresh: { id: string; was: string; sealed: string }[] = []
      for (const { id, tenantId, sealed: was } of values) {
        if (!replaced.has(tenantId) && keyIdOf(was) === newest.get(tenantId)) continue
        const place = placeIn(column, id)
        const secret = await keyring.open(tenantId, place, was).catch(nullUnlessAway)
        if (secret === null) unopened++
        else fresh.push({ id, was, sealed: await keyring.seal(tenantId, place, secret) })
      }
      resealed += isDryRun ? fresh.length : await write(column, fresh)
    }
    return { resealed, unopened }
  }

  /** Only what is still as it was read: what somebody else has changed meanwhile is as good as any, or the next run's. */
  async function write({ table, column, changes }: SealedColumn, fresh: readonly object[]): Promise<number> {
    if (fresh.length === 0) return 0
    const [in_, its] = [sql.identifier(table), sql.identifier(column)]
    return db.transaction(async (tx) => {
      const written = await tx.execute(sql`
        update ${in_} as t set ${its} = fresh.sealed
        from jsonb_to_recordset(${JSON.stringify(fresh)}::text::jsonb) as fresh(id text, was text, sealed text)
        where t.id = fresh.id and t.${its} = fresh.was returning t.id`)
      if (written.length === 0) return 0
      await told(tx, { resealed: written.length })
      await announce(tx, changes, null)
      return written.length
    })
  }
}

/** What cannot be opened is told and left; a database that is away ends the run. */
function nullUnlessAway(error: unknown): null {
  if (isUnavailable(error)) throw error
  return null
}

interface Due {
  purpose: Purpose
  tenantId: string | null
  /** The highest there is. */
  version: number
}

/** Whose newest key is old enough to be replaced. What was made with a key of another purpose has no other key, for ever. */
async function dueOwners(db: Db): Promise<Due[]> {
  const rows = await db.execute<{ purpose: Purpose; tenant_id: string | null; version: number }>(sql`
    select purpose, tenant_id, max(version) as version from data_keys where purpose in ('secrets', 'pepper', 'sessions', 'logins')
    group by purpose, tenant_id having max(created_at) < ${settled} order by purpose, tenant_id`)
  return rows.map(({ purpose, tenant_id: tenantId, version }) => ({ purpose, tenantId, version }))
}

async function newestSecretsKeys(db: Db): Promise<Map<string | null, string>> {
  const rows = await db.execute<{ tenant_id: string | null; id: string }>(sql`
    select distinct on (tenant_id) tenant_id, id from data_keys where purpose = 'secrets' order by tenant_id, version desc`)
  return new Map(rows.map(({ tenant_id, id }) => [tenant_id, id]))
}

interface Value {
  id: string
  tenantId: string | null
  sealed: string
}

async function* valuesOf(db: Db, { table, column }: SealedColumn): AsyncGenerator<Value[]> {
  const [in_, its] = [sql.identifier(table), sql.identifier(column)]
  for (let after = ''; ; ) {
    const rows = await db.execute<{ id: string; tenant_id: string | null; sealed: string }>(sql`
      select id, tenant_id, ${its} as sealed from ${in_} where ${its} is not null and id > ${after} order by id limit ${VALUES_MAX}`)
    const last = rows.at(-1)
    if (!last) return
    yield rows.map(({ id, tenant_id: tenantId, sealed }) => ({ id, tenantId, sealed }))
    after = last.id
  }
}

/** The ids of the data keys that something is sealed under. */
async function keysInUse(db: Db): Promise<Set<string>> {
  const used = new Set<string>()
  for (const column of sealedColumns)
    for await (const values of valuesOf(db, column))
      for (const { sealed } of values) {
        const id = keyIdOf(sealed)
        if (id !== null) used.add(id)
      }
  return used
}

const settled = sql`now() - make_interval(secs => ${SETTLED_SECONDS})`
/** What was begun with `old` before every process knew of `newer`, and is not over. */
const maySign = (table: 'sessions' | 'logins', isOpen: SQL) => sql`exists (
  select from ${sql.identifier(table)} one where one.expires_at > now() and ${isOpen} and one.created_at < newer.created_at + make_interval(secs => ${SETTLED_SECONDS}))`

async function deleteUnneeded(tx: Tx, { used, isDryRun }: { used: ReadonlySet<string>; isDryRun: boolean }): Promise<number> {
  const isNeeded = sql`case old.purpose
    when 'secrets' then old.id in (select jsonb_array_elements_text(${JSON.stringify([...used])}::text::jsonb))
    when 'pepper' then exists (select from api_keys where pepper_id = old.id and revoked_at is null and (expires_at is null or expires_at > ${settled}))
    when 'sessions' then ${maySign('sessions', sql`one.ended_at is null`)}
    when 'logins' then ${maySign('logins', sql`true`)}
    else true end`
  const unneeded = sql`
    select old.id from data_keys old where exists (
      select from data_keys newer where newer.purpose = old.purpose and newer.tenant_id is not distinct from old.tenant_id
        and newer.version > old.version and newer.created_at < ${settled} and not ${isNeeded})`
  const rows = isDryRun ? await tx.execute(unneeded) : await tx.execute(sql`delete from data_keys where id in (${unneeded}) returning id`)
  return rows.length
}
