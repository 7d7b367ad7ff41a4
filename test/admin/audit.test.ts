import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { insertEntries } from '../audit/entries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { adminKey, type Management, manage, NOW } from './management.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  const HOUR_MS = 3_600_000

  test('a tenant pages through its own log by cursor', async () => {
    const { id, key } = await api.createTenant()
    await insertEntries(database.db, [{ tenantId: 't_other', timestamp: new Date(NOW) }])
    const rows = Array.from({ length: 7 }, (_, i) => ({ tenantId: id, timestamp: new Date(NOW - i * HOUR_MS), status: i % 2 === 0 ? 'ALLOW' : 'BLOCK' }))
    const ids = await insertEntries(database.db, rows)
    const seen: string[] = []
    let path = '/v1/audit?limit=3'
    for (let pages = 0; pages < 3; pages++) {
      const { json } = await api.ask('GET', path, { key })
      assert.deepEqual([json.total, json.limit, json.offset], [7, 3, 0])
      seen.push(...json.entries.map((entry: { audit_id: string }) => entry.audit_id))
      if (json.next_cursor === null) break
      path = `/v1/audit?limit=3&cursor=${json.next_cursor}`
    }
    assert.deepEqual(seen, ids)
    const blocked = await api.ask('GET', `/v1/audit?status=BLOCK&from=${new Date(NOW - 3 * HOUR_MS).toISOString()}&to=2026-11-21`, { key })
    assert.deepEqual(
      blocked.json.entries.map((entry: { audit_id: string }) => entry.audit_id),
      [ids[1], ids[3]],
    )
  })

  test('calls are listed unless changes, or everything, are asked for', async () => {
    const { id, key } = await api.createTenant()
    await insertEntries(database.db, [{ tenantId: id }, { tenantId: id }])
    const totalOf = async (kind: string): Promise<number> => (await api.ask('GET', `/v1/audit${kind}`, { key })).json.total
    const changes = await totalOf('?kind=change')
    assert.ok(changes > 0)
    assert.deepEqual([await totalOf(''), await totalOf('?kind=exchange'), await totalOf('?kind=chain'), await totalOf('?kind=all')], [2, 2, 0, 2 + changes])
    const exported = ((await api.ask('GET', '/v1/audit/export?kind=all', { key })).json as string).trimEnd().split('\n')
    assert.equal(exported.length, 2 + changes)
  })

  test('limit is 100 unless asked otherwise, and one entry is read by its id', async () => {
    const { id, key } = await api.createTenant()
    const [auditId] = await insertEntries(database.db, [{ tenantId: id }])
    assert.equal((await api.ask('GET', '/v1/audit', { key })).json.limit, 100)
    assert.equal((await api.ask('GET', `/v1/audit/${auditId}`, { key })).json.audit_id, auditId)
  })

  test('statistics cover the last seven days by day unless asked otherwise', async () => {
    const { id, key } = await api.createTenant()
    await insertEntries(database.db, [
      { tenantId: id, timestamp: new Date(NOW - HOUR_MS), status: 'BLOCK', rulesTriggered: ['rule_1'] },
      { tenantId: id, timestamp: new Date(NOW - 2 * HOUR_MS) },
      { tenantId: id, timestamp: new Date(NOW - 10 * 24 * HOUR_MS) },
    ])
    const { json } = await api.ask('GET', '/v1/audit/stats', { key })
    assert.deepEqual([json.totals.requests, json.totals.blocked, json.block_rate, json.series.length], [2, 1, 0.5, 8])
    assert.deepEqual(json.top_triggered_rules, [{ rule_id: 'rule_1', count: 1 }])
    assert.equal(Date.parse(json.period.to) - Date.parse(json.period.from), 7 * 24 * HOUR_MS)
    const weeks = await api.ask('GET', '/v1/audit/stats?from=2026-11-01&to=2026-11-21&group_by=week', { key })
    assert.equal(weeks.json.totals.requests, 3)
  })

  test('an export holds what the list would, with the same filters, page after page, as lines or as CSV', async () => {
    const { id, key } = await api.createTenant()
    await insertEntries(database.db, [{ tenantId: 't_other', timestamp: new Date(NOW) }])
    const rows = Array.from({ length: 1_203 }, (_, i) => ({
      tenantId: id,
      timestamp: new Date(NOW - i),
      userId: i % 2 === 0 ? '=cmd()' : 'u',
      status: i % 3 === 0 ? 'BLOCK' : 'ALLOW',
    }))
    const ids = await insertEntries(database.db, rows)
    const lines = await api.ask('GET', '/v1/audit/export', { key })
    assert.match(lines.headers.get('content-type') ?? '', /^application\/x-ndjson/)
    assert.equal(lines.headers.get('content-disposition'), 'attachment; filename="audit-2026-11-20.jsonl"')
    const read = (lines.json as string)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { audit_id: string })
    assert.deepEqual(
      read.map(({ audit_id }) => audit_id),
      ids,
    )
    const { json: listed } = await api.ask('GET', '/v1/audit?limit=1', { key })
    assert.deepEqual(read[0], { ...listed.entries[0], chain: null })
    const blocked = await api.ask('GET', '/v1/audit/export?format=csv&status=BLOCK', { key })
    const cells = (blocked.json as string).trimEnd().split('\r\n')
    assert.equal(cells.length, 1 + 401)
    assert.ok(cells[0].startsWith('audit_id,') && cells[1].startsWith(`${ids[0]},`))
    assert.doesNotMatch(blocked.json, /(?:^|[,"\n])[=]cmd/)
  })

  test('a prompt is found by its hash, given as text, as messages or as the body of any dialect', async () => {
    const { id, key } = await api.createTenant()
    const hash = async (body: unknown): Promise<string> => (await api.ask('POST', '/v1/audit/hash', { key, body })).json.prompt_hash
    const hello = await hash({ text: 'Hello' })
    assert.equal(hello, 'sha256:185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969')
    const messages = [
      { role: 'system', content: 'Be brief' },
      { role: 'user', content: 'Hello' },
    ]
    const whole = await hash({ text: 'Be brief\nHello' })
    assert.equal(await hash({ messages }), whole)
    assert.equal(await hash({ body: { model: 'gpt-5', messages, temperature: 1 } }), whole)
    assert.equal(await hash({ body: { model: 'c', max_tokens: 5, system: 'Be brief', messages: [messages[1]] }, dialect: 'anthropic-messages' }), whole)
    assert.equal(await hash({ body: { model: 'any', messages }, dialect: 'earthflow-proxy' }), whole)
    assert.equal(
      await hash({ body: { more: ['Hello'] }, dialect: 'generic-json' }),
      await hash({ text: '' }),
      'on a path no dialect describes nothing is a message',
    )
    assert.equal(await hash({ body: { messages }, dialect: 'openai-chat' }), whole, 'where the path names the model')
    const [auditId] = await insertEntries(database.db, [
      { tenantId: id, promptHash: whole },
      { tenantId: id, promptHash: hello },
    ])
    for (const asked of [whole, whole.slice('sha256:'.length)]) {
      const { json } = await api.ask('GET', `/v1/audit?prompt_hash=${asked}`, { key })
      assert.deepEqual([json.total, json.entries[0].audit_id], [1, auditId])
    }
    assert.equal((await api.ask('GET', '/v1/audit?prompt_hash=abc', { key })).status, 400)
  })

  test('hashes under a key of the tenant are of that tenant alone, found with or without their mode, beside those from before', async () => {
    const keyed = manage(database, { hashMode: 'hmac-sha256' })
    const [mine, other] = [await keyed.createTenant(), await keyed.createTenant()]
    const hash = async (key: string, query = ''): Promise<string> =>
      (await keyed.ask('POST', `/v1/audit/hash${query}`, { key, body: { text: 'Hello' } })).json.prompt_hash
    const hello = await hash(mine.key)
    assert.match(hello, /^hmac-sha256:[0-9a-f]{64}$/)
    assert.equal(await hash(mine.key), hello)
    assert.equal(await hash(adminKey, `?tenant_id=${mine.id}`), hello)
    assert.notEqual(await hash(other.key), hello)
    const [auditId] = await insertEntries(database.db, [{ tenantId: mine.id, promptHash: hello }])
    for (const asked of [hello, hello.slice('hmac-sha256:'.length)]) {
      const { json } = await keyed.ask('GET', `/v1/audit?prompt_hash=${asked}`, { key: mine.key })
      assert.deepEqual([json.total, json.entries[0].audit_id], [1, auditId])
    }
    const unnamed = await keyed.ask('POST', '/v1/audit/hash', { key: adminKey, body: { text: 'Hello' } })
    assert.deepEqual([unnamed.status, unnamed.json.error], [400, 'VALIDATION_ERROR'])
  })

  test('where no hashes are kept, none is given', async () => {
    const { status, json } = await manage(database, { hashPrompts: false }).ask('POST', '/v1/audit/hash', { body: { text: 'x' } })
    assert.deepEqual([status, json.error], [422, 'CONFIG_ERROR'])
  })

  test('filters single out the entry that has what is asked for, and hold together', async () => {
    const { id, key } = await api.createTenant()
    const fields = { rulesTriggered: ['rule_a'], userId: 'u1', model: 'gpt-5', agentId: 'agent_1', requestId: 'req_a', status: 'WARN' }
    const [wanted] = await insertEntries(database.db, [{ tenantId: id, ...fields }, { tenantId: id }])
    const asked = ['rule_id=rule_a', 'user_id=u1', 'model=gpt-5', 'agent=agent_1', 'request_id=req_a', 'status=WARN']
    for (const query of [...asked, asked.join('&')]) {
      const { json } = await api.ask('GET', `/v1/audit?${query}`, { key })
      assert.deepEqual([json.total, json.entries[0].audit_id], [1, wanted], query)
    }
    assert.equal((await api.ask('GET', `/v1/audit?${asked.join('&')}&model=other`, { key })).status, 400)
    assert.equal((await api.ask('GET', '/v1/audit?rule_id=rule_b', { key })).json.total, 0)
  })
})
