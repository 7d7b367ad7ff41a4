import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { parseRule, RULES_PER_POLICY_MAX } from '../../src/rules/check-rule.ts'
import { presets, rulesOf } from '../../src/rules/presets.ts'
import { writeRules } from '../../src/rules/store.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

const aurora = { name: 'aurora', condition: { operator: 'contains', value: 'project aurora' }, action: 'BLOCK' }
const card = { name: 'card', condition: { operator: 'detects', value: 'credit_card' }, action: 'REDACT' }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  const given = async (preset: string | null = null) => {
    const { id, key } = await api.createTenant({ rules_preset: preset })
    const ask = (method: string, path: string, body?: unknown) => api.ask(method, path, { key, ...(body !== undefined && { body }) })
    const inForce = async () => {
      const policy = await api.policies.of(id)
      return { version: policy?.version, rules: policy?.rules.map(({ name }) => name).sort() }
    }
    return { id, key, ask, inForce }
  }

  test('a rule is created with the defaults, is in force when the answer comes, and reads back the same', async () => {
    const { ask, inForce, id } = await given()
    const { status, json } = await ask('POST', '/v1/rules', aurora)
    assert.equal(status, 201)
    assert.match(json.id, /^rule_/)
    assert.deepEqual(
      { ...json, id: 0, created_at: 0, updated_at: 0 },
      {
        ...aurora,
        id: 0,
        priority: 50,
        mode: 'enforce',
        reversible: false,
        active: true,
        preset: null,
        metadata: {},
        tenant_id: id,
        created_at: 0,
        updated_at: 0,
      },
    )
    assert.deepEqual((await ask('GET', `/v1/rules/${json.id}`)).json, json)
    assert.deepEqual(await inForce(), { version: 2, rules: ['aurora'] })
  })

  test('PATCH changes what it names; PUT sets everything else back to the defaults; each is a version', async () => {
    const { ask, inForce } = await given()
    const { json } = await ask('POST', '/v1/rules', { ...aurora, priority: 90, metadata: { owner: 'legal' } })
    const patched = await ask('PATCH', `/v1/rules/${json.id}`, { mode: 'shadow' })
    assert.deepEqual([patched.json.mode, patched.json.priority, patched.json.metadata], ['shadow', 90, { owner: 'legal' }])
    const put = await ask('PUT', `/v1/rules/${json.id}`, { ...aurora, name: 'renamed' })
    assert.deepEqual([put.json.name, put.json.mode, put.json.priority, put.json.metadata], ['renamed', 'enforce', 50, {}])
    assert.deepEqual([put.json.id, put.json.created_at], [json.id, json.created_at])
    assert.deepEqual([patched.json.diff, patched.json.policy_version], [[{ path: '/mode', from: 'enforce', to: 'shadow' }], 3])
    assert.deepEqual(
      [put.json.diff, put.json.policy_version],
      [
        [
          { path: '/name', from: 'aurora', to: 'renamed' },
          { path: '/priority', from: 90, to: 50 },
          { path: '/mode', from: 'shadow', to: 'enforce' },
          { path: '/metadata/owner', from: 'legal' },
        ],
        4,
      ],
    )
    assert.equal((await ask('PUT', `/v1/rules/${json.id}`, { name: 'x' })).status, 400)
    assert.deepEqual(await inForce(), { version: 4, rules: ['renamed'] })
  })

  test('what a GET answered can be sent back as it is, and what only answers say stays as it was', async () => {
    const { ask, id } = await given('default')
    const [rule] = (await ask('GET', '/v1/rules?limit=1')).json.rules
    assert.equal(rule.preset, 'default')
    const unchanged = (version: number) => ({ ...rule, updated_at: 0, diff: [], policy_version: version })
    for (const [i, method] of ['PUT', 'PATCH'].entries()) {
      const { status, json } = await ask(method, `/v1/rules/${rule.id}`, { ...rule, version: 3 })
      assert.deepEqual([status, { ...json, updated_at: 0 }], [200, unchanged(2 + i)], method)
      assert.equal((await ask('POST', '/v1/rules/test', { text: 'x', rule: json })).status, 200, 'as a write answers it')
    }
    const forged = { id: 'rule_forged', tenant_id: 't_other', preset: 'medical', created_at: '2000-01-01T00:00:00Z', updated_at: null }
    for (const [i, method] of ['PUT', 'PATCH'].entries()) {
      const { json } = await ask(method, `/v1/rules/${rule.id}`, { ...rule, ...forged })
      assert.deepEqual({ ...json, updated_at: 0 }, unchanged(4 + i), method)
    }
    for (const preset of [null, 'medical']) {
      const { status, json } = await ask('POST', '/v1/rules', { ...rule, ...forged, preset })
      assert.deepEqual([status, json.preset, json.tenant_id], [201, null, id])
      assert.notEqual(json.id, 'rule_forged')
    }
    assert.equal((await ask('POST', '/v1/rules/test', { text: 'x', rule })).status, 200)
    assert.equal((await ask('POST', '/v1/rules/test', { text: 'x', rule: { ...rule, nmae: 'y' } })).status, 400)
  })

  test('a write that makes the active policy too large is 422 and leaves it as it was', async () => {
    const { ask, inForce, id } = await given()
    // Of the bounds of a policy (test/rules/check-rule.test.ts) the one that is quickly reached.
    const small = (i: number) => ({ ...aurora, name: `rule ${i}` })
    const drafts = Array.from({ length: RULES_PER_POLICY_MAX }, (_, i) => parseRule(small(i)))
    await database.db.transaction((tx) => writeRules(tx, id, { createdBy: 'admin', at: new Date(0) }, (write) => write.insert(drafts)))
    const { status, json } = await ask('POST', '/v1/rules', small(RULES_PER_POLICY_MAX))
    assert.deepEqual([status, json.error], [422, 'CONFIG_ERROR'])
    assert.equal((await inForce()).rules?.length, drafts.length)
    const inactive = await ask('POST', '/v1/rules', { ...small(RULES_PER_POLICY_MAX), active: false })
    assert.equal(inactive.status, 201)
    assert.equal((await ask('PATCH', `/v1/rules/${inactive.json.id}`, { active: true })).status, 422)
    assert.equal((await inForce()).rules?.length, drafts.length)
  })

  test('a trial may hold so many patterns, of so much work, on a text of such length; beyond that it is 422 and not tried', async () => {
    const { ask } = await given()
    const draft = (value: string) => ({ name: 'x', action: 'WARN', condition: { operator: 'regex', value } })
    const words = (count: number) => Array.from({ length: count }, (_, i) => draft(`code-${i}`))
    assert.equal((await ask('POST', '/v1/rules/test', { text: 'code-7', rules: words(20) })).json.status, 'WARN')
    const two = (i: number) => ({ name: 'x', action: 'WARN', condition: { any: [draft(`a${i}`).condition, draft(`b${i}`).condition] } })
    const tooMany = await ask('POST', '/v1/rules/test', { text: 'x', rules: Array.from({ length: 51 }, (_, i) => two(i)) })
    assert.deepEqual([tooMany.status, tooMany.json.error, tooMany.json.context.field], [422, 'CONFIG_ERROR', 'rules.50.condition.any[0]'])
    const costly = Array.from({ length: 100 }, (_, i) => draft(`(?:[a-z0-9 @._-]{1,40}x){1,8}10${i}`).condition)
    assert.equal((await ask('POST', '/v1/rules/test', { text: 'x', rule: { ...draft('x'), condition: { any: costly } } })).status, 422)
    const long = { text: 'x'.repeat(900_000) }
    assert.equal((await ask('POST', '/v1/rules/test', { ...long, rules: words(20) })).status, 422)
    assert.equal((await ask('POST', '/v1/rules/test', { ...long, rule: draft('code-7') })).status, 200)
    assert.equal((await ask('POST', '/v1/rules/test', { ...long, rule: aurora })).status, 200)
  })

  test('every rule of every preset can be tried at once', async () => {
    const { ask } = await given()
    for (const { rules } of (await ask('GET', '/v1/rules/presets')).json.presets)
      assert.equal((await ask('POST', '/v1/rules/test', { text: 'x', rules })).status, 200)
  })

  test('trying the rules in force knows of a change at once, and of rules in force that make no policy', async () => {
    const { ask, id } = await given()
    const status = async () => (await ask('POST', '/v1/rules/test', { text: 'about project aurora' })).json.status
    assert.equal(await status(), 'ALLOW')
    const { json } = await ask('POST', '/v1/rules', aurora)
    assert.deepEqual([await status(), await status()], ['BLOCK', 'BLOCK'])
    await ask('DELETE', `/v1/rules/${json.id}`)
    assert.equal(await status(), 'ALLOW')
    const denied = JSON.stringify([{ ...json, action: 'DENY' }])
    await database.sql`insert into policy_versions (tenant_id, version, rules, created_by) values (${id}, 99, ${denied}::text::jsonb, 'newer')`
    assert.equal((await ask('POST', '/v1/rules/test', { text: 'x' })).status, 503)
  })

  test('an inactive rule is kept but not in force, and a deleted one is gone', async () => {
    const { ask, inForce } = await given()
    const one = (await ask('POST', '/v1/rules', aurora)).json
    const two = (await ask('POST', '/v1/rules', card)).json
    await ask('PATCH', `/v1/rules/${one.id}`, { active: false })
    assert.deepEqual(await inForce(), { version: 4, rules: ['card'] })
    const filtered = async (query: string) => (await ask('GET', `/v1/rules?${query}`)).json.rules.map((rule: { name: string }) => rule.name)
    assert.deepEqual(await filtered('active=false'), ['aurora'])
    assert.deepEqual(await filtered('action=REDACT'), ['card'])
    await ask('PATCH', `/v1/rules/${two.id}`, { mode: 'shadow' })
    assert.deepEqual([await filtered('mode=shadow'), await filtered('mode=enforce')], [['card'], ['aurora']])
    assert.equal((await ask('GET', '/v1/rules?mode=off')).status, 400)
    assert.equal((await ask('DELETE', `/v1/rules/${two.id}`)).status, 204)
    assert.equal((await ask('GET', `/v1/rules/${two.id}`)).status, 404)
    assert.equal((await ask('DELETE', `/v1/rules/${two.id}`)).status, 404)
    assert.deepEqual(await inForce(), { version: 6, rules: [] })
  })

  test('a refused change leaves rule, version and log as they were', async () => {
    const { ask, inForce, id } = await given()
    const { json } = await ask('POST', '/v1/rules', aurora)
    assert.equal((await ask('PATCH', `/v1/rules/${json.id}`, { condition: { operator: 'regex', value: 'a(?!b)' } })).status, 422)
    assert.equal((await ask('PATCH', `/v1/rules/${json.id}`, { action: 'ALLOW' })).status, 422)
    assert.deepEqual((await ask('GET', `/v1/rules/${json.id}`)).json, json)
    assert.deepEqual(await inForce(), { version: 2, rules: ['aurora'] })
    assert.equal((await api.ask('GET', `/v1/audit?kind=change&tenant_id=${id}`)).json.total, 2)
  })

  test('a change by a key names the key in version and log', async () => {
    const { ask, key, id } = await given()
    await ask('POST', '/v1/rules', aurora)
    const { json } = await ask('GET', '/v1/rules/versions')
    assert.deepEqual(
      json.versions.map(({ version, created_by }: { version: number; created_by: string }) => [version, created_by]),
      [
        [2, key.slice(0, 16)],
        [1, 'admin'],
      ],
    )
    const [entry] = (await api.ask('GET', `/v1/audit?kind=change&tenant_id=${id}`)).json.entries
    assert.deepEqual([entry.reason, entry.key_prefix, entry.metadata.actor], ['rule.create', key.slice(0, 16), key.slice(0, 16)])
  })

  test('a restored version is in force again as a new one, with the rules it had, changed or deleted since', async () => {
    const { ask, inForce } = await given()
    const one = (await ask('POST', '/v1/rules', aurora)).json
    const two = (await ask('POST', '/v1/rules', card)).json // version 3
    await ask('PATCH', `/v1/rules/${one.id}`, { name: 'changed', priority: 1 })
    await ask('DELETE', `/v1/rules/${two.id}`)
    await ask('POST', '/v1/rules', { ...aurora, name: 'newer' }) // version 6
    const { status, json } = await ask('POST', '/v1/rules/versions/3/restore', {})
    assert.deepEqual([status, json.version, json.restored], [200, 7, 3])
    assert.deepEqual(await inForce(), { version: 7, rules: ['aurora', 'card'] })
    const rules = (await ask('GET', '/v1/rules')).json.rules as { id: string; name: string; active: boolean; priority: number }[]
    assert.deepEqual(rules.map(({ name, active }) => `${name} ${active}`).sort(), ['aurora true', 'card true', 'newer false'])
    assert.equal(rules.find(({ id }) => id === two.id)?.name, 'card')
    assert.equal(rules.find(({ id }) => id === one.id)?.priority, 50)
  })

  test('the presets are listed with their rules as a tenant would get them, and with the examples the tests hold them to', async () => {
    const { ask } = await given()
    const { status, json } = await ask('GET', '/v1/rules/presets')
    assert.equal(status, 200)
    const listed = Object.entries(presets).map(([name, { about }]) => ({
      name,
      about,
      rules: rulesOf(name).map((one, i) => ({ ...one, examples: presets[name].rules[i].examples })),
    }))
    assert.deepEqual(json, { presets: listed, total: listed.length, limit: listed.length, offset: 0 })
    const members = ['action', 'active', 'condition', 'examples', 'metadata', 'mode', 'name', 'preset', 'priority', 'reversible']
    for (const { rules } of json.presets) for (const one of rules) assert.deepEqual(Object.keys(one).sort(), members)
  })

  test('merge adds what is missing of a preset; replace leaves nothing else', async () => {
    const { ask, inForce } = await given()
    const { json: listed } = await ask('GET', '/v1/rules/presets')
    const size = listed.presets.find(({ name }: { name: string }) => name === 'default').rules.length
    await ask('POST', '/v1/rules', aurora)
    assert.deepEqual((await ask('POST', '/v1/rules/presets/default/apply')).json, { applied: size, skipped: 0, preset: 'default' })
    assert.deepEqual((await ask('POST', '/v1/rules/presets/default/apply', { mode: 'merge' })).json, { applied: 0, skipped: size, preset: 'default' })
    assert.equal((await inForce()).rules?.length, size + 1)
    assert.deepEqual((await ask('POST', '/v1/rules/presets/default/apply', { mode: 'replace' })).json, { applied: size, skipped: 0, preset: 'default' })
    assert.equal((await inForce()).rules?.length, size)
    assert.equal((await ask('GET', '/v1/rules?preset=default&limit=1000')).json.total, size)
  })

  test('a text is tried on the rules in force: what they would do, where, and what would be left', async () => {
    const { ask } = await given()
    const rule = (await ask('POST', '/v1/rules', card)).json
    const text = '💳 Zahl mit 4111 1111 1111 1111, bitte ü'
    const { json } = await ask('POST', '/v1/rules/test', { text })
    const start = text.indexOf('4111')
    assert.deepEqual(json, {
      status: 'REDACT',
      rules_evaluated: 1,
      triggered_rules: [
        { rule_id: rule.id, name: 'card', action: 'REDACT', mode: 'enforce', matched_field: 'text', spans: [{ field: 'text', start, end: start + 19 }] },
      ],
      redacted_text: '💳 Zahl mit [CREDIT_CARD], bitte ü',
      redacted_body: null,
      cannot_redact: null,
      response: null,
      policy_version: 2,
    })
    assert.equal((await ask('POST', '/v1/rules/test', { text: 'nothing here' })).json.status, 'ALLOW')
  })

  test('a body is tried as the call it would be, with the place of each finding', async () => {
    const { ask } = await given()
    await ask('POST', '/v1/rules', card)
    const body = {
      model: 'gpt-5',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'tool', tool_call_id: 'c1', content: 'paid with 4111111111111111' },
      ],
      extra: { note: '4111111111111111' },
    }
    const { json } = await ask('POST', '/v1/rules/test', { body })
    assert.equal(json.status, 'REDACT')
    assert.deepEqual(
      json.triggered_rules[0].spans.map(({ start, end }: { start: number; end: number }) => [start, end]),
      [
        [10, 26],
        [0, 16],
      ],
    )
    assert.equal(json.triggered_rules[0].matched_field, 'messages[1].content')
    assert.deepEqual(json.redacted_body.messages[1].content, 'paid with [CREDIT_CARD]')
    assert.equal(json.redacted_body.extra.note, '[CREDIT_CARD]')
    const named = await ask('POST', '/v1/rules/test', { body: { ...body, messages: [], extra: null, model: '4111111111111111' } })
    assert.deepEqual([named.json.status, named.json.redacted_body, named.json.cannot_redact], ['REDACT', null, 'model'])
  })

  test('drafts are tried in place of the rules in force, and nothing of it is kept', async () => {
    const { ask, inForce } = await given('default')
    const before = await inForce()
    const { json } = await ask('POST', '/v1/rules/test', {
      text: 'about project aurora',
      rules: [
        { ...aurora, mode: 'shadow' },
        { ...aurora, action: 'WARN', active: false },
      ],
    })
    assert.deepEqual(
      [json.status, json.policy_version, json.triggered_rules.map(({ rule_id, mode }: { rule_id: string; mode: string }) => [rule_id, mode])],
      [
        'WARN',
        null,
        [
          ['draft_1', 'shadow'],
          ['draft_2', 'enforce'],
        ],
      ],
    )
    assert.equal((await ask('POST', '/v1/rules/test', { text: 'about project aurora', rule: aurora })).json.status, 'BLOCK')
    assert.deepEqual(await inForce(), before)
  })
})
