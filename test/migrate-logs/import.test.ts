import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { createHashOf } from '../../src/audit/prompt-hash.ts'
import type { StoreConfig } from '../../src/config.ts'
import { lockDirectory } from '../../src/db/lock.ts'
import { exits } from '../../src/migrate-logs/migrate-logs.ts'
import { openStore } from '../../src/migrate-logs/open-store.ts'
import { type Management, manage } from '../admin/management.ts'
import { seal } from '../audit/entries.ts'
import { createBareServerDatabase, forEachEngine, openTestDatabase, type TestDatabase, withoutServer } from '../db/engines.ts'
import { createFolder, NOW } from './running.ts'

const HOUR_MS = 3_600_000

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  let at: ReturnType<typeof createFolder>
  let acme: { id: string; key: string }
  let name: string
  let tenants = 0
  before(async () => {
    database = await open()
    api = manage(database)
  })
  beforeEach(async () => {
    at = createFolder()
    name = `ACME ${++tenants}`
    acme = await api.createTenant({ name })
  })
  after(async () => {
    at.remove()
    await database.drop()
  })

  const keyOf = async (tenantId: string): Promise<Buffer> => Buffer.from(tenantId.padEnd(32, '.'))
  const run = (args: readonly string[] = [], hashMode: 'sha256' | 'hmac-sha256' = 'sha256') =>
    at.run(['--input', at.path('v1.jsonl'), '--import', ...args], {
      settings: { hashMode },
      openStore: async () => ({ database: { ...database, close: async () => {} }, hashOf: createHashOf({ mode: hashMode, keyOf }), seal }),
    })
  const linesOf = (count: number, tenant: unknown = name): string =>
    Array.from({ length: count }, (_, i) => {
      const action = i % 3 === 0 ? 'block' : 'allow'
      const more = { model: 'gpt-4', rule: 'r', user_id: `u${i % 5}`, latency: i, region: 'eu\0' }
      return `${JSON.stringify({ ts: NOW - HOUR_MS - i, action, prompt: 'MARKED text', tenant, ...more })}\n`
    }).join('')
  const countOf = async (table: string): Promise<number> =>
    Number((await database.sql.unsafe(`select count(*) from ${table} where tenant_id = '${acme.id}'`))[0]?.count)

  test('every route that reads the log shows the rows, which charge nothing, and the tenant learns of them', async () => {
    at.write('v1.jsonl', `${linesOf(600)}${linesOf(1)}`)
    const { code, out, error } = await run(['--output', at.path('v2.jsonl')])
    assert.deepEqual([code, error], [exits.done.code, ''])
    assert.match(out, /^601 lines: 601 rows, 0 rejected, 0 blank\n.*\n601 rows imported, 0 were there already\n$/)

    const { key } = acme
    const hash = (await api.ask('POST', '/v1/audit/hash', { key, body: { text: 'MARKED text' } })).json.prompt_hash
    const { json } = await api.ask('GET', `/v1/audit?limit=1&prompt_hash=${hash}&user_id=u0&status=BLOCK&model=gpt-4&rule_id=r`, { key })
    assert.equal(json.total, 41)
    const [entry] = json.entries
    assert.deepEqual((await api.ask('GET', `/v1/audit/${entry.audit_id}`, { key })).json, entry)
    const stats = (await api.ask('GET', '/v1/audit/stats', { key })).json
    assert.deepEqual([stats.totals.requests, stats.totals.blocked, stats.top_triggered_rules], [601, 201, [{ rule_id: 'r', count: 601 }]])

    const exported = ((await api.ask('GET', '/v1/audit/export?proofs=false', { key })).json as string).trimEnd().split('\n')
    const written = at.read('v2.jsonl').trimEnd().split('\n')
    const byId = (lines: string[]): unknown[] =>
      lines.map((line) => JSON.parse(line) as { audit_id: string }).sort((a, b) => (a.audit_id < b.audit_id ? -1 : 1))
    assert.deepEqual(byId(exported), byId(written), 'the file holds what the database has')
    assert.doesNotMatch(exported.join('\n'), /MARKED/)

    for (const table of ['cost_ledger', 'audit_open']) assert.equal(await countOf(table), 0)
    const changes = (await api.ask('GET', '/v1/audit?kind=change', { key })).json.entries
    const imports = changes.filter(({ reason }: { reason: string }) => reason === 'audit.import')
    assert.deepEqual(
      imports.map(({ metadata }: { metadata: unknown }) => metadata),
      [{ actor: 'admin', subject: 'v1.jsonl' }],
    )
  })

  test('a log that is imported again adds nothing, and one that grew adds what is new', async () => {
    at.write('v1.jsonl', linesOf(300).repeat(2))
    assert.match((await run()).out, /600 rows imported, 0 were there already/)
    const before = await countOf('audit_entries')
    assert.match((await run()).out, /\n0 rows imported, 600 were there already/)
    assert.equal(await countOf('audit_entries'), before)
    at.write('v1.jsonl', `${linesOf(300).repeat(2)}${linesOf(301).slice(linesOf(300).length)}`)
    assert.match((await run()).out, /\n1 rows imported, 600 were there already/)
  })

  test('tenants are found by id, by name where it is one tenant’s, and by --tenant-map; lines of others are rejected', async () => {
    const twins = [await api.createTenant({ name: 'Twin' }), await api.createTenant({ name: 'Twin' })]
    at.write('v1.jsonl', [acme.id, name, 'Twin', 'Nobody', null, 'Old'].map((tenant) => linesOf(1, tenant)).join(''))
    const { code, error } = await run(['--tenant-map', `Old=${twins[0]?.id}`])
    assert.equal(code, exits.rejected.code)
    assert.deepEqual(error.trimEnd().split('\n'), [
      'line 3: several tenants of this installation have the name of its tenant',
      'line 4: its tenant is none of this installation',
      'line 5: it names no tenant; --tenant-map =ID says whose it is',
    ])
    assert.equal(at.read('v1.jsonl.rejected'), ['Twin', 'Nobody', null].map((tenant) => linesOf(1, tenant)).join(''))
    const ids = [acme.id, ...twins.map(({ id }) => id)]
    const owners =
      await database.sql`select tenant_id, count(*)::int as total from audit_entries where kind = 'exchange' and tenant_id = any(${ids}) group by 1`
    assert.deepEqual(new Map(owners.map(({ tenant_id, total }) => [tenant_id, total])), new Map([[acme.id, 2], [twins[0]?.id, 1]])) // biome-ignore format: a table

    const wrong = await run(['--backup', '--tenant-map', '=t_none'])
    assert.deepEqual([wrong.code, wrong.error], [1, '--tenant-map names t_none, and no one tenant of this installation has this id or name.\n'])
  })

  test('a dry run leaves the database as it is', async () => {
    at.write('v1.jsonl', linesOf(3) + linesOf(1, 'Nobody'))
    const before = await countOf('audit_entries')
    const { code, out } = await run(['--dry-run'], 'hmac-sha256')
    assert.equal(code, exits.rejected.code)
    assert.match(out, /\n3 rows would be imported, as far as they are not there yet\nnothing was written/)
    assert.equal(await countOf('audit_entries'), before)
  })

  test('prompts are hashed under the key of their tenant where the installation does so', async () => {
    at.write('v1.jsonl', linesOf(1))
    await run([], 'hmac-sha256')
    const [row] = await database.sql`select prompt_hash from audit_entries where kind = 'exchange' and tenant_id = ${acme.id}`
    assert.equal(
      row?.prompt_hash,
      `hmac-sha256:${createHmac('sha256', await keyOf(acme.id))
        .update('MARKED text')
        .digest('hex')}`,
    )
  })
})

