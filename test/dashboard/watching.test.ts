import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOW } from '../admin/management.ts'
import { insertEntries } from '../audit/entries.ts'
import { useDashboard } from './dashboard-people.ts'

const dashboard = useDashboard()

const ago = (minutes: number): Date => new Date(NOW - minutes * 60_000)
const HOSTILE = '<img src=x onerror=alert(1)>'

test('the first page tells what happens, and its parts by themselves for who watches it', async () => {
  const { id } = await dashboard.api.createTenant()
  const { get } = await dashboard.signedIn('auditor', id)
  const quiet = await get('/')
  assert.match(quiet.text, /No calls in the last hour/)
  assert.match(quiet.text, /https:\/\/proxy\.example\.com\/v1/)
  await insertEntries(dashboard.api.db, [
    { tenantId: id, timestamp: ago(1), status: 'BLOCK', outcome: 'refused', model: 'gpt-marked', latencyMs: 7 },
    { tenantId: id, timestamp: ago(2), model: 'gpt-other', latencyMs: 840 },
  ])
  dashboard.api.clock.now += 1_000
  const part = await get('/?part=calls', { 'hx-request': 'true' })
  assert.equal(part.status, 200)
  assert.doesNotMatch(part.text, /<html/)
  assert.match(part.text, /gpt-marked/)
  assert.match((await get('/?part=figures', { 'hx-request': 'true' })).text, /50\.0 %/)
  const chart = await get('/?part=chart&span=month', { 'hx-request': 'true' })
  assert.match(chart.text, /data-chart="\{/)
})

test('who may see totals alone sees no call', async () => {
  const { id } = await dashboard.api.createTenant()
  await insertEntries(dashboard.api.db, [{ tenantId: id, timestamp: ago(1), model: 'gpt-marked' }])
  const { text, status } = await (await dashboard.signedIn('viewer', id)).get('/')
  assert.equal(status, 200)
  assert.doesNotMatch(text, /gpt-marked|Newest calls/)
})

test('calls are filtered by every filter there is, fifty at a time, and led on by a cursor', async () => {
  const { id } = await dashboard.api.createTenant()
  const marked = { status: 'WARN', model: 'gpt-marked', agentId: 'agent_marked', userId: 'marked', requestId: 'req_marked', rulesTriggered: ['rule_marked'] }
  await insertEntries(dashboard.api.db, [
    ...Array.from({ length: 60 }, (_, i) => ({ tenantId: id, timestamp: ago(i + 10), model: 'gpt-plain' })),
    { tenantId: id, timestamp: ago(5), ...marked },
    { tenantId: id, timestamp: ago(3_000), model: 'gpt-older' },
  ])
  const { get } = await dashboard.signedIn('auditor', id)
  const shown = (text: string): number => text.match(/href="\/exchanges\/aud_/g)?.length ?? 0
  const first = await get('/exchanges')
  assert.equal(shown(first.text), 50)
  assert.match(first.text, /61 calls/)
  const [, older] = /rel="next" href="([^"]+)"/.exec(first.text) ?? assert.fail(first.text)
  assert.equal(shown((await get(older!.replaceAll('&amp;', '&'))).text), 11)
  for (const filter of ['status=WARN', 'model=gpt-marked', 'agent=agent_marked', 'user_id=marked', 'request_id=req_marked', 'rule_id=rule_marked'])
    assert.equal(shown((await get(`/exchanges?${filter}`)).text), 1, filter)
  assert.match((await get('/exchanges?period=week&model=gpt-older')).text, /1 call</)
  assert.match((await get('/exchanges?model=nothing')).text, /No calls match/)
  const wrong = await get('/exchanges?status=MAYBE')
  assert.equal(wrong.status, 400)
})

