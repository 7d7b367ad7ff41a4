import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { EgressRefused } from '../../src/egress/check-url.ts'
import { Refusal } from '../../src/errors.ts'
import { createUpstreamStore, UPSTREAMS_PER_TENANT_MAX, type UpstreamFields } from '../../src/upstreams/store.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const fields: UpstreamFields = {
  name: 'openai',
  dialects: ['openai-chat'],
  baseUrl: 'https://api.openai.com/v1',
  credential: 'sk-marked',
  credentialMode: 'stored',
  models: ['*'],
  priority: 0,
  weight: 1,
  region: null,
  timeouts: { idle_seconds: 30, connect_seconds: 3 },
  prices: [],
  active: true,
}

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  beforeEach(() => database.sql`truncate upstreams, changes`)
  after(() => database.drop())

  const given = ({ regions = null }: { regions?: readonly string[] | null } = {}) => {
    const reported: { id: string; name: string }[] = []
    const checkUrl = async (url: string): Promise<void> => {
      if (url.includes('internal')) throw new EgressRefused('internal is not an address on the internet.')
    }
    const keyring = createKeyring(database.db, [Buffer.alloc(32, 7)])
    const store = createUpstreamStore({
      db: database.db,
      keyring,
      checkUrl,
      dialects: ['openai-chat'],
      regions,
      report: (_, upstream) => reported.push(upstream),
    })
    const add = async (more: Partial<UpstreamFields> = {}) => {
      const prepared = await store.prepare(null, { ...fields, ...more })
      return database.db.transaction((tx) => store.insert(tx, prepared))
    }
    return { store, reported, add }
  }
  const record = async (): Promise<void> => {}
  const changes = async () => (await database.sql`select kind, tenant_id from changes`).length

  test('credentials are sealed in the row and in clear only when loaded, best upstream first', async () => {
    const { store, add } = given()
    const { id } = await add()
    await add({ name: 'second', priority: 5, credential: null })
    await add({ name: 'asleep', active: false })
    const [row] = await database.sql`select credential from upstreams where id = ${id}`
    assert.doesNotMatch(row.credential, /sk-marked/)
    assert.deepEqual(
      (await store.load()).map(({ name, credential, timeouts }) => [name, credential, timeouts]),
      [
        ['second', null, fields.timeouts],
        ['openai', 'sk-marked', fields.timeouts],
      ],
    )
  })

  test('a sealed credential moved to another row opens nothing: that upstream is left out and reported', async () => {
    const { store, add, reported } = given()
    const one = await add()
    const two = await add({ name: 'second', credential: 'sk-second' })
    await database.sql`update upstreams set credential = (select credential from upstreams where id = ${one.id}) where id = ${two.id}`
    assert.deepEqual(
      (await store.load()).map(({ name }) => name),
      ['openai'],
    )
    assert.deepEqual(reported, [{ id: two.id, name: 'second' }])
  })

  test('an address that may not be called is refused with the sentence of the guard', async () => {
    const { store } = given()
    await assert.rejects(store.prepare(null, { ...fields, baseUrl: 'https://internal/' }), (error: unknown) => {
      assert.ok(error instanceof Refusal)
      assert.deepEqual([error.reason, error.message], ['config', 'internal is not an address on the internet.'])
      return true
    })
  })

  test('where EARTHFLOW_LOCALITY names regions, an upstream lies in one of them when it is made, changed and woken; one that does not may be put to sleep', async () => {
    const { store, add } = given({ regions: ['eu', 'ch'] })
    const outside = (error: unknown): boolean =>
      error instanceof Refusal &&
      error.status === 422 &&
      error.context.field === 'region' &&
      /EARTHFLOW_LOCALITY wants every upstream in one of eu, ch/.test(error.message)
    await assert.rejects(add(), outside)
    await assert.rejects(add({ region: 'us' }), outside)
    const inside = await add({ region: 'ch' })
    await assert.rejects(store.prepareChange(inside, { region: null }), outside)
    await store.prepareChange(inside, { region: 'eu', priority: 3 })
    const old = { ...inside, region: null }
    await assert.rejects(store.prepareChange(old, { priority: 3 }), outside)
    await store.prepareChange(old, { active: false })
    await assert.rejects(store.prepareChange({ ...old, active: false }, { active: true }), outside)
    // The program's own is no API's business.
    await store.ensure({ ...fields, name: 'of-a-setting' }, record)
  })

  test('ensure writes and announces only what differs, and may name what the API may not', async () => {
    const { store } = given()
    const sandbox: UpstreamFields = { ...fields, name: 'sandbox', baseUrl: 'sandbox:', credential: null }
    const priced = { ...sandbox, prices: [{ model: '*', input: 1, output: 2, cached_input: 0.1 }] }
    assert.equal(await store.ensure(priced, record), true)
    assert.equal(await store.ensure(fields, record), true)
    assert.equal(await store.ensure(priced, record), false)
    assert.equal(await changes(), 2)
    assert.equal(await store.ensure({ ...fields, timeouts: { connect_seconds: 3, idle_seconds: 30 } }, record), false)
    assert.equal(await changes(), 2)
    assert.equal(await store.ensure({ ...fields, credential: 'sk-rotated' }, record), true)
    assert.deepEqual(
      (await store.load()).map(({ name, credential }) => [name, credential]),
      [
        ['openai', 'sk-rotated'],
        ['sandbox', null],
      ],
    )
  })

  test('ensure leaves the region that an administrator gave: alone it is no difference, and with another credential it stays', async () => {
    const { store, add } = given()
    await add({ region: 'eu' })
    assert.equal(await store.ensure(fields, record), false)
    assert.equal(await store.ensure({ ...fields, credential: 'sk-rotated' }, record), true)
    assert.deepEqual(
      (await store.load()).map(({ region, credential }) => [region, credential]),
      [['eu', 'sk-rotated']],
    )
  })

  test('two processes that ensure the same upstream at once make one', async () => {
    const { store } = given()
    await Promise.all([store.ensure(fields, record), given().store.ensure(fields, record)])
    assert.equal((await store.load()).length, 1)
  })

  test('of two changes prepared at once, one of the address and one of the credential, only the first is made: neither goes with the other', async () => {
    const { store, add } = given()
    const before = await add({ credential: null })
    const moved = await store.prepareChange(before, { baseUrl: 'https://elsewhere.example.com' })
    const trusted = await store.prepareChange(before, { credential: 'sk-for-the-first-address' })
    const change = (prepared: typeof moved) => database.db.transaction((tx) => store.change(tx, before, prepared))
    assert.equal((await change(moved))?.baseUrl, 'https://elsewhere.example.com')
    await assert.rejects(change(trusted), (error: unknown) => error instanceof Refusal && error.reason === 'conflict')
    assert.equal((await store.load())[0].credential, null)
  })

  test('there is a bound on the number of upstreams', async () => {
    const { add } = given()
    await database.sql`
      insert into upstreams (id, name, dialects, base_url, credential_mode, models, timeouts)
      select 'up_' || n, 'u' || n, '[]', 'https://api.example.com', 'stored', '[]', '{}' from generate_series(1, ${UPSTREAMS_PER_TENANT_MAX}::int) n`
    await assert.rejects(add(), (error: unknown) => error instanceof Refusal && error.reason === 'config')
  })
})
