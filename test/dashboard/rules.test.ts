import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useDashboard, type Visitor } from './dashboard-people.ts'

const dashboard = useDashboard()

const HOSTILE = `<script>alert("x")</script>'&"`
const fields = {
  name: 'No falcons',
  action: 'BLOCK',
  mode: 'enforce',
  priority: '70',
  active: 'true',
  condition_by: 'rows',
  join: 'all',
  metadata: '{}',
  do: 'save',
}
const asking = { 'operator-0': 'contains', 'target-0': 'prompt', 'value-0': 'project falcon' }

async function ruleOf(tenantId: string, name = fields.name) {
  const { json } = await dashboard.api.ask('GET', '/v1/rules?limit=1000', { tenant: tenantId })
  return json.rules.find((rule: { name: string }) => rule.name === name)
}
async function authorOf(): Promise<{ tenantId: string; author: Visitor }> {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  return { tenantId: id, author: await dashboard.signedIn('rule_author', id) }
}

test('a rule is written as questions, changed as JSON, shadowed, deactivated and deleted, and each change is told once', async () => {
  const { tenantId, author } = await authorOf()
  const made = await author.done('/rules/new', { ...fields, ...asking })
  assert.equal(made.status, 200)
  assert.match(made.text, /The rule “No falcons” is in force\./)
  const { id, condition, priority } = await ruleOf(tenantId)
  assert.deepEqual([condition, priority], [{ operator: 'contains', value: 'project falcon' }, 70])

  const both = { all: [{ operator: 'detects', value: ['ssn', 'email'], target: 'user' }, { not: { operator: 'length_lt', value: 5 } }] }
  const saved = await author.done(`/rules/${id}`, { ...fields, condition_by: 'json', condition: JSON.stringify(both), priority: '10' })
  assert.match(saved.text, /a new version of the policy is in force/)
  assert.deepEqual((await ruleOf(tenantId)).condition, both)
  assert.match(saved.text, /value="json" checked/, 'rows cannot show it')

  assert.match((await author.done(`/rules/${id}`, { do: 'shadow' })).text, /“No falcons” is only recorded from now on\./)
  assert.equal((await ruleOf(tenantId)).mode, 'shadow')
  await author.done(`/rules/${id}`, { do: 'deactivate' })
  assert.equal((await ruleOf(tenantId)).active, false)
  const gone = await author.done(`/rules/${id}`, { do: 'delete' })
  assert.match(gone.text, /The rule is removed\./)
  assert.equal(await ruleOf(tenantId), undefined)
  assert.doesNotMatch((await author.get('/rules')).text, /The rule is removed\./)
})

test('several questions, lists, numbers and comparisons come out of the rows as they were typed, and go back into them', async () => {
  const { tenantId, author } = await authorOf()
  const rows = {
    join: 'any',
    'operator-0': 'in',
    'target-0': 'model',
    'value-0': 'gpt-5\r\ngpt-4o\r\n',
    'operator-2': 'threshold',
    'target-2': 'estimated_cost_usd',
    'value-2': 'gte 1.5',
    'operator-3': 'word_count_gt',
    'target-3': '',
    'value-3': '1000',
    'case-3': '',
    'operator-5': 'regex',
    'target-5': 'header.user-agent',
    'value-5': '^curl/',
    'case-5': 'true',
  }
  await author.done('/rules/new', { ...fields, ...rows })
  const { id, condition } = await ruleOf(tenantId)
  const expected = {
    any: [
      { operator: 'in', value: ['gpt-5', 'gpt-4o'], target: 'model' },
      { operator: 'threshold', value: { op: 'gte', value: 1.5 }, target: 'estimated_cost_usd' },
      { operator: 'word_count_gt', value: 1000 },
      { operator: 'regex', value: '^curl/', target: 'header.user-agent', case_sensitive: true },
    ],
  }
  const plain = (one: object) => ({ target: 'prompt', case_sensitive: false, ...one })
  assert.deepEqual(condition.any.map(plain), expected.any.map(plain))
  const { text } = await author.get(`/rules/${id}`)
  assert.match(text, /value="rows" checked/)
  assert.match(text, /gpt-5\ngpt-4o<\/textarea>/)
  assert.match(text, /gte 1\.5<\/textarea>/)
})