test('one call tells its verdict, findings with places and counts, times, attempts, hashes and standing, and nothing that was said', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  const { json: rule } = await dashboard.api.ask('POST', '/v1/rules', {
    tenant: id,
    body: { name: 'No falcons', action: 'REDACT', condition: { operator: 'contains', value: 'falcon' } },
  })
  const [auditId] = await insertEntries(dashboard.api.db, [
    {
      tenantId: id,
      timestamp: ago(1),
      status: 'REDACT',
      model: HOSTILE,
      metadata: { team: HOSTILE },
      findings: [{ rule_id: rule.id, action: 'REDACT', mode: 'enforce', on: 'call', count: 3, where: ['messages[1].content'] }],
      attempts: [
        { upstream: 'first', status: null, error: 'ECONNREFUSED', ms: 4 },
        { upstream: 'second', status: 200, error: null, ms: 700 },
      ],
      latencyMs: 800,
      overheadMs: 6,
      upstreamMs: 704,
      firstByteMs: 120,
      promptHash: 'sha256:abcd',
      usage: { input_tokens: 11, output_tokens: 22 },
      costUsd: '0.001500000',
    },
  ])
  const { get } = await dashboard.signedIn('auditor', id)
  const { status, text } = await get(`/exchanges/${auditId}`)
  assert.equal(status, 200)
  for (const expected of [
    /Redacted/,
    /No falcons/,
    /messages\[1\]\.content/,
    /ECONNREFUSED/,
    /704 ms/,
    /sha256:abcd/,
    /\$0\.0015/,
    /not chained yet/,
    /<rect class="accent" x="0\.0" y="0" width="7\.5"/,
  ])
    assert.match(text, expected)
  assert.ok(text.includes('&lt;img src=x onerror=alert(1)&gt;'))
  assert.ok(!text.includes(HOSTILE))
  const stranger = await dashboard.signedIn('auditor', (await dashboard.api.createTenant()).id)
  assert.equal((await stranger.get(`/exchanges/${auditId}`)).status, 404)
})

test('of a shadow rule it is told in how many calls it would have acted', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  const { json: rule } = await dashboard.api.ask('POST', '/v1/rules', {
    tenant: id,
    body: { name: 'Maybe', action: 'BLOCK', mode: 'shadow', condition: { operator: 'contains', value: 'falcon' } },
  })
  const finding = { rule_id: rule.id, action: 'BLOCK', mode: 'shadow', on: 'call', count: 1, where: [] }
  await insertEntries(dashboard.api.db, [
    { tenantId: id, timestamp: ago(1), findings: [finding] },
    { tenantId: id, timestamp: ago(2), findings: [finding] },
    { tenantId: id, timestamp: ago(3) },
  ])
  const { text } = await (await dashboard.signedIn('rule_author', id)).get(`/rules/${rule.id}`)
  assert.match(text, /Calls it would have acted on<\/dt><dd>2/)
  assert.match(text, /of the newest 3 calls/)
})

test('a watched part whose login has ended leads to signing in, and is not put into the page', async () => {
  const { get } = dashboard.visitor()
  const { status, headers, text } = await get('/?part=calls', { 'hx-request': 'true' })
  assert.deepEqual([status, headers.get('hx-redirect'), text], [401, '/sign-in', ''])
})

test('who watches all tenants sees their names, in what is asked for anew too', async () => {
  const { id } = await dashboard.api.createTenant({ name: 'Marked Tenant' })
  await insertEntries(dashboard.api.db, [{ tenantId: id, timestamp: ago(1), model: 'gpt-of-marked' }])
  dashboard.api.clock.now += 1_000
  const { get } = await dashboard.signedIn('auditor')
  for (const path of ['/', '/?part=calls', '/exchanges']) {
    const { text } = await get(path, { 'hx-request': String(path.includes('part')) })
    assert.match(text, /<td>Marked Tenant<\/td><td><code>gpt-of-marked/, path)
  }
})

test('a surprise is told in a sentence without details, as a page or in the part that was asked for, and reported', async () => {
  const { get } = await dashboard.signedIn('owner')
  const broken = dashboard.api.admin.fetch
  dashboard.api.admin.fetch = () => Promise.reject(new Error('marked secret of the inside'))
  try {
    for (const headers of [{}, { 'hx-request': 'true' }]) {
      const { status, text } = await get('/', headers)
      assert.equal(status, 500)
      assert.match(text, /Earthflow could not show this page/)
      assert.doesNotMatch(text, /marked secret/)
      assert.equal(text.includes('<html'), !('hx-request' in headers))
    }
  } finally {
    dashboard.api.admin.fetch = broken
  }
  assert.equal(dashboard.api.reported.splice(0).length, 2)
})
