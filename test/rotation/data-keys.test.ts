import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { keyIdOf } from '../../src/crypto/envelope.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { placeIn, sealedColumns } from '../../src/crypto/sealed-columns.ts'
import type { RecordStep } from '../../src/rotation/open-rotation.ts'
import { rotateDataKeys } from '../../src/rotation/rotate-data-keys.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const master = Buffer.alloc(32, 7)
const provider = createKeyProvider([master])
const place = (id: string): string => placeIn(sealedColumns[0]!, id)

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  beforeEach(async () => {
    await database.sql`truncate data_keys, upstreams, tenants, users, logins, sessions, changes cascade`
    for (const id of ['t_1', 't_2', 't_3']) await database.sql`insert into tenants (id, name) values (${id}, ${id})`
  })
  after(() => database.drop())

  const ring = () => createKeyring(database.db, provider)
  const rotate = (isDryRun = false, record: RecordStep | null = null) => rotateDataKeys(database.db, provider, { isDryRun, record })
  const hoursPass = (hours: number) => database.sql`update data_keys set created_at = created_at - make_interval(hours => ${hours})`
  const versions = async (purpose: string): Promise<Record<string, number[]>> => {
    const rows = await database.sql`select tenant_id, version from data_keys where purpose = ${purpose} order by version`
    return Object.fromEntries(
      Object.entries(Object.groupBy(rows, ({ tenant_id }) => tenant_id ?? '')).map(([tenant, of]) => [tenant, of!.map(({ version }) => version)]),
    )
  }
  const addUpstream = async (id: string, tenantId: string | null, sealed?: string, keyring = ring()): Promise<void> => {
    const credential = sealed ?? (await keyring.seal(tenantId, place(id), `secret of ${id}`))
    await database.sql`
      insert into upstreams (id, name, tenant_id, dialects, base_url, credential, credential_mode, models, timeouts)
      values (${id}, ${id}, ${tenantId}, '[]', 'https://x', ${credential}, 'stored', '["*"]', '{}')`
  }
  const credentials = () =>
    database.sql<{ id: string; tenant_id: string | null; credential: string }[]>`select id, tenant_id, credential from upstreams order by id`
  const allOpen = async (): Promise<void> => {
    const keyring = ring()
    for (const { id, tenant_id, credential } of await credentials()) assert.equal(await keyring.open(tenant_id, place(id), credential), `secret of ${id}`)
  }

  test('every tenant that has secrets gets a new key, under which they are sealed again, and processes are told', async () => {
    const keyring = ring()
    for (let i = 0; i < 105; i++) await addUpstream(`up_${i}`, ['t_1', 't_2', null][i % 3]!, undefined, keyring)
    const before = await Promise.all([keyring.redactionKey('t_1'), keyring.hashKey('t_1'), keyring.sealKey(), keyring.checkpointKey()])
    await hoursPass(2)
    assert.deepEqual(await rotate(true), { made: 3, resealed: 105, unopened: 0, deleted: 0 })
    assert.deepEqual(await versions('secrets'), { '': [1], t_1: [1], t_2: [1] }, 'a dry run')
    assert.deepEqual(await rotate(), { made: 3, resealed: 105, unopened: 0, deleted: 0 })
    assert.deepEqual(await versions('secrets'), { '': [1, 2], t_1: [1, 2], t_2: [1, 2] })
    const newest = new Set((await database.sql`select id from data_keys where version = 2`).map(({ id }) => id))
    for (const { credential } of await credentials()) assert.ok(newest.has(keyIdOf(credential)))
    await allOpen()
    assert.ok((await database.sql`select 1 from changes where kind = 'upstreams' and tenant_id is null`).length > 0)
    const fresh = ring()
    assert.deepEqual(await Promise.all([fresh.redactionKey('t_1'), fresh.hashKey('t_1'), fresh.sealKey(), fresh.checkpointKey()]), before)
  })

  test('a run that was interrupted is gone on with, and old keys go when they are not needed any more', async () => {
    for (let i = 0; i < 3; i++) await addUpstream(`up_${i}`, 't_1')
    const [first] = await credentials()
    await hoursPass(2)
    await rotate()
    // As if the run had died before this one: it is still as it was.
    await database.sql`update upstreams set credential = ${first!.credential} where id = ${first!.id}`
    assert.deepEqual(await rotate(), { made: 0, resealed: 1, unopened: 0, deleted: 0 }, 'no third version, and nothing is deleted that somebody may still use')
    assert.deepEqual(await rotate(), { made: 0, resealed: 0, unopened: 0, deleted: 0 })
    await hoursPass(2)
    assert.deepEqual(await rotate(), { made: 1, resealed: 3, unopened: 0, deleted: 1 })
    assert.deepEqual(await versions('secrets'), { t_1: [2, 3] })
    await allOpen()
  })

  test('each step is on record in its own transaction, or is not done', async () => {
    await addUpstream('up_1', 't_1')
    await ring().pepper()
    await hoursPass(2)
    const told: object[] = []
    const tell: RecordStep = async (_tx, action, subject, details) => void told.push([action, subject, details])
    const failAt =
      (step: string): RecordStep =>
      async (tx, action, subject, details) => {
        if (step in details) throw new Error('no record')
        return tell(tx, action, subject, details)
      }
    const stood = async () => [await versions('secrets'), await credentials()]
    for (const step of ['made', 'resealed']) {
      const [keys, texts] = await stood()
      await assert.rejects(rotate(false, failAt(step)), /no record/)
      assert.deepEqual(await credentials(), texts)
      if (step === 'made') assert.deepEqual(await versions('secrets'), keys)
    }
    await rotate(false, tell)
    await hoursPass(2)
    await assert.rejects(rotate(false, failAt('deleted')), /no record/)
    assert.deepEqual(await versions('secrets'), { t_1: [1, 2, 3] })
    await rotate(false, tell)
    assert.deepEqual(
      told.map((one) => JSON.stringify(one)),
      [{ made: 2 }, { resealed: 1 }, { made: 2 }, { resealed: 1 }, { deleted: 2 }].map((counts) => JSON.stringify(['data_keys.rotate', 'data keys', counts])),
    )
    await rotate(true, () => assert.fail('a dry run'))
  })

  test('a pepper is needed by keys that can be used, and by no others', async () => {
    const pepper = await ring().pepper()
    await hoursPass(3)
    await rotate()
    await hoursPass(2)
    const key = (id: string, expiresAt: Date | null) => database.sql`
      insert into api_keys (id, tenant_id, prefix, hash, pepper_id, name, scopes, expires_at) values (${id}, 't_1', ${id}, ${id}, ${pepper.id}, 'k', '[]', ${expiresAt})`
    await key('key_1', null)
    await key('key_2', new Date(Date.now() + 60_000))
    await database.sql`update api_keys set revoked_at = now() where id = 'key_1'`
    assert.equal((await rotate(true)).deleted, 0, 'the second')
    await database.sql`update api_keys set expires_at = now() - interval '2 hours' where id = 'key_2'`
    assert.equal((await rotate(true)).deleted, 1)
    await database.sql`update api_keys set revoked_at = null where id = 'key_1'`
    assert.equal((await rotate(true)).deleted, 0, 'the first')
  })

  test('what cannot be opened is told, stays as it is, and keeps its key', async () => {
    await addUpstream('up_1', 't_1')
    await addUpstream('up_2', 't_1', await ring().seal('t_1', 'elsewhere', 'x'))
    await hoursPass(2)
    assert.deepEqual(await rotate(), { made: 1, resealed: 1, unopened: 1, deleted: 0 })
    await hoursPass(2)
    assert.equal((await rotate()).deleted, 0, 'the first is still named, and the second was replaced just now')
    assert.deepEqual(await versions('secrets'), { t_1: [1, 2, 3] })
  })

  test('a credential that somebody changes meanwhile is not overwritten', async () => {
    await addUpstream('up_1', 't_1')
    await hoursPass(2)
    const changed = await ring().seal('t_1', place('up_1'), 'secret of up_1')
    let transactions = 0
    const db = new Proxy(database.db, {
      get: (target, name, receiver) =>
        name !== 'transaction'
          ? Reflect.get(target, name, receiver)
          : async (work: never) => {
              // The first makes the new key, the second writes what was read before.
              if (++transactions === 2) await database.sql`update upstreams set credential = ${changed}`
              return target.transaction(work)
            },
    })
    assert.equal((await rotateDataKeys(db, provider, { isDryRun: false, record: null })).resealed, 0)
    assert.equal((await credentials())[0]!.credential, changed)
    await allOpen()
  })

  test('peppers and the keys of sessions and logins go when no key, session or login needs them', async () => {
    const keyring = ring()
    const pepper = await keyring.pepper()
    await keyring.sessionKey()
    await keyring.loginKey()
    await hoursPass(3)
    assert.equal((await rotate()).made, 3)
    await hoursPass(2)
    const ago = (hours: number): Date => new Date(Date.now() - hours * 3_600_000)
    await database.sql`
      insert into api_keys (id, tenant_id, prefix, hash, pepper_id, name, scopes) values ('key_1', 't_1', 'p', 'h', ${pepper.id}, 'k', '[]')`
    await database.sql`
      insert into sessions (id, tenant_id, profile, created_by, created_at, expires_at) values ('ses_1', 't_1', 'x', 'x', ${ago(4)}, ${ago(-1)})`
    await database.sql`insert into users (id, email, name, role) values ('user_1', 'a@b', 'a', 'owner')`
    await database.sql`insert into logins (id, user_id, created_at, expires_at) values ('login_1', 'user_1', ${ago(4)}, ${ago(-1)})`
    assert.equal((await rotate(true)).deleted, 0)
    await database.sql`update sessions set ended_at = now()`
    assert.equal((await rotate(true)).deleted, 1)
    await database.sql`update logins set expires_at = ${ago(1)}`
    await database.sql`delete from api_keys`
    assert.equal((await rotate(true)).deleted, 3)
    assert.equal((await rotate()).deleted, 3)
    assert.deepEqual(await versions('pepper'), { '': [2, 3] })
    assert.equal(await ring().pepper(pepper.id), null)
  })
})
