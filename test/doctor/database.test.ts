import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { generateMasterKey, masterKeyId, parseMasterKeys } from '../../src/crypto/master-key.ts'
import type { Context } from '../../src/doctor/check.ts'
import { checks } from '../../src/doctor/checks.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { createInstallation, type Installation, machine, strong } from './installation.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  let installation: Installation
  before(async () => {
    database = await open()
    installation = await createInstallation(`postgres://earthflow:${strong()}@127.0.0.1:5432/earthflow`)
  })
  after(async () => {
    installation.remove()
    await database.drop()
  })
  afterEach(() => database.sql`truncate tenants, api_keys, rules, budgets, users, upstreams, webhooks, data_keys, processes cascade`)

  /** What a check finds, with these settings beside those of a good installation. */
  async function ask(name: string, settings: Record<string, string> = {}, more: Partial<Context> = {}): Promise<string[]> {
    const environment = { ...installation.environment, ...settings }
    const config = readConfig(environment, { dotenv: null, provide: () => assert.fail() })
    const check = checks.find((one) => one.name === name)
    assert.ok(check && 'ask' in check)
    const lookup = async (host: string): Promise<string[]> => (host.endsWith('.internal') ? ['10.0.0.7'] : ['104.18.7.192'])
    const found = await check.ask(database, { config, given: environment, dotenv: null, lookup, ...machine, now: Date.now, ...more })
    return found.map(({ level, sentence }) => `${level}: ${sentence}`)
  }
  const tenant = (id: string, active = true) => database.sql`insert into tenants (id, name, active) values (${id}, ${id}, ${active})`
  const rule = (tenantId: string, fields: { mode?: string; active?: boolean; action?: string } = {}) => {
    const { mode = 'enforce', active = true, action = 'BLOCK' } = fields
    return database.sql`insert into rules (id, tenant_id, name, condition, action, mode, active)
      values (${`rule_${tenantId}_${mode}_${active}_${action}`}, ${tenantId}, 'r', '{}', ${action}, ${mode}, ${active})`
  }
  const user = (id: string, fields: { role?: string; tenantId?: string | null; password?: string | null; active?: boolean } = {}) => {
    const { role = 'owner', tenantId = null, password = 'scrypt', active = true } = fields
    return database.sql`insert into users (id, tenant_id, email, name, role, password_hash, active) values (${id}, ${tenantId}, ${id}, ${id}, ${role}, ${password}, ${active})`
  }

  test('limits: active tenants without a limit of their own are named, a few of many', async () => {
    assert.deepEqual(await ask('limits'), [])
    for (const id of ['t_1', 't_2', 't_3', 't_4', 't_5', 't_6']) await tenant(id)
    await tenant('t_closed', false)
    assert.match((await ask('limits')).join(), /^warn: 6 tenants without a limit of their own \(t_1, t_2, t_3, t_4, t_5 and 1 more\)/)
    await database.sql`update tenants set max_tokens_per_day = 1 where id <> 't_2'`
    await database.sql`update tenants set limits = '{"key":{"max_concurrency":1}}' where id = 't_3'`
    assert.match((await ask('limits')).join(), /^warn: 1 tenant without a limit of their own \(t_2\)/)
  })

  test('budgets: where nothing hard is there, and somebody could spend', async () => {
    assert.deepEqual(await ask('budgets'), [])
    await tenant('t_1')
    const budget = (id: string, mode: string) =>
      database.sql`insert into budgets (id, tenant_id, scope, scope_id, amount, unit, "window", mode) values (${id}, 't_1', 'tenant', 't_1', 1, 'usd', 'day', ${mode})`
    await budget('b_1', 'soft')
    assert.match((await ask('budgets')).join(), /^warn: There is no hard budget/)
    await budget('b_2', 'hard')
    assert.deepEqual(await ask('budgets'), [])
  })

  test('rules: a tenant whose rules only watch, sleep or allow has none in force', async () => {
    for (const id of ['t_1', 't_2']) await tenant(id)
    await rule('t_1')
    await rule('t_2', { mode: 'shadow' })
    await rule('t_2', { active: false })
    await rule('t_2', { action: 'ALLOW' })
    assert.match((await ask('rules')).join(), /^warn: 1 tenant without a rule in force \(t_2\)/)
    await rule('t_2', { action: 'WARN' })
    assert.deepEqual(await ask('rules'), [])
  })

  test('api-keys: those that are old and have no end', async () => {
    await tenant('t_1')
    const key = (id: string, days: number, more: { expires?: string; revoked?: string } = {}) =>
      database.sql`insert into api_keys (id, tenant_id, prefix, hash, pepper_id, name, scopes, created_at, expires_at, revoked_at)
        values (${id}, 't_1', ${id}, ${id}, 'p', 'k', '[]', now() - make_interval(days => ${days}), ${more.expires ?? null}, ${more.revoked ?? null})`
    await key('k_young', 300)
    await key('k_ends', 400, { expires: '2099-01-01' })
    await key('k_gone', 400, { revoked: '2026-01-01' })
    assert.deepEqual(await ask('api-keys'), [])
    await key('k_old', 400)
    assert.match((await ask('api-keys')).join(), /^warn: 1 API key older than a year without an end/)
  })

  test('owners: one of the whole installation, who can log in', async () => {
    const idp = (role: string) => ({ OIDC_ISSUERS: JSON.stringify([{ issuer: 'https://idp.example', audience: 'a', roles: { boss: role }, tenant: '*' }]) })
    await tenant('t_1')
    await user('u_tenant', { tenantId: 't_1' })
    await user('u_operator', { role: 'operator' })
    await user('u_gone', { active: false })
    assert.match((await ask('owners')).join(), /^warn: Nobody is owner/)
    assert.deepEqual(await ask('owners', idp('owner')), [])
    await user('u_owner', { password: null })
    assert.match((await ask('owners')).join(), /^warn: 1 owner without a password \(u_owner\)/)
    assert.deepEqual(await ask('owners', idp('viewer')), [])
    await database.sql`update users set password_hash = 'scrypt'`
    assert.deepEqual(await ask('owners'), [])
  })

  test('locality: active upstreams that it refuses, by region or by address', async () => {
    const upstream = (name: string, url: string, region: string | null, active = true) =>
      database.sql`insert into upstreams (id, name, dialects, base_url, credential_mode, models, timeouts, region, active)
        values (${name}, ${name}, '[]', ${url}, 'stored', '[]', '{}', ${region}, ${active})`
    await upstream('eu', 'https://api.example/v1', 'eu')
    await upstream('inside', 'https://models.internal/v1', null)
    await upstream('asleep', 'https://api.example/v1', null, false)
    await upstream('sandbox', 'sandbox:', null)
    assert.deepEqual(await ask('locality'), [])
    assert.match((await ask('locality', { EARTHFLOW_LOCALITY: 'eu,ch' })).join(), /^fail: 1 upstream that EARTHFLOW_LOCALITY refuses \(inside\)/)
    assert.match((await ask('locality', { EARTHFLOW_LOCALITY: 'local-only' })).join(), /^fail: 1 upstream that EARTHFLOW_LOCALITY refuses \(eu\)/)
  })

  test('data-keys: those that the current master key does not open, that an older one still opens, or that none opens', async () => {
    const [now, old, lost] = [generateMasterKey(), generateMasterKey(), generateMasterKey()]
    const idOf = (key: string) => masterKeyId(parseMasterKeys(key)[0] ?? assert.fail())
    const row = (id: string, ...keys: string[]) =>
      database.sql`insert into data_keys (id, purpose, wrappings) values (${id}, ${id}, ${JSON.stringify(Object.fromEntries(keys.map((key) => [idOf(key), 'x'])))}::text::jsonb)`
    const found = (keys: string) => ask('data-keys', { EARTHFLOW_MASTER_KEY: keys })
    await row('dk_1', now)
    assert.deepEqual(await found(now), [])
    assert.match((await found(`${now},${old}`)).join(), /^warn: EARTHFLOW_MASTER_KEY lists older keys that open nothing/)
    await row('dk_2', old)
    assert.match((await found(`${now},${old}`)).join(), /^warn: The current master key does not open 1 data key: finish/)
    await row('dk_3', now, old)
    await row('dk_4', lost)
    const three = await found(`${now},${old}`)
    assert.deepEqual(
      three.map((sentence) => sentence.slice(0, 50)),
      [
        'fail: No key in EARTHFLOW_MASTER_KEY opens 1 data ',
        'warn: The current master key does not open 1 data ',
        'warn: An older master key still opens 1 data key: ',
      ],
    )
    for (const key of [now, old, lost]) assert.ok(!three.join().includes(key.slice(0, 20)))
  })

  test('clock: one that is more than two seconds from the database’s', async () => {
    assert.deepEqual(await ask('clock'), [])
    for (const off of [-60_000, 60_000])
      assert.match(
        (await ask('clock', {}, { now: () => Date.now() + off })).join(),
        /^fail: The clocks of this machine and of the database are (?:59|60) seconds apart/,
      )
  })

  test('pool: the connections of all processes that are alive must find room', async () => {
    const alive = (id: string, ago: number) =>
      database.sql`insert into processes (id, host, pid, version, heartbeat_at) values (${id}, 'h', 1, '1', now() - make_interval(secs => ${ago}))`
    assert.deepEqual(await ask('pool'), [])
    for (let i = 0; i < 3; i++) await alive(`proc_${i}`, 5)
    await alive('proc_dead', 600)
    const found = (await ask('pool', { POSTGRES_POOL_MAX: '150' })).join()
    if (engine === 'pglite') assert.equal(found, '')
    else assert.match(found, /^fail: 3 processes with POSTGRES_POOL_MAX=150 may open 465 connections, and PostgreSQL takes \d+: /)
  })

  test('backups: a database that nobody copies, as far as can be seen', async () => {
    const expected = engine === 'pglite' ? /^warn: The embedded database is copied nowhere/ : /^warn: PostgreSQL archives nothing and nobody replicates it/
    assert.match((await ask('backups')).join(), expected)
  })

  const webhook = (
    id: string,
    fields: { events?: string; active?: boolean; reason?: string | null; failing?: number | null; tenantId?: string | null } = {},
  ) => {
    const { events = '["*"]', active = true, reason = null, failing = null, tenantId = null } = fields
    const since = failing === null ? null : new Date(Date.now() - failing * 3_600_000).toISOString()
    return database.sql`insert into webhooks (id, tenant_id, url, events, active, secret, disabled_reason, failing_since, created_by)
      values (${id}, ${tenantId}, 'https://siem.example.com', ${events}::text::jsonb, ${active}, 's', ${reason}, ${since}, 'admin')`
  }

  test('webhooks: those that nothing reaches for an hour, and those that were disabled for it; not those somebody paused', async () => {
    await webhook('wh_well')
    await webhook('wh_stumbled', { failing: 0.5 })
    await webhook('wh_paused', { active: false })
    assert.deepEqual(await ask('webhooks'), [])
    await webhook('wh_failing', { failing: 2 })
    await webhook('wh_gone', { active: false, reason: 'gone' })
    const [failing, disabled] = await ask('webhooks')
    assert.match(failing!, /^warn: 1 webhook that no delivery reaches \(wh_failing\)/)
    assert.match(disabled!, /^warn: 1 webhook disabled because nothing arrived \(wh_gone\)/)
  })

  test('arbiters: where rules hold calls, somebody of the tenant or the installation may decide, and somebody is told', async () => {
    for (const id of ['t_1', 't_2']) await tenant(id)
    await rule('t_1', { action: 'ESCALATE', mode: 'shadow' })
    await rule('t_1', { action: 'BLOCK' })
    assert.deepEqual(await ask('arbiters'), [])
    await rule('t_1', { action: 'ESCALATE' })
    await webhook('wh_other', { tenantId: 't_2' })
    await webhook('wh_blocks', { tenantId: 't_1', events: '["BLOCK"]' })
    await user('u_viewer', { role: 'viewer', tenantId: 't_1' })
    await user('u_other', { role: 'arbiter', tenantId: 't_2' })
    const [undecided, untold] = await ask('arbiters')
    assert.match(undecided!, /^warn: Rules of 1 tenant hold calls \(t_1\), and nobody is there to decide/)
    assert.match(untold!, /^warn: Rules of 1 tenant hold calls \(t_1\), and nobody is told/)
    await user('u_arbiter', { role: 'arbiter', tenantId: 't_1' })
    await webhook('wh_1', { tenantId: 't_1', events: '["ESCALATE"]' })
    assert.deepEqual(await ask('arbiters'), [])
  })
})
