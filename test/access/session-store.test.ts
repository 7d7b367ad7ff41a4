import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { SESSION_SECONDS_MAX } from '../../src/access/profiles.ts'
import {
  countLive,
  endSession,
  findSession,
  insertSession,
  isLocked,
  listSessions,
  lockSessions,
  removeOver,
  unlockSessions,
} from '../../src/access/session-store.ts'
import { insertTenant } from '../../src/access/tenants.ts'
import type { Tx } from '../../src/db/connect.ts'
import { newId } from '../../src/ids.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const at = (seconds: number): Date => new Date(NOW + seconds * 1_000)
const by = { by: 'admin', at: at(0) }

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  async function newTenant(): Promise<string> {
    const fields = { name: 'Acme', rulesPreset: null, maxRequestsPerMinute: null, allowedModels: null, contactEmail: null }
    return (await inOne((tx) => insertTenant(tx, fields))).id
  }
  const inOne = <Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> => database.db.transaction(work)
  const insertIn = async (tx: Tx, tenantId: string, createdAt = 0, lives = 300): Promise<string> => {
    const id = newId('ses', at(createdAt).getTime())
    const minted = { id, token: '', profile: 'black_vault' as const, createdAt: at(createdAt), expiresAt: at(createdAt + lives) }
    await insertSession(tx, tenantId, minted, { keyId: null, createdBy: 'admin' })
    return id
  }
  const add = (tenantId: string, createdAt?: number, lives?: number) => inOne((tx) => insertIn(tx, tenantId, createdAt, lives))
  const page = { limit: 50, offset: 0 }
  const idsOf = async (tenantId: string | null, active: boolean) =>
    (await listSessions(database.db, { tenantId }, { active, at: at(0), ...page })).rows.map(({ id }) => id)

  test('live ones and those that are over are told apart to the second, newest first, and of one tenant', async () => {
    const [tenant, other] = [await newTenant(), await newTenant()]
    const longest = await add(tenant, -SESSION_SECONDS_MAX + 1, SESSION_SECONDS_MAX)
    const fresh = await add(tenant)
    const expired = await add(tenant, -300)
    const ended = await add(tenant, -1)
    await add(other)
    await inOne((tx) => endSession(tx, tenant, ended, at(0)))
    assert.deepEqual(await idsOf(tenant, true), [fresh, longest])
    assert.deepEqual(await idsOf(tenant, false), [ended, expired])
    assert.equal(await inOne((tx) => countLive(tx, tenant, at(0))), 2)
    assert.equal(await findSession(database.db, { tenantId: other }, fresh), undefined)
    assert.equal((await findSession(database.db, { tenantId: null }, fresh))?.tenantId, tenant)
  })

  test('ending again does not move the end, and a tenant ends nothing of another', async () => {
    const [tenant, other] = [await newTenant(), await newTenant()]
    const id = await add(tenant)
    await inOne((tx) => endSession(tx, other, id, at(1)))
    assert.equal((await findSession(database.db, { tenantId: tenant }, id))?.endedAt, null)
    await inOne((tx) => endSession(tx, tenant, id, at(1)))
    await inOne((tx) => endSession(tx, tenant, id, at(2)))
    assert.deepEqual((await findSession(database.db, { tenantId: tenant }, id))?.endedAt, at(1))
  })

  test('a lock ends what lives and says how many; a tenant’s own concerns nobody else, the installation’s everybody', async () => {
    const [tenant, other] = [await newTenant(), await newTenant()]
    await add(tenant)
    await add(tenant)
    await add(tenant, -300)
    const theirs = await add(other)
    assert.equal(await inOne((tx) => lockSessions(tx, tenant, by)), 2)
    assert.deepEqual(await idsOf(tenant, true), [])
    assert.deepEqual(await idsOf(other, true), [theirs])
    assert.deepEqual([await inOne((tx) => isLocked(tx, tenant)), await inOne((tx) => isLocked(tx, other))], [true, false])
    assert.equal(await inOne((tx) => lockSessions(tx, tenant, by)), 0, 'locked again')
    assert.ok((await inOne((tx) => lockSessions(tx, null, by))) >= 1)
    assert.deepEqual(await idsOf(null, true), [])
    assert.equal(await inOne((tx) => isLocked(tx, other)), true)
    assert.equal(await inOne((tx) => unlockSessions(tx, tenant)), false, 'not while the installation is')
    assert.equal(await inOne((tx) => unlockSessions(tx, null)), true)
    assert.deepEqual([await inOne((tx) => isLocked(tx, tenant)), await inOne((tx) => isLocked(tx, other))], [true, false])
    assert.equal(await inOne((tx) => unlockSessions(tx, tenant)), true)
    assert.equal(await inOne((tx) => isLocked(tx, tenant)), false)
  })

  test('clearing away removes what is over, of one tenant or of all, and nothing that lives', async () => {
    const [tenant, other] = [await newTenant(), await newTenant()]
    const alive = await add(tenant)
    const ended = await add(tenant)
    await inOne((tx) => endSession(tx, tenant, ended, at(0)))
    await add(tenant, -300)
    await add(other, -300)
    assert.equal(await inOne((tx) => removeOver(tx, tenant, at(0))), 2)
    assert.deepEqual([(await idsOf(tenant, true)).includes(alive), await idsOf(tenant, false)], [true, []])
    assert.equal((await idsOf(other, false)).length, 1)
    assert.ok((await inOne((tx) => removeOver(tx, null, at(0)))) >= 1)
    assert.deepEqual(await idsOf(null, false), [])
  })

  // The embedded database has one connection: its transactions follow each other anyway.
  if (engine === 'pglite') return

  const waiters = async (): Promise<number> =>
    (
      await database.sql`select 1 from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`
    ).length
  /** Until somebody waits for the lock, or has done without it. */
  async function untilWaiting(work: Promise<unknown>): Promise<void> {
    let isDone = false
    work.then(
      () => (isDone = true),
      () => (isDone = true),
    )
    while (!isDone && (await waiters()) === 0);
  }

  test('a session that is being made while all are locked is ended with them', async () => {
    const tenant = await newTenant()
    const made = Promise.withResolvers<string>()
    const go = Promise.withResolvers<void>()
    const making = inOne(async (tx) => {
      assert.equal(await isLocked(tx, tenant), false)
      made.resolve(await insertIn(tx, tenant))
      await go.promise
    })
    const id = await made.promise
    const locking = inOne((tx) => lockSessions(tx, null, by))
    await untilWaiting(locking)
    go.resolve()
    await making
    assert.ok((await locking) >= 1)
    assert.ok((await findSession(database.db, { tenantId: tenant }, id))?.endedAt)
    await inOne((tx) => unlockSessions(tx, null))
  })

  test('a session that is asked for while all are being locked is not made', async () => {
    const tenant = await newTenant()
    const locked = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const locking = inOne(async (tx) => {
      await lockSessions(tx, tenant, by)
      locked.resolve()
      await go.promise
    })
    await locked.promise
    const asking = inOne((tx) => isLocked(tx, tenant))
    await untilWaiting(asking)
    go.resolve()
    await locking
    assert.equal(await asking, true)
  })

  test('sessions are made side by side', async () => {
    const tenant = await newTenant()
    const first = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const slow = inOne(async (tx) => {
      await isLocked(tx, tenant)
      first.resolve()
      await go.promise
    })
    await first.promise
    assert.equal(await inOne((tx) => isLocked(tx, tenant)), false)
    go.resolve()
    await slow
  })
})