test('the embedded database is opened where nothing else uses it, and not made', async () => {
  const embedded = await openTestDatabase('pglite')
  const dataDir = dirname(embedded.dir ?? '')
  const settings = { dataDir, masterKeys: [Buffer.alloc(32, 7)], database: { kind: 'embedded' }, hashPrompts: true, hashMode: 'sha256' } satisfies StoreConfig
  await embedded.close()
  await assert.rejects(openStore(settings), /There is no database in .*; set DATABASE_URL, or EARTHFLOW_DATA_DIR/)
  renameSync(embedded.dir ?? '', join(dataDir, 'database'))
  const lock = lockDirectory(join(dataDir, 'database'))
  await assert.rejects(openStore(settings), /is in use by process \d+.* stop Earthflow first/)
  lock.release()
  const { database, hashOf } = await openStore(settings)
  assert.equal(await hashOf('t_1', Buffer.from('Hello')), 'sha256:185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969')
  await database.close()
  rmSync(dataDir, { recursive: true })
})

test('a server’s database is opened, and refused without the keys that its rows are sealed and hashed with', { skip: withoutServer }, async () => {
  const server = await openTestDatabase('postgres')
  const bare = await createBareServerDatabase()
  const settings = { dataDir: '', masterKeys: [], database: { kind: 'postgres', url: server.url ?? '', tls: false, poolMax: 1 }, hashPrompts: true } as const
  try {
    const old = { ...settings.database, url: bare.url }
    await assert.rejects(openStore({ ...settings, masterKeys: [], database: old, hashMode: 'sha256' }), /is not of this version; start Earthflow on it once/)
    for (const hashMode of ['sha256', 'hmac-sha256'] as const)
      await assert.rejects(openStore({ ...settings, masterKeys: [], hashMode }), /EARTHFLOW_MASTER_KEY is missing/)
    await manage(server).createTenant()
    await assert.rejects(
      openStore({ ...settings, masterKeys: [Buffer.alloc(32, 1)], hashMode: 'hmac-sha256' }),
      /EARTHFLOW_MASTER_KEY does not open this database/,
    )
    const keyed = await openStore({ ...settings, masterKeys: [Buffer.alloc(32, 7)], hashMode: 'hmac-sha256' })
    assert.match(await keyed.hashOf('t_1', Buffer.from('a')), /^hmac-sha256:/)
    await keyed.database.close()
  } finally {
    await server.drop()
    await bare.drop()
  }
})