test('a refused rule is shown again as it was typed, with the API’s sentence and status', async () => {
  const { tenantId, author } = await authorOf()
  const refused = await author.post('/rules/new', { ...fields, 'operator-0': 'regex', 'value-0': '(a+)\\1', name: HOSTILE })
  assert.equal(refused.status, 422)
  assert.match(refused.text, /role="alert"/)
  assert.match(refused.text, /\(a\+\)\\1<\/textarea>/)
  const broken = await author.post('/rules/new', { ...fields, condition_by: 'json', condition: '{"operator": ' })
  assert.equal(broken.status, 400)
  assert.match(broken.text, /JSON/)
  assert.match(broken.text, /\{&quot;operator&quot;: <\/textarea>/)
  assert.equal(await ruleOf(tenantId), undefined)
})

test('names and patterns that look like HTML are text everywhere', async () => {
  const { tenantId, author } = await authorOf()
  await author.done('/rules/new', { ...fields, name: HOSTILE, 'operator-0': 'contains', 'value-0': HOSTILE })
  const { id } = await ruleOf(tenantId, HOSTILE)
  for (const path of ['/rules', `/rules/${id}`, '/rules/versions/2']) {
    const { status, text } = await author.get(path)
    assert.equal(status, 200)
    assert.ok(text.includes('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;'), path)
    assert.ok(!text.includes('<script>alert'), path)
  }
})

test('a draft is tried beside its form and not kept; what it finds is marked in the text, which stays text', async () => {
  const { tenantId, author } = await authorOf()
  const tried = await author.post('/rules/new', { ...fields, ...asking, do: 'try', sample: '<b>About Project Falcon</b>' })
  assert.equal(tried.status, 200)
  assert.match(tried.text, /Blocked/)
  assert.ok(tried.text.includes('&lt;b&gt;About <mark class="block">Project Falcon</mark>&lt;/b&gt;'), tried.text)
  assert.equal(await ruleOf(tenantId), undefined)
})

test('the rules in force are tried on a text and on a reply', async () => {
  const { author } = await authorOf()
  await author.done('/rules/new', { ...fields, action: 'REDACT', 'operator-0': 'detects', 'value-0': 'ssn', 'target-0': 'response' })
  const tried = await author.post('/rules/try', { sample: 'Hello', sample_response: 'It is 536-90-4399.' })
  assert.match(tried.text, /It is \[SSN\]\./)
})

test('a preset is applied, and a version brings back what was there before', async () => {
  const { tenantId, author } = await authorOf()
  await author.done('/rules/new', { ...fields, ...asking })
  const applied = await author.done('/rules/presets', { preset: 'secrets', mode: 'replace' })
  assert.match(applied.text, /Of secrets, \d+ rules were added\./)
  assert.equal(await ruleOf(tenantId), undefined)
  const versions = await author.get('/rules/versions')
  assert.match(versions.text, /in force/)
  const { json } = await dashboard.api.ask('GET', '/v1/rules/versions', { tenant: tenantId })
  const before = json.versions[1].version
  const page = await author.get(`/rules/versions/${before}`)
  assert.match(page.text, /What it changed/)
  assert.match(page.text, /What going back to it would change/)
  assert.match(page.text, /No falcons/)
  const restored = await author.done(`/rules/versions/${before}`)
  assert.match(restored.text, new RegExp(`The rules of version ${before} are in force again`))
  assert.equal((await ruleOf(tenantId)).active, true)
})

test('who may not write rules is offered no form, and a POST by hand is refused with the API’s answer', async () => {
  const { tenantId, author } = await authorOf()
  await author.done('/rules/new', { ...fields, ...asking })
  const { id } = await ruleOf(tenantId)
  const viewer = await dashboard.signedIn('viewer', tenantId)
  for (const path of ['/rules', `/rules/${id}`, '/rules/presets', '/rules/versions']) {
    const { text, status } = await viewer.get(path)
    assert.equal(status, 200)
    assert.doesNotMatch(text.replace('method="post" action="/sign-out"', ''), /method="post"/, path)
  }
  for (const [path, form] of [
    ['/rules/new', { ...fields, ...asking }],
    [`/rules/${id}`, { do: 'delete' }],
    [`/rules/${id}`, { do: 'deactivate' }],
    [`/rules/${id}`, { ...fields, ...asking, name: 'Changed' }],
    ['/rules/presets', { preset: 'secrets', mode: 'replace' }],
    ['/rules/versions/1', {}],
  ] as const) {
    const { status, text } = await viewer.post(path, form)
    assert.equal(status, 403, path)
    assert.match(text, /This needs the scope rules:write\./)
  }
  assert.equal((await ruleOf(tenantId)).active, true)
})

test('people of one tenant see and change nothing of another’s, whatever the address says', async () => {
  const { tenantId, author } = await authorOf()
  await author.done('/rules/new', { ...fields, ...asking })
  const { id } = await ruleOf(tenantId)
  const { tenantId: other, author: stranger } = await authorOf()
  for (const path of [`/rules/${id}`, `/rules/${id}?tenant_id=${tenantId}`]) {
    assert.equal((await stranger.get(path)).status, 404, path)
    assert.equal((await stranger.post(path, { do: 'delete' })).status, 404, path)
  }
  assert.doesNotMatch((await stranger.get(`/rules?tenant_id=${tenantId}`)).text, /No falcons/)
  await stranger.done(`/rules/new?tenant_id=${tenantId}`, { ...fields, ...asking, name: 'Mine' })
  assert.equal(await ruleOf(tenantId, 'Mine'), undefined)
  assert.ok(await ruleOf(other, 'Mine'))
})

test('people of the whole installation see every tenant’s rules, choose one, and change a rule as its tenant’s', async () => {
  const { tenantId, author } = await authorOf()
  await author.done('/rules/new', { ...fields, ...asking, name: 'Chosen' })
  const { id } = await ruleOf(tenantId, 'Chosen')
  const owner = await dashboard.signedIn('owner')
  assert.match((await owner.get('/rules')).text, new RegExp(`href="/rules/${id}\\?tenant_id=${tenantId}"`))
  assert.match((await owner.get('/rules/new')).text, /Choose one/)
  await owner.done(`/rules/${id}?tenant_id=${tenantId}`, { do: 'deactivate' })
  assert.equal((await ruleOf(tenantId, 'Chosen')).active, false)
  const page = await owner.get(`/rules?tenant_id=${tenantId}`)
  assert.match(page.text, new RegExp(`<option value="${tenantId}" selected>`))
  assert.match(page.text, new RegExp(`href="/exchanges\\?tenant_id=${tenantId}"`))
})
