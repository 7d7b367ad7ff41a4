import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { prefixOf } from '../../src/access/key-format.ts'
import { revokeAllKeys } from '../../src/access/key-store.ts'
import { ROTATED_MAX, replaceKeys } from '../../src/access/rotate-keys.ts'
import { changeTenant, lockTenant } from '../../src/access/tenants.ts'
import { createBudgets } from '../../src/budgets/budgets.ts'
import type { Caller } from '../../src/call.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createRewrap } from '../../src/crypto/rewrap.ts'
import { connect, type Tx } from '../../src/db/connect.ts'
import { dataKeys, processes } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { type Management, manage, NOW } from './management.ts'

interface RotatedKey {
  tenant_id: string
  prefix: string
  successor: string
  api_key: string
}
const path = '/v1/ops/rotate-keys'

forEachEngine((engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
  })
  beforeEach(async () => {
    await database.sql`truncate tenants, data_keys, audit_entries cascade`
    api = manage(database)
  })
  after(() => database.drop())

  const rotate = async (body: object = {}): Promise<{ rotated: RotatedKey[]; remaining: number; created_before: string }> => {
    const { status, json } = await api.ask('POST', path, { body })
    assert.equal(status, 200, JSON.stringify(json))
    return json
  }
  const caller = async (key: string): Promise<Caller | null> => api.keys.find(key)
  const rowsOf = (tenantId: string) => database.sql`select * from api_keys where tenant_id = ${tenantId} order by created_at, id`

  test('a successor has every right of its key, whatever the table has columns for, and a key, an id and a life of its own', async () => {
    const { id, key } = await api.createTenant()
    await database.sql`insert into agents (id, tenant_id, name) values ('agent_1', ${id}, 'a')`
    await database.sql`
      update api_keys set name = 'ci', scopes = '["proxy:write"]', agent_id = 'agent_1', limits = '{"max_requests_per_minute": 7}', allowed_addresses = '["10.0.0.0/8"]',
        allowed_models = '["gpt-*"]', client_certificate = 'CN=ci', expires_at = '2027-01-01', last_used_at = now() where tenant_id = ${id}`
    const { rotated, remaining } = await rotate()
    assert.equal(remaining, 0)
    const [made] = rotated
    assert.ok(made && rotated.length === 1 && made.prefix === prefixOf(key) && made.successor === prefixOf(made.api_key))
    const [old, fresh] = await rowsOf(id)
    const own = new Set(['id', 'prefix', 'hash', 'created_at', 'successor', 'last_used_at', 'expires_at'])
    for (const [column, value] of Object.entries(old!)) if (!own.has(column)) assert.deepEqual(fresh![column], value, column)
    for (const column of ['id', 'prefix', 'hash']) assert.notEqual(fresh![column], old![column])
    assert.deepEqual([old!.successor, fresh!.successor, fresh!.last_used_at], [made.successor, null, null])
    assert.equal(fresh!.expires_at.getTime(), Date.UTC(2027, 0, 1), 'not that of its predecessor')
    assert.equal((await caller(made.api_key))?.agent?.id, 'agent_1')
    assert.equal(JSON.stringify([old, fresh]).includes(made.api_key), false)
  })

  test('old keys go on for as long as is said, an hour by default and never longer than they would have; with 0 they end at once', async () => {
    const [soon, brief, never] = await Promise.all([api.createTenant(), api.createTenant(), api.createTenant()])
    await database.sql`update api_keys set expires_at = ${new Date(NOW + 60_000)} where tenant_id = ${brief!.id}`
    const [[first], [second], [third]] = [
      (await rotate({ tenant_id: soon!.id })).rotated,
      (await rotate({ tenant_id: brief!.id })).rotated,
      (await rotate({ tenant_id: never!.id, revoke_old_after_seconds: 0 })).rotated,
    ]
    const ends = async (id: string): Promise<number> => (await rowsOf(id))[0]!.expires_at?.getTime() - NOW
    assert.ok(Math.abs((await ends(soon!.id)) - 3_600_000) < 60_000)
    assert.equal(await ends(brief!.id), 60_000)
    for (const key of [soon!.key, brief!.key]) assert.ok(await caller(key))
    assert.equal(await caller(never!.key), null)
    for (const made of [first, second, third]) assert.ok(await caller(made!.api_key))
  })

  test('only active keys of active tenants get successors, of one tenant where one is named, and each only one', async () => {
    const [mine, other, closed] = await Promise.all([api.createTenant(), api.createTenant(), api.createTenant()])
    for (const name of ['revoked', 'expired', 'active']) await api.ask('POST', `/v1/tenants/${mine!.id}/keys`, { body: { name } })
    await database.sql`update api_keys set revoked_at = now() where name = 'revoked'`
    await database.sql`update api_keys set expires_at = ${new Date(NOW - 1)} where name = 'expired'`
    await database.sql`update tenants set active = false where id = ${closed!.id}`
    assert.equal((await api.ask('POST', path, { body: { tenant_id: 't_none' } })).status, 404)
    const { rotated, created_before } = await rotate({ tenant_id: mine!.id })
    assert.equal(rotated.length, 2)
    assert.ok(rotated.every(({ tenant_id }) => tenant_id === mine!.id))
    const rest = await rotate({ created_before })
    assert.deepEqual(
      rest.rotated.map(({ tenant_id }) => tenant_id),
      [other!.id],
      'what was made is not rotated again',
    )
    assert.deepEqual((await rotate({ tenant_id: closed!.id })).rotated, [])
  })

  test('a dry run says which keys it would be, and changes and shows nothing', async () => {
    const { id, key } = await api.createTenant()
    const before = await rowsOf(id)
    const { rotated, remaining } = await rotate({ dry_run: true })
    assert.deepEqual([rotated, remaining], [[{ tenant_id: id, prefix: prefixOf(key), name: 'first key', successor: null }], 0])
    assert.deepEqual(await rowsOf(id), before)
    assert.equal((await database.sql`select 1 from audit_entries where reason = 'key.rotate'`).length, 0)
  })

  test('what is rotated is on record once for each tenant, and announced', async () => {
    const tenants = await Promise.all([api.createTenant(), api.createTenant()])
    await api.ask('POST', `/v1/tenants/${tenants[0]!.id}/keys`, { body: { name: 'b' } })
    await database.sql`delete from changes`
    const { rotated } = await rotate({ revoke_old_after_seconds: 60 })
    const records = await database.sql`select tenant_id, metadata from audit_entries where reason = 'key.rotate'`
    assert.deepEqual(
      records.map(({ tenant_id, metadata }) => [tenant_id, metadata.keys, metadata.revoke_after_seconds, metadata.actor]).sort(),
      tenants.map(({ id }, i) => [id, i === 0 ? 2 : 1, 60, 'admin']).sort(),
    )
    for (const { api_key } of rotated) assert.equal(JSON.stringify(records).includes(api_key.slice(17)), false)
    assert.deepEqual(
      (await database.sql`select tenant_id from changes where kind = 'keys'`).map(({ tenant_id }) => tenant_id).sort(),
      tenants.map(({ id }) => id).sort(),
    )
  })

  test('more keys than one answer holds are rotated in several, each of them once', async () => {
    const { id } = await api.createTenant()
    await database.sql`
      insert into api_keys (id, tenant_id, prefix, hash, pepper_id, name, scopes, created_at)
      select 'key_' || i, ${id}, 'ef_test_' || lpad(i::text, 8, '0'), 'h' || i, 'dk', 'k', '[]', now() - interval '1 day' from generate_series(1, ${ROTATED_MAX + 4}) i`
    const first = await rotate()
    assert.deepEqual([first.rotated.length, first.remaining], [ROTATED_MAX, 5])
    const second = await rotate({ created_before: first.created_before })
    assert.deepEqual([second.rotated.length, second.remaining], [5, 0])
    assert.equal(new Set([...first.rotated, ...second.rotated].map(({ prefix }) => prefix)).size, ROTATED_MAX + 5)
    assert.deepEqual((await rotate({ created_before: first.created_before })).rotated, [])
  })

  test('budgets, limits and rules of a key hold for its successors, together with it', async () => {
    const { id, key } = await api.createTenant()
    const [b] = (await rotate()).rotated
    const budget = (scope_id: string) =>
      api.ask('POST', '/v1/budgets', { tenant: id, body: { scope: 'key', scope_id, amount: 5, unit: 'usd', window: 'month' } })
    const ofFirst = (await budget(prefixOf(key))).json.id
    const ofSecond = (await budget(b!.successor)).json.id
    const [c] = (await rotate()).rotated
    const ofThird = (await budget(c!.successor)).json.id
    const budgets = createBudgets({ database, processId: 'p', enforce: true, report: assert.ifError })
    const of = async (key: string): Promise<string[]> => {
      const { keyPrefix, line } = (await caller(key))!
      return (await budgets.of({ tenantId: id, agentId: null, keyPrefix, line }, null)).map((one) => one.id).sort()
    }
    const line = [key, b!.api_key, c!.api_key]
    for (const one of line) {
      assert.deepEqual(await of(one), [ofFirst, ofSecond, ofThird].sort(), 'old keys and successors together, whichever of them it names')
      assert.deepEqual((await caller(one))!.line, line.map(prefixOf), 'the first one first')
    }
    const other = await api.createTenant()
    assert.deepEqual([(await caller(other.key))!.line, await of(other.key)], [undefined, []])
    const patched = await api.ask('PATCH', `/v1/tenants/${id}/keys/${c!.successor}`, { body: { limits: { max_requests_per_minute: 3 } } })
    assert.equal(patched.status, 200)
    for (const one of line) assert.equal((await caller(one))!.keyLimits?.requestsPerMinute, 3)
    await budgets.close()
  })

  test('it is for who may rotate in the whole installation, and what it does not understand changes nothing', async () => {
    const { id, key } = await api.createTenant()
    assert.equal((await api.ask('POST', path, { key, body: {} })).status, 403)
    assert.equal((await api.ask('POST', '/v1/ops/rotate-master', { key, body: {} })).status, 403)
    const wrong = [
      { revoke_old_after_seconds: -1 },
      { revoke_old_after_seconds: 604_801 },
      { revoke_old_after_seconds: 0.5 },
      { revoke_old_after_seconds: '60' },
      { tenant_id: 7 },
      { tenant: id },
      { dry_run: 'yes' },
      { created_before: 'soon' },
      [],
    ]
    for (const body of wrong) assert.equal((await api.ask('POST', path, { body })).status, 400, JSON.stringify(body))
    for (const body of [{ master_key: 'x' }, { new_key: 'x' }]) assert.equal((await api.ask('POST', '/v1/ops/rotate-master', { body })).status, 400)
    assert.equal((await rowsOf(id)).length, 1)
  })

  test('every data key is wrapped under the master key of the process that is asked, and it is told who still lacks it', async () => {
    await api.createTenant()
    const [row] = await database.db.select().from(dataKeys)
    const masterKey = Object.keys(row!.wrappings)[0]!
    await database.db.insert(processes).values([
      { id: 'proc_a', host: 'h', pid: 1, version: '2', masterKeys: [masterKey, 'old'], startedAt: new Date(Date.now() - 1_000) },
      { id: 'proc_b', host: 'h', pid: 2, version: '2', masterKeys: ['old', masterKey] },
    ])
    await database.sql`update data_keys set wrappings = wrappings || '{"old": "x"}'`
    const { json } = await api.ask('POST', '/v1/ops/rotate-master', { body: {} })
    assert.deepEqual(json, {
      master_key: masterKey,
      data_keys: 1,
      wrapped_now: 0,
      lacking: 0,
      processes: [
        { id: 'proc_a', host: 'h', master_keys: [masterKey, 'old'], current: true },
        { id: 'proc_b', host: 'h', master_keys: ['old', masterKey], current: false },
      ],
      old: { old: 1 },
    })
    await database.sql`delete from processes`
  })

  test('what is wrapped is on record with it, or is not wrapped', async () => {
    await api.createTenant()
    const [row] = await database.db.select().from(dataKeys)
    const provider = createKeyProvider([Buffer.alloc(32, 9), Buffer.alloc(32, 7)])
    const masterKey = provider.ids[0]
    const ask = (seal: () => string) =>
      manage(database, { more: { rewrap: createRewrap(database.db, provider), seal } }).ask('POST', '/v1/ops/rotate-master', { body: {} })
    const failed = await ask(() => {
      throw new Error('no record')
    })
    assert.equal(failed.status, 500)
    assert.deepEqual(await database.db.select().from(dataKeys), [row])
    assert.equal((await ask(() => '')).json.wrapped_now, 1)
    const records = await database.sql`select metadata from audit_entries where reason = 'master_key.rotate'`
    assert.deepEqual(
      records.map(({ metadata }) => [metadata.subject, metadata.data_keys]),
      [[masterKey, 1]],
    )
  })

  test('keys that have expired are none of those a tenant has', async () => {
    const { id } = await api.createTenant()
    await rotate({ revoke_old_after_seconds: 0 })
    await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'brief' } })
    const count = async (): Promise<number[]> => [
      (await api.ask('GET', `/v1/tenants/${id}`)).json.api_key_count,
      (await api.ask('GET', '/v1/tenants')).json.tenants[0].api_key_count,
    ]
    assert.deepEqual(await count(), [2, 2])
    await database.sql`update api_keys set expires_at = ${new Date(NOW - 1)} where name = 'brief'`
    assert.deepEqual(await count(), [1, 1])
    await database.sql`
      insert into api_keys (id, tenant_id, prefix, hash, pepper_id, name, scopes, expires_at)
      select 'key_' || i, ${id}, 'ef_test_' || lpad(i::text, 8, '0'), 'h' || i, 'dk', 'k', '[]', ${new Date(NOW - 1)} from generate_series(1, 1000) i`
    assert.equal((await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'more' } })).status, 201)
  })

  if (engine === 'postgres') {
    test('two rotations at once give each key one successor', async () => {
      const { id } = await api.createTenant()
      for (const name of ['b', 'c']) await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name } })
      const { created_before } = await rotate({ dry_run: true })
      const both = await Promise.all([rotate({ created_before }), rotate({ created_before })])
      assert.equal(both.flatMap(({ rotated }) => rotated).length, 3)
      assert.equal((await rowsOf(id)).length, 6)
    })

    test('who deletes a tenant or an agent while its keys are rotated leaves no key alive, whoever is first', async () => {
      const other = await connect(database.options)
      try {
        const waits = async () =>
          (await database.sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).length > 0
        const successor = async (tx: Tx, tenantId: string) =>
          replaceKeys(
            tx,
            { tenantId, createdBefore: new Date(Date.now() + 60_000) },
            { minted: [await api.keys.mint()], at: new Date(NOW), endAfterSeconds: 3_600 },
          )
        const alive = async (id: string) => (await rowsOf(id)).filter(({ revoked_at }) => revoked_at === null).length
        const given = async () => {
          const { id } = await api.createTenant()
          const { json } = await api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'a' } })
          await database.sql`update api_keys set agent_id = ${json.id} where tenant_id = ${id}`
          return { id, of: { tenant: `/v1/tenants/${id}`, agent: `/v1/agents/${json.id}` } }
        }
        for (const what of ['tenant', 'agent'] as const) {
          const { id, of } = await given()
          let deleting: Promise<{ status: number }> = Promise.resolve({ status: 0 })
          let isOver = false
          await other.db.transaction(async (tx) => {
            assert.equal((await successor(tx, id)).length, 1)
            deleting = api.ask('DELETE', of[what], { ...(what === 'agent' && { tenant: id }) }).finally(() => {
              isOver = true
            })
            await until(async () => isOver || (await waits()), 'the deletion to wait')
          })
          assert.equal((await deleting).status, 204)
          assert.deepEqual([await alive(id), (await rowsOf(id)).length], [0, 2], `${what}: the rotation was first`)

          const late = await given()
          let rotating: Promise<unknown> = Promise.resolve()
          let isRotated = false
          await other.db.transaction(async (tx) => {
            await lockTenant(tx, late.id)
            rotating = database.db
              .transaction((own) => successor(own, late.id))
              .finally(() => {
                isRotated = true
              })
            await until(async () => isRotated || (await waits()), 'the rotation to wait')
            if (what === 'tenant') await changeTenant(tx, late.id, { active: false })
            await revokeAllKeys(tx, late.id, new Date(NOW))
          })
          assert.deepEqual(await rotating, [])
          assert.deepEqual([await alive(late.id), (await rowsOf(late.id)).length], [0, 1], `${what}: the deletion was first`)
        }
      } finally {
        await other.close()
      }
    })
  }
})
