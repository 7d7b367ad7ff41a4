import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

const aurora = { name: 'aurora', condition: { operator: 'contains', value: 'project aurora' }, action: 'BLOCK' }
const card = { name: 'card', condition: { operator: 'detects', value: 'credit_card' }, action: 'REDACT' }
const NO_DICTIONARIES = { added: [], removed: [], changed: [] }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  /** Version 1 is empty, 2 has aurora, 3 has aurora and card, 4 has an aurora that warns, 5 has no card. */
  const given = async () => {
    const { id, key } = await api.createTenant({ rules_preset: null })
    const ask = (method: string, path: string, body?: unknown) => api.ask(method, path, { key, ...(body !== undefined && { body }) })
    const one = (await ask('POST', '/v1/rules', aurora)).json.id as string
    const two = (await ask('POST', '/v1/rules', card)).json.id as string
    await ask('PATCH', `/v1/rules/${one}`, { action: 'WARN' })
    await ask('DELETE', `/v1/rules/${two}`)
    const changes = async () => (await api.ask('GET', `/v1/audit?kind=change&tenant_id=${id}`)).json.total as number
    return { id, ask, one, two, changes }
  }

  test('each version can be read as it was', async () => {
    const { ask, one, two } = await given()
    const { json } = await ask('GET', '/v1/rules/versions/3')
    assert.deepEqual(
      [json.version, json.rules.map(({ id, action }: { id: string; action: string }) => [id, action]).sort(), json.dictionaries],
      [
        3,
        [
          [one, 'BLOCK'],
          [two, 'REDACT'],
        ].sort(),
        {},
      ],
    )
    assert.deepEqual((await ask('GET', '/v1/rules/versions/1')).json.rules, [])
    assert.equal((await ask('GET', '/v1/rules/versions/6')).status, 404)
    assert.equal((await ask('GET', '/v1/rules/versions/0')).status, 404)
  })

  test('what made a version is told against the one before it, or any other; 0 is the empty policy', async () => {
    const { ask, one, two } = await given()
    const diff = async (query: string) => (await ask('GET', `/v1/rules/versions/${query}`)).json
    const warns = { rule_id: one, name: 'aurora', diff: [{ path: '/action', from: 'BLOCK', to: 'WARN' }] }
    assert.deepEqual(await diff('4/diff'), { version: 4, against: 3, diff: { added: [], removed: [], changed: [warns], dictionaries: NO_DICTIONARIES } })
    const sinceTwo = { added: [], removed: [], changed: [warns], dictionaries: NO_DICTIONARIES }
    assert.deepEqual(await diff('5/diff?against=2'), { version: 5, against: 2, diff: sinceTwo })
    const backwards = await diff('3/diff?against=5')
    assert.deepEqual(
      [backwards.diff.added, backwards.diff.changed[0].diff],
      [[{ rule_id: two, name: 'card' }], [{ path: '/action', from: 'WARN', to: 'BLOCK' }]],
    )
    assert.deepEqual((await diff('2/diff?against=0')).diff.added, [{ rule_id: one, name: 'aurora' }])
    assert.equal((await ask('GET', '/v1/rules/versions/1/diff')).status, 200)
    assert.equal((await ask('GET', '/v1/rules/versions/2/diff?against=9')).status, 404)
    assert.deepEqual((await ask('GET', '/v1/rules/versions/2/diff?against=x')).json.context.field, 'against')
  })

  test('restoring says what it changed; as a trial it says the same and changes nothing', async () => {
    const { ask, one, two, changes, id } = await given()
    const newer = (await ask('POST', '/v1/rules', { ...aurora, name: 'newer' })).json.id // version 6
    const before = await changes()
    const trial = await ask('POST', '/v1/rules/versions/3/restore?dry_run=true', {})
    const diff = {
      added: [{ rule_id: two, name: 'card' }],
      removed: [{ rule_id: newer, name: 'newer' }],
      changed: [{ rule_id: one, name: 'aurora', diff: [{ path: '/action', from: 'WARN', to: 'BLOCK' }] }],
      dictionaries: NO_DICTIONARIES,
    }
    assert.deepEqual([trial.json.dry_run, trial.json.policy_version, trial.json.restored, trial.json.diff], [true, 6, 3, diff])
    assert.equal((await ask('GET', `/v1/rules/${two}`)).status, 404)
    assert.deepEqual([(await ask('GET', '/v1/rules/versions')).json.total, await changes(), (await api.policies.of(id))?.version], [6, before, 6])
    const done = await ask('POST', '/v1/rules/versions/3/restore', {})
    assert.deepEqual([done.json.dry_run, done.json.policy_version, done.json.version, done.json.diff], [false, 7, 7, diff])
    assert.equal((await api.policies.of(id))?.version, 7)
    const again = await ask('POST', '/v1/rules/versions/7/restore?dry_run=true', {})
    assert.deepEqual(again.json.diff, { added: [], removed: [], changed: [], dictionaries: NO_DICTIONARIES })
    assert.equal((await ask('POST', '/v1/rules/versions/3/restore?dry_run=maybe', {})).json.context.field, 'dry_run')
  })

  test('a write for another version than the one in force is 409, says which is, and changes nothing', async () => {
    const { ask, one, changes } = await given()
    const before = await changes()
    const writes: readonly [method: string, path: string, body?: unknown][] = [
      ['POST', '/v1/rules', aurora],
      ['PUT', `/v1/rules/${one}`, aurora],
      ['PATCH', `/v1/rules/${one}`, { active: false }],
      ['DELETE', `/v1/rules/${one}`],
      ['POST', '/v1/rules/presets/default/apply', { mode: 'replace' }],
      ['POST', '/v1/rules/versions/2/restore', {}],
      ['POST', '/v1/rules/import', { rules: [], mode: 'replace' }],
      ['PUT', '/v1/dictionaries/projects', { terms: ['x'] }],
    ]
    for (const [method, path, body] of writes) {
      const { status, json } = await ask(method, `${path}?expected_version=4`, body)
      assert.deepEqual([status, json.error, json.context.policy_version], [409, 'CONFLICT', 5], `${method} ${path}`)
      assert.equal((await ask(method, `${path}?expected_version=x`, body)).json.context.field, 'expected_version')
    }
    assert.equal(await changes(), before)
    for (const [i, [method, path, body]] of writes.entries()) {
      const { status } = await ask(method, `${path}?expected_version=${5 + i}`, body)
      assert.ok([200, 201, 204].includes(status) || (method !== 'POST' && path.includes(one) && status === 404), `${method} ${path} ${status}`)
      if (method === 'DELETE') break
    }
  })
})
