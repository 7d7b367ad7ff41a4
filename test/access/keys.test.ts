import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { changeAgent, insertAgent } from '../../src/access/agents.ts'
import { mintKey, prefixOf } from '../../src/access/key-format.ts'
import { issueKey, listKeys, type NewKey, revokeAllKeys, revokeKey } from '../../src/access/key-store.ts'
import { createKeys, type Keys } from '../../src/access/keys.ts'
import { openQuarantine, releaseQuarantine } from '../../src/access/quarantines.ts'
import { changeTenant, insertTenant } from '../../src/access/tenants.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { connect, type Database, type Db } from '../../src/db/connect.ts'
import { eq } from '../../src/db/drizzle.ts'
import { apiKeys } from '../../src/db/schema.ts'
import { Failure } from '../../src/errors.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { tenantLimitedTo } from '../harness/nouns.ts'

const DEFAULT_RPM = 1_000
const newKey: NewKey = { name: 'a key', scopes: ['proxy:write'], expiresAt: null }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let nowhere: Database
  before(async () => {
    database = await open()
    nowhere = await connect({ kind: 'postgres', url: 'postgres://nobody:none@127.0.0.1:1/none' })
  })
  after(async () => {
    await nowhere.close()
    await database.drop()
  })

  /** A tenant, and keys whose statements are counted and whose database can be taken away. */
  async function given(fields: { maxRequestsPerMinute?: number; allowedModels?: string[] } = {}) {
    const clock = { now: Date.UTC(2026, 10, 20, 12, 0, 30) }
    const state = { away: false, statements: 0 }
    const db = new Proxy(database.db, {
      get(target, name, receiver) {
        if (name === 'select' || name === 'execute') state.statements++
        return Reflect.get(state.away ? nowhere.db : target, name, receiver)
      },
    }) as Db
    const keyring = createKeyring(database.db, [randomBytes(32)])
    await database.sql`truncate data_keys`
    const keys = createKeys({ db, keyring, now: () => clock.now, defaultRequestsPerMinute: DEFAULT_RPM, kind: 'live' })
    const { maxRequestsPerMinute = null, allowedModels = null } = fields
    const tenant = await database.db.transaction((tx) =>
      insertTenant(tx, { name: 'Acme', rulesPreset: null, maxRequestsPerMinute, allowedModels, contactEmail: null }),
    )
    const issue = async (fresh: Partial<NewKey> = {}): Promise<string> => {
      const minted = await keys.mint()
      await database.db.transaction((tx) => issueKey(tx, tenant.id, minted, { ...newKey, ...fresh }))
      return minted.key
    }
    return { keys, tenant, issue, clock, state }
  }

  const isUnavailable = (error: unknown): boolean => error instanceof Failure && error.reason === 'unavailable'
  const ask = async (keys: Keys, key: string) => keys.find(key)

  test('a key finds its tenant, limits and scopes, and is found again without waiting', async () => {
    const { keys, tenant, issue, state } = await given({ maxRequestsPerMinute: 7, allowedModels: ['gpt-*'] })
    const key = await issue({ scopes: ['proxy:write', 'audit:read'] })
    const caller = await keys.find(key)
    assert.deepEqual(caller, {
      tenant: tenantLimitedTo(7, tenant.id, { allowedModels: ['gpt-*'] }),
      keyPrefix: prefixOf(key),
      keyLimits: null,
      allowedModels: null,
      allowedAddresses: null,
      clientCertificate: null,
      session: null,
      agent: null,
      scopes: new Set(['proxy:write', 'audit:read']),
    })
    const asked = state.statements
    assert.equal(keys.find(key), caller, 'at once, not a promise')
    assert.equal(state.statements, asked)
  })

  test('a tenant without a limit of its own gets the default', async () => {
    const { keys, issue } = await given()
    assert.equal((await ask(keys, await issue()))?.tenant.limits.requestsPerMinute, DEFAULT_RPM)
  })

  test("a key brings its own limits, and of its agent's what calls need, in one statement", async () => {
    const { keys, tenant, issue, state } = await given()
    const quarantine = { blocks: 5, errors: null, repeats: null, spend_factor: 2.5, window_seconds: 600 }
    const agent = await database.db.transaction((tx) =>
      insertAgent(tx, tenant.id, { name: 'crawler', limits: { max_requests_per_day: 9 }, allowedModels: ['gpt-*'], quarantine }),
    )
    const key = await issue({ agentId: agent.id, limits: { max_concurrency: 2, max_tokens_per_day: null } })
    await ask(keys, mintKey('live')) // reads the pepper
    state.statements = 0
    const none = { requestsPerMinute: null, requestsPerDay: null, tokensPerMinute: null, tokensPerDay: null, concurrency: null }
    const caller = await ask(keys, key)
    assert.deepEqual(caller?.keyLimits, { ...none, concurrency: 2 })
    assert.deepEqual(caller?.agent, {
      id: agent.id,
      name: 'crawler',
      limits: { ...none, requestsPerDay: 9 },
      allowedModels: ['gpt-*'],
      quarantined: false,
      quarantine: { blocks: 5, errors: null, repeats: null, spendFactor: 2.5, windowSeconds: 600 },
    })
    assert.equal(state.statements, 1)
    assert.deepEqual([(await ask(keys, await issue()))?.agent, (await ask(keys, await issue()))?.keyLimits], [null, null])
  })

  test('an agent is quarantined from its quarantine to its release, and its key opens nothing once it is inactive', async () => {
    const { keys, tenant, issue, clock } = await given()
    const agent = await database.db.transaction((tx) => insertAgent(tx, tenant.id, { name: 'crawler' }))
    const key = await issue({ agentId: agent.id })
    const now = async () => {
      keys.forget(tenant.id)
      return (await ask(keys, key))?.agent?.quarantined
    }
    const at = new Date(clock.now)
    assert.equal(await now(), false)
    await database.db.transaction((tx) => openQuarantine(tx, { tenantId: tenant.id, agentId: agent.id, reason: 'r', createdBy: 'admin', createdAt: at }))
    assert.equal(await now(), true)
    await database.db.transaction((tx) => releaseQuarantine(tx, tenant.id, agent.id, { releasedBy: 'admin', releasedAt: at, comment: null }))
    assert.equal(await now(), false)
    await database.db.transaction((tx) => changeAgent(tx, tenant.id, agent.id, { active: false }))
    keys.forget(tenant.id)
    assert.equal(await ask(keys, key), null)
  })

  test("a key that names another tenant's agent opens nothing", async () => {
    const { keys, issue } = await given()
    const stranger = await given()
    const agent = await database.db.transaction((tx) => insertAgent(tx, stranger.tenant.id, { name: 'crawler' }))
    assert.equal(await ask(keys, await issue({ agentId: agent.id })), null)
  })

  test('text that is no key is answered at once without a statement', async () => {
    const { keys, issue, state } = await given()
    const key = await issue()
    state.statements = 0
    for (const text of [
      '',
      "' OR 1=1--",
      "x'||pg_sleep(5)--",
      'k'.repeat(16_384),
      '\0',
      '🔑',
      'ef_live_',
      `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`,
    ]) {
      assert.equal(keys.find(text), null)
    }
    assert.equal(state.statements, 0)
  })

  test('a well-formed key nobody issued costs one statement in five seconds, however often it is asked', async () => {
    const { keys, clock, state } = await given()
    const key = mintKey('live')
    await ask(keys, key) // reads the pepper
    state.statements = 0
    clock.now += 5_000
    assert.deepEqual(await Promise.all(Array.from({ length: 50 }, () => ask(keys, key))), Array(50).fill(null))
    assert.equal(keys.find(key), null)
    assert.equal(state.statements, 1)
    clock.now += 5_000
    assert.equal(await ask(keys, key), null)
    assert.equal(state.statements, 2)
  })

  test('a key with the prefix of another is nobody', async () => {
    const { keys, issue } = await given()
    const key = await issue()
    let other = mintKey('live')
    // The same prefix and another secret, with a checksum that holds.
    const { crc32 } = await import('node:zlib')
    const body = `${key.slice(0, 17)}${other.slice(17, 49)}`
    const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
    let rest = crc32(body)
    let sum = ''
    for (let i = 0; i < 6; i++, rest = Math.floor(rest / 62)) sum = digits[rest % 62] + sum
    other = body + sum
    assert.equal(prefixOf(other), prefixOf(key))
    assert.equal(await ask(keys, other), null)
    assert.notEqual(await ask(keys, key), null)
    assert.equal(await ask(keys, other), null)
  })

  test('what is stored of a key does not open anything', async () => {
    const { keys, tenant, issue } = await given()
    const key = await issue()
    const rows = await database.db.select().from(apiKeys).where(eq(apiKeys.tenantId, tenant.id))
    assert.equal(JSON.stringify(rows).includes(key.slice(17)), false)
    assert.equal(await ask(keys, rows[0].hash), null)
    const { rows: listed } = await listKeys(database.db, tenant.id, { limit: 10, offset: 0 })
    assert.equal(JSON.stringify(listed).includes(rows[0].hash), false)
  })

  test('a revoked key is refused as soon as the change is known, and a lookup that began before is not remembered', async () => {
    const { keys, tenant, issue, clock } = await given()
    const key = await issue()
    const other = await issue()
    assert.notEqual(await ask(keys, key), null)
    await database.db.transaction((tx) => revokeKey(tx, tenant.id, prefixOf(key), new Date(clock.now)))
    keys.forget(tenant.id)
    assert.equal(await ask(keys, key), null)
    assert.notEqual(await ask(keys, other), null)

    keys.forget(null)
    const early = ask(keys, other)
    keys.forget(tenant.id) // while the row is being read: what was read belongs to the time before
    assert.notEqual(await early, null)
    await database.db.transaction((tx) => revokeAllKeys(tx, tenant.id, new Date(clock.now)))
    assert.equal(await ask(keys, other), null)
  })

  test("a change of another tenant's keys forgets nothing of this one", async () => {
    const { keys, issue } = await given()
    const key = await issue()
    const caller = await ask(keys, key)
    keys.forget('t_another')
    assert.equal(keys.find(key), caller)
  })

  test('the keys of a deactivated tenant are refused', async () => {
    const { keys, tenant, issue } = await given()
    const key = await issue()
    await database.db.transaction((tx) => changeTenant(tx, tenant.id, { active: false }))
    assert.equal(await ask(keys, key), null)
  })

  test('a key is refused from the millisecond it expires, also while it is remembered', async () => {
    const { keys, issue, clock } = await given()
    const key = await issue({ expiresAt: new Date(clock.now + 1_000) })
    assert.notEqual(await ask(keys, key), null)
    clock.now += 999
    assert.notEqual(keys.find(key), null)
    clock.now += 1
    assert.equal(keys.find(key), null)
  })

  test('with the database away a remembered key goes on, and an unknown one is "unavailable", never "wrong"', async () => {
    const { keys, issue, state } = await given()
    const known = await issue()
    const unknown = await issue()
    await ask(keys, known)
    state.away = true
    assert.notEqual(keys.find(known), null)
    await assert.rejects(ask(keys, unknown), isUnavailable)
    await assert.rejects(ask(keys, mintKey('live')), isUnavailable)
    state.away = false
    assert.notEqual(await ask(keys, unknown), null)
  })

  test('the last use is written by the minute, in one statement, and kept while it cannot be written', async () => {
    const { keys, tenant, issue, clock, state } = await given()
    const [one, two] = [await issue(), await issue()]
    const lastUses = async () =>
      (await listKeys(database.db, tenant.id, { limit: 10, offset: 0 })).rows.map(({ lastUsedAt }) => lastUsedAt?.toISOString()).reverse()
    await ask(keys, one)
    await ask(keys, two)
    state.away = true
    await assert.rejects(keys.flushUse())
    state.away = false
    state.statements = 0
    await keys.flushUse()
    await keys.flushUse()
    assert.equal(state.statements, 1)
    assert.deepEqual(await lastUses(), ['2026-11-20T12:00:00.000Z', '2026-11-20T12:00:00.000Z'])
    clock.now += 60_000
    keys.find(two)
    await keys.flushUse()
    assert.deepEqual(await lastUses(), ['2026-11-20T12:00:00.000Z', '2026-11-20T12:01:00.000Z'])
  })
})
