import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { insertEntries } from '../audit/entries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

const aurora = { name: 'aurora', condition: { operator: 'contains', value: 'project aurora' }, action: 'BLOCK' }
const card = { name: 'card', condition: { operator: 'detects', value: 'credit_card' }, action: 'REDACT' }
const about = { text: 'about project aurora' }
const paid = { text: 'paid with 4111 1111 1111 1111' }
const plain = { text: 'good morning' }
type Result = { changed: boolean; current: { status: string }; draft: { status: string } }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  const given = async (...rules: object[]) => {
    const { id, key } = await api.createTenant({ rules_preset: null })
    const ask = (method: string, path: string, body?: unknown) => api.ask(method, path, { key, ...(body !== undefined && { body }) })
    const ids: string[] = []
    for (const rule of rules) ids.push((await ask('POST', '/v1/rules', rule)).json.id)
    const simulated = async (body: object) => {
      const { status, json } = await ask('POST', '/v1/rules/simulate', body)
      assert.equal(status, 200, JSON.stringify(json))
      return { ...json, statuses: json.results.map(({ changed, current, draft }: Result) => [current.status, draft.status, changed]) }
    }
    const refused = async (path: string, body: object) => {
      const { status, json } = await ask('POST', path, body)
      return [status, json.context?.field]
    }
    return { id, key, ask, ids, simulated, refused }
  }

  test('a draft in place of the rules in force is compared sample by sample and in total, and nothing of it is kept', async () => {
    const { simulated, id, ids } = await given(aurora)
    const { statuses, totals, results, diff, policy_version } = await simulated({
      rules: [{ ...aurora, id: ids[0], action: 'WARN' }, card],
      samples: [{ ...about, name: 'the project' }, paid, plain],
    })
    assert.deepEqual(statuses, [
      ['BLOCK', 'WARN', true],
      ['ALLOW', 'REDACT', true],
      ['ALLOW', 'ALLOW', false],
    ])
    assert.deepEqual(totals, {
      samples: 3,
      changed: 2,
      current: { ALLOW: 2, WARN: 0, REDACT: 0, ESCALATE: 0, BLOCK: 1 },
      draft: { ALLOW: 1, WARN: 1, REDACT: 1, ESCALATE: 0, BLOCK: 0 },
    })
    const triggered = { rule_id: ids[0], name: 'aurora', mode: 'enforce', on: 'call' }
    assert.deepEqual(results[0], {
      index: 0,
      name: 'the project',
      changed: true,
      current: { status: 'BLOCK', triggered_rules: [{ ...triggered, action: 'BLOCK' }], cannot_redact: null },
      draft: { status: 'WARN', triggered_rules: [{ ...triggered, action: 'WARN' }], cannot_redact: null },
    })
    assert.deepEqual(
      [diff.added, diff.changed[0].diff, policy_version],
      [[{ rule_id: 'draft_2', name: 'card' }], [{ path: '/action', from: 'BLOCK', to: 'WARN' }], 2],
    )
    assert.equal((await api.policies.of(id))?.version, 2)
  })

  test('changes, removals and additions are tried on the rules the tenant has, active or not', async () => {
    const { simulated, ids } = await given(aurora, { ...card, active: false })
    const samples = [about, paid]
    const of = async (body: object) => (await simulated({ samples, ...body })).statuses.map(([, status]: string[]) => status)
    assert.deepEqual(await of({ changes: [] }), ['BLOCK', 'ALLOW'])
    assert.deepEqual(await of({ changes: [{ id: ids[0], patch: { mode: 'shadow' } }] }), ['ALLOW', 'ALLOW'])
    assert.deepEqual(
      await of({
        changes: [
          { id: ids[0], patch: null },
          { id: ids[1], patch: { active: true } },
        ],
      }),
      ['ALLOW', 'REDACT'],
    )
    assert.deepEqual(await of({ added: [{ ...card, action: 'ESCALATE' }] }), ['BLOCK', 'ESCALATE'])
    assert.deepEqual(await of({ added: [{ ...card, active: false }] }), ['BLOCK', 'ALLOW'])
  })

  test('a change that shows only in the bytes that leave is a change; one that shows nowhere is none', async () => {
    const { simulated, ids } = await given(card)
    const both = { text: 'paid with 4111 1111 1111 1111, ssn 536-90-4399' }
    const changes = [{ id: ids[0], patch: { condition: { operator: 'detects', value: ['credit_card', 'ssn'] } } }]
    assert.deepEqual((await simulated({ samples: [both, paid], changes })).statuses, [
      ['REDACT', 'REDACT', true],
      ['REDACT', 'REDACT', false],
    ])
    const shadow = await simulated({ samples: [about], added: [{ ...aurora, mode: 'shadow' }] })
    assert.deepEqual(shadow.statuses, [['ALLOW', 'ALLOW', false]])
    assert.deepEqual(shadow.results[0].draft.triggered_rules, [{ rule_id: 'draft_1', name: 'aurora', action: 'BLOCK', mode: 'shadow', on: 'call' }])
  })

  test('dictionaries are tried before they are put', async () => {
    const { simulated, ask } = await given()
    await ask('PUT', '/v1/dictionaries/projects', { terms: ['nordlicht'] })
    await ask('POST', '/v1/rules', { name: 'listed', condition: { operator: 'detects', value: 'projects' }, action: 'BLOCK' })
    const samples = [about, { text: 'nordlicht' }]
    const { statuses, diff } = await simulated({ samples, dictionaries: { projects: { terms: ['aurora'] } } })
    assert.deepEqual(statuses, [
      ['ALLOW', 'BLOCK', true],
      ['BLOCK', 'ALLOW', true],
    ])
    assert.deepEqual(diff.dictionaries.changed, [{ name: 'projects', terms_added: 1, terms_removed: 1, case_sensitive: false }])
  })

  test('responses count as well: the status is the more severe of the two', async () => {
    const { simulated } = await given()
    const added = [
      { ...card, condition: { ...card.condition, target: 'response' } },
      { ...aurora, action: 'WARN' },
    ]
    const { results, statuses } = await simulated({
      added,
      samples: [{ ...about, response: paid.text }, { response: plain.text }, { ...about, response: plain.text }],
    })
    assert.deepEqual(statuses, [
      ['ALLOW', 'REDACT', true],
      ['ALLOW', 'ALLOW', false],
      ['ALLOW', 'WARN', true],
    ])
    assert.deepEqual(
      results[0].draft.triggered_rules.map(({ name, on }: { name: string; on: string }) => [name, on]),
      [
        ['aurora', 'call'],
        ['card', 'response'],
      ],
    )
  })

  test('a simulation that cannot be made is refused, naming what is wrong', async () => {
    const { refused, ids } = await given(aurora)
    const samples = [plain]
    const patterns = Array.from({ length: 60 }, (_, i) => ({ operator: 'regex', value: `code-[a-z0-9 ]{1,9}${i}` }))
    for (const [body, status, field] of [
      [{ samples: [], added: [] }, 400, 'samples'],
      [{ added: [] }, 400, 'samples'],
      [{ samples: [{}], added: [] }, 400, 'samples.0.text'],
      [{ samples: [{ ...plain, body: {} }], added: [] }, 400, 'samples.0.text'],
      [{ samples: [plain, { body: { messages: [] } }], added: [] }, 400, 'samples.1.body.model'],
      [{ samples: [{ body: {}, dialect: 'klingon' }], added: [] }, 422, 'samples.0.dialect'],
      [{ samples: [{ ...plain, colour: 1 }], added: [] }, 400, 'samples.0.colour'],
      [{ samples }, 400, 'rules'],
      [{ samples, rules: [], added: [] }, 400, 'rules'],
      [{ samples, changes: [{ id: 'rule_none', patch: null }] }, 422, 'changes.0.id'],
      [{ samples, changes: [{ id: ids[0], patch: { action: 'ALLOW' } }] }, 422, 'changes.0.patch.condition'],
      [{ samples, changes: [{ id: ids[0], patch: { priority: 101 } }] }, 400, 'changes.0.patch.priority'],
      [{ samples, added: [card, { ...card, action: 'DENY' }] }, 400, 'added.1.action'],
      [{ samples, dictionaries: { ssn: { terms: ['x'] } } }, 422, 'dictionaries.ssn.name'],
      [{ samples: Array(201).fill(plain), added: [] }, 400, 'samples'],
      [{ samples: Array(20).fill({ text: 'x'.repeat(9_000) }), added: [{ ...aurora, condition: { any: patterns } }] }, 422, 'samples'],
    ] as const)
      assert.deepEqual(await refused('/v1/rules/simulate', body), [status, field], JSON.stringify(body).slice(0, 200))
  })

  test('recorded calls are tried by what the log keeps of them; rules that read more are named and left out', async () => {
    const { simulated, ask, id, ids } = await given(
      { name: 'no nano', condition: { operator: 'equals', target: 'model', value: 'gpt-nano' }, action: 'WARN' },
      aurora,
    )
    const entry = { tenantId: id, policyVersion: 1, model: 'gpt-5' }
    const at = (day: number) => new Date(Date.UTC(2026, 10, day))
    const [plainCall, nano, agents] = await insertEntries(database.db, [
      { ...entry, timestamp: at(3) },
      { ...entry, timestamp: at(4), model: 'gpt-nano' },
      { ...entry, timestamp: at(5), endpoint: '/v1/embeddings', keyPrefix: 'ef_live_abcdefgh', userId: 'u1', metadata: { team: 'red', deep: {} } },
      { ...entry, timestamp: at(6), policyVersion: null, status: 'REJECTED' },
      { ...entry, timestamp: at(9) },
      { ...entry, tenantId: 't_other', timestamp: at(4), model: 'gpt-nano' },
    ])
    const is = (target: string, value: string) => ({ operator: 'equals', target, value })
    const red = {
      all: [is('metadata.team', 'red'), is('metadata.user', 'u1'), is('endpoint', '/v1/embeddings'), is('key', 'ef_live_abcdefgh'), is('tenant', id)],
    }
    const { audit, results } = await simulated({
      changes: [{ id: ids[0], patch: { action: 'BLOCK' } }],
      added: [
        { name: 'red', condition: red, action: 'ESCALATE' },
        { ...aurora, name: 'header', condition: is('header.x-team', 'red') },
      ],
      audit: { from: '2026-11-02', to: '2026-11-08' },
    })
    assert.deepEqual(audit, {
      replayed: 3,
      complete: true,
      changed: 2,
      current: { ALLOW: 2, WARN: 1, REDACT: 0, ESCALATE: 0, BLOCK: 0 },
      draft: { ALLOW: 1, WARN: 0, REDACT: 0, ESCALATE: 1, BLOCK: 1 },
      changes: [
        { audit_id: agents, current: 'ALLOW', draft: 'ESCALATE' },
        { audit_id: nano, current: 'WARN', draft: 'BLOCK' },
      ],
      not_tried: [
        { rule_id: ids[1], name: 'aurora' },
        { rule_id: 'draft_2', name: 'header' },
      ],
    })
    assert.deepEqual(results, [])
    assert.ok(plainCall)
    assert.equal((await ask('POST', '/v1/rules/simulate', { samples: [plain], added: [] })).json.audit, null)
    const { json: blind } = await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'k', scopes: ['rules:read'] } })
    const refused = await api.ask('POST', '/v1/rules/simulate', { key: blind.api_key, body: { added: [], audit: {} } })
    assert.deepEqual([refused.status, refused.json.context.scope], [403, 'audit:read'])
    assert.equal((await ask('POST', '/v1/rules/simulate', { added: [], audit: { from: 'x' } })).json.context.field, 'audit.from')
  })

  test('of a long log only the newest ten thousand entries are read, judged or not, and the answer says so', async () => {
    const { simulated, id } = await given()
    await insertEntries(database.db, [{ tenantId: id, policyVersion: 1, timestamp: new Date(Date.UTC(2026, 9, 1)) }])
    await database.sql`
      insert into audit_entries (audit_id, timestamp, kind, tenant_id, request_id, status, outcome)
      select ${`aud_${id}_`} || n, '2026-11-01', 'exchange', ${id}, 'req_' || n, 'REJECTED', 'refused' from generate_series(1, 10000) n`
    const replayed = async (audit: object) => {
      const { audit: told } = await simulated({ added: [], audit })
      return [told.replayed, told.complete]
    }
    assert.deepEqual(await replayed({}), [0, false])
    assert.deepEqual(await replayed({ from: '2026-11-01' }), [0, true])
    assert.deepEqual(await replayed({ to: '2026-11-01' }), [1, true])
  })

  test('who calls, from where and with what can be said of a call that is tried', async () => {
    const { ask, key } = await given()
    const status = async (condition: object, more: object, text = 'x') =>
      (await ask('POST', '/v1/rules/test', { text, rule: { name: 'r', action: 'BLOCK', condition: { operator: 'equals', ...condition } }, ...more })).json
        .status
    const table: readonly [condition: object, holds: object, not: object][] = [
      [{ target: 'header.x-team', value: 'red' }, { headers: { 'X-Team': 'red' } }, { headers: { 'x-other': 'red' } }],
      [{ target: 'metadata.user', value: 'u1' }, { metadata: { user: 'u1' } }, { metadata: { user: 'u2' } }],
      [{ target: 'model', value: 'gpt-5' }, { model: 'gpt-5' }, { model: 'gpt-4' }],
      [{ target: 'endpoint', value: '/v1/embeddings' }, { endpoint: '/v1/embeddings' }, {}],
      [{ target: 'agent', value: 'support' }, { agent: 'support' }, {}],
      [{ target: 'key', value: 'ef_live_abcdefgh' }, { key: 'ef_live_abcdefgh' }, {}],
      [{ target: 'key', value: key.slice(0, 16) }, {}, { key: 'ef_live_abcdefgh' }],
      [{ operator: 'threshold', target: 'estimated_cost_usd', value: { op: 'gt', value: 1 } }, { price: { input: 1e7, output: 0 } }, {}],
    ]
    for (const [condition, holds, not] of table)
      assert.deepEqual([await status(condition, holds), await status(condition, not)], ['BLOCK', 'ALLOW'], JSON.stringify(condition))
  })

  test('a body is read in any dialect, by its name or by the endpoint, and says itself who the user is', async () => {
    const { ask } = await given(aurora)
    const anthropic = { model: 'claude-5', max_tokens: 9, system: 'about project aurora', messages: [] }
    for (const read of [{ dialect: 'anthropic-messages' }, { endpoint: '/v1/messages' }]) {
      const { json } = await ask('POST', '/v1/rules/test', { body: anthropic, ...read })
      assert.deepEqual([json.status, json.triggered_rules[0].matched_field], ['BLOCK', 'system'])
    }
    const generic = await ask('POST', '/v1/rules/test', { body: { deep: [{ note: 'project aurora' }] }, dialect: 'generic-json' })
    assert.deepEqual([generic.json.status, generic.json.triggered_rules[0].matched_field], ['BLOCK', '*[0].*'])
    const gemini = { contents: [{ role: 'user', parts: [{ text: 'project aurora' }] }] }
    const google = await ask('POST', '/v1/rules/test', { body: gemini, endpoint: '/v1beta/models/gemini-3:generateContent' })
    assert.deepEqual([google.status, google.json.status], [200, 'BLOCK'])
    const user = { operator: 'equals', target: 'metadata.user', value: 'u1' }
    const said = { model: 'm', messages: [], user: 'u1' }
    assert.equal((await ask('POST', '/v1/rules/test', { body: said, rule: { ...aurora, condition: user } })).json.status, 'BLOCK')
    assert.equal((await ask('POST', '/v1/rules/test', { body: anthropic, endpoint: '/v1/../x' })).json.context.field, 'endpoint')
  })

  test('a response is tried on the rules that read responses: what would be cut, and what would stop it', async () => {
    const { ask, refused } = await given()
    const onReply = (rule: object) => ({ ...rule, condition: { ...(rule as typeof card).condition, target: 'response' } })
    const tried = async (body: object) => (await ask('POST', '/v1/rules/test', body)).json.response
    const cut = await tried({ response: paid.text, rule: onReply(card) })
    assert.deepEqual(cut, {
      status: 'REDACT',
      triggered_rules: [{ rule_id: 'draft_1', name: 'card', action: 'REDACT', mode: 'enforce', count: 1 }],
      stopped: null,
      redacted_text: 'paid with [CREDIT_CARD]',
      redacted_body: null,
    })
    const stopped = await tried({ ...plain, response: about.text, rule: onReply(aurora) })
    assert.deepEqual([stopped.status, stopped.redacted_text], ['BLOCK', null])
    assert.match(stopped.stopped, /'aurora'/)
    const reply = { choices: [{ index: 0, message: { role: 'assistant', content: paid.text } }] }
    const whole = await tried({ response: reply, rule: onReply(card) })
    assert.equal(whole.redacted_body.choices[0].message.content, 'paid with [CREDIT_CARD]')
    assert.deepEqual(await tried({ ...paid, response: plain.text, rule: onReply(card) }), { ...cut, status: 'ALLOW', triggered_rules: [], redacted_text: null })
    assert.equal(await tried({ ...paid, rule: onReply(card) }), null)
    assert.deepEqual(await refused('/v1/rules/test', { response: 5 }), [400, 'response'])
    assert.deepEqual(await refused('/v1/rules/test', {}), [400, 'text'])
  })

  test('dictionaries can be tried with drafts, and with the rules in force', async () => {
    const { ask } = await given()
    const rule = { name: 'listed', condition: { operator: 'detects', value: 'projects' }, action: 'BLOCK' }
    const dictionaries = { projects: { terms: ['aurora'] } }
    assert.equal((await ask('POST', '/v1/rules/test', { ...about, rule })).status, 422)
    assert.equal((await ask('POST', '/v1/rules/test', { ...about, rule, dictionaries })).json.status, 'BLOCK')
    await ask('PUT', '/v1/dictionaries/projects', { terms: ['nordlicht'] })
    await ask('POST', '/v1/rules', rule)
    const inForce = (await ask('POST', '/v1/rules/test', about)).json
    const tried = (await ask('POST', '/v1/rules/test', { ...about, dictionaries })).json
    assert.deepEqual([inForce.status, inForce.policy_version, tried.status, tried.policy_version], ['ALLOW', 3, 'BLOCK', null])
  })
})
