import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

const aurora = { name: 'aurora', condition: { operator: 'contains', value: 'project aurora' }, action: 'BLOCK' }
const card = { name: 'card', condition: { operator: 'detects', value: 'credit_card' }, action: 'REDACT' }
const listed = { name: 'listed', condition: { operator: 'detects', value: 'projects' }, action: 'WARN' }
const projects = { terms: ['aurora', 'nordlicht'], case_sensitive: true }

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
    const exported = async () => (await ask('GET', '/v1/rules/export')).json
    const brought = async (body: object) => {
      const { status, json } = await ask('POST', '/v1/rules/import', body)
      assert.equal(status, 200, JSON.stringify(json))
      const { created, updated, unchanged, deleted, policy_version } = json
      return { counts: [created, updated, unchanged, deleted], policy_version, diff: json.diff }
    }
    /** Everything an import may change. */
    const state = async () => [
      await exported(),
      (await api.ask('GET', `/v1/audit?kind=change&tenant_id=${id}`)).json.total,
      (await api.policies.of(id))?.version,
    ]
    return { id, ask, exported, brought, state }
  }

  test('importing what was exported changes nothing, and makes neither a version nor a record', async () => {
    const { ask, exported, brought, state } = await given('default')
    await ask('PUT', '/v1/dictionaries/projects', projects)
    await ask('POST', '/v1/rules', { ...listed, metadata: { n: 1.5, big: 1e21, zero: -0, deep: [{ a: null }] } })
    await ask('POST', '/v1/rules', { ...aurora, active: false })
    const before = await state()
    const document = await exported()
    assert.equal(document.format, 'earthflow-rules/1')
    for (const mode of ['merge', 'replace']) {
      const { counts, policy_version } = await brought({ ...document, mode })
      assert.deepEqual([counts, policy_version], [[0, 0, document.rules.length, 0], document.policy_version])
    }
    assert.deepEqual(await state(), before)
  })

  test('another tenant gets the same policy, with ids of its own; the second import changes nothing', async () => {
    const [from, to] = [await given('default'), await given()]
    await from.ask('PUT', '/v1/dictionaries/projects', projects)
    await from.ask('POST', '/v1/rules', listed)
    const document = await from.exported()
    const first = await to.brought(document)
    assert.deepEqual([first.counts, first.policy_version], [[document.rules.length, 0, 0, 0], 2])
    const plain = ({ rules, dictionaries }: { rules: Record<string, unknown>[]; dictionaries: unknown }) => ({
      dictionaries,
      rules: rules.map((rule) => JSON.stringify({ ...rule, id: 0 })).sort(),
    })
    const copied = await to.exported()
    assert.deepEqual(plain(copied), plain(document))
    assert.ok(!copied.rules.some(({ id }: { id: string }) => document.rules.some((rule: { id: string }) => rule.id === id)))
    assert.deepEqual((await to.brought(document)).counts, [0, 0, document.rules.length, 0])
    assert.equal((await api.policies.of(to.id))?.version, 2)
  })

  test('merge adds and changes what is named; replace removes the rest, rules and dictionaries alike', async () => {
    const { ask, exported, brought } = await given()
    const one = (await ask('POST', '/v1/rules', aurora)).json.id
    await ask('POST', '/v1/rules', card)
    await ask('PUT', '/v1/dictionaries/unused', { terms: ['x'] })
    const merged = await brought({ rules: [{ ...aurora, action: 'WARN' }, listed], dictionaries: { projects } })
    assert.deepEqual(merged.counts, [1, 1, 0, 0])
    assert.deepEqual(merged.diff.changed, [{ rule_id: one, name: 'aurora', diff: [{ path: '/action', from: 'BLOCK', to: 'WARN' }] }])
    assert.deepEqual(merged.diff.dictionaries.added, ['projects'])
    const renamed = await brought({ mode: 'replace', rules: [{ ...aurora, id: one, name: 'renamed' }] })
    assert.deepEqual(renamed.counts, [0, 1, 0, 2], 'known by its id')
    assert.deepEqual(Object.keys((await exported()).dictionaries), ['projects', 'unused'], 'no word about dictionaries')
    const last = await brought({ mode: 'replace', rules: [{ ...aurora, name: 'renamed' }], dictionaries: { projects: { terms: ['nordlicht', 'polaris'] } } })
    assert.deepEqual(last.counts, [0, 0, 1, 0], 'known by its name')
    assert.deepEqual(last.diff.dictionaries, {
      added: [],
      removed: ['unused'],
      changed: [{ name: 'projects', terms_added: 1, terms_removed: 1, case_sensitive: false }],
    })
  })

  test('several rules of one name are told apart in their order, and the same name in a preset is another rule', async () => {
    const { brought } = await given()
    const same = [aurora, { ...aurora, priority: 60 }, { ...aurora, preset: 'default' }]
    assert.deepEqual((await brought({ rules: same })).counts, [3, 0, 0, 0])
    assert.deepEqual((await brought({ rules: same, mode: 'replace' })).counts, [0, 0, 3, 0])
    assert.deepEqual((await brought({ rules: same.toReversed(), mode: 'replace' })).counts, [0, 0, 3, 0], 'each finds its like')
    assert.deepEqual((await brought({ rules: [aurora], mode: 'replace' })).counts, [0, 0, 1, 2])
  })

  test('a trial says what would change, and changes nothing', async () => {
    const { ask, brought, state } = await given()
    const one = (await ask('POST', '/v1/rules', aurora)).json.id
    const before = await state()
    const document = { rules: [{ ...aurora, priority: 1 }, card, listed], dictionaries: { projects }, mode: 'replace' }
    const trial = await brought({ ...document, dry_run: true })
    assert.deepEqual([trial.counts, trial.policy_version], [[2, 1, 0, 0], 2])
    assert.deepEqual(trial.diff, {
      added: ['card', 'listed'].map((name) => ({ rule_id: null, name })),
      removed: [],
      changed: [{ rule_id: one, name: 'aurora', diff: [{ path: '/priority', from: 50, to: 1 }] }],
      dictionaries: { added: ['projects'], removed: [], changed: [] },
    })
    assert.deepEqual(await state(), before)
    assert.deepEqual((await brought(document)).counts, trial.counts)
  })

  test('one bad rule keeps all out, and every bad rule is named with its place', async () => {
    const { ask, state } = await given()
    const before = await state()
    const lookahead = { ...aurora, condition: { operator: 'regex', value: 'a(?!b)' } }
    const { status, json } = await ask('POST', '/v1/rules/import', { rules: [aurora, lookahead, card, listed, { ...card, reversible: 'x' }] })
    assert.equal(status, 400)
    assert.deepEqual(
      json.context.problems.map(({ index, field }: { index: number; field: string }) => [index, field]),
      [
        [1, 'rules.1.condition.value'],
        [3, 'rules.3.condition.value'],
        [4, 'rules.4.reversible'],
      ],
    )
    const refused: readonly [body: object, status: number, field: string][] = [
      [{ rules: [lookahead] }, 422, 'rules.0.condition.value'],
      [{ rules: 'x' }, 400, 'rules'],
      [{ rules: ['x'] }, 400, 'rules.0'],
      [{ rules: [{ ...aurora, nmae: 'x' }] }, 400, 'rules.0.nmae'],
      [{ rules: [{ ...aurora, id: 5 }] }, 400, 'rules.0.id'],
      [
        {
          rules: [
            { ...aurora, id: 'a' },
            { ...card, id: 'a' },
          ],
        },
        400,
        'rules.1.id',
      ],
      [{ rules: [], mode: 'append' }, 400, 'mode'],
      [{ rules: [], format: 'earthflow-rules/2' }, 400, 'format'],
      [{ rules: [], dictionaries: { projects: { terms: [5] } } }, 400, 'dictionaries.projects.terms.0'],
      [{ rules: [], dictionaries: { projects: { terms: [' '] } } }, 400, 'dictionaries.projects.terms.0'],
      [{ rules: [], dictionaries: { ssn: projects } }, 422, 'dictionaries.ssn.name'],
      [{ rules: [], more: 1 }, 400, 'more'],
    ]
    for (const [body, status, field] of refused) {
      const answer = await ask('POST', '/v1/rules/import', body)
      assert.deepEqual([answer.status, answer.json.context.field], [status, field], JSON.stringify(answer.json))
    }
    assert.deepEqual(await state(), before)
  })

  test('a dictionary that a remaining rule looks for cannot be imported away', async () => {
    const { ask, brought, state } = await given()
    await brought({ rules: [listed], dictionaries: { projects } })
    const before = await state()
    for (const dry_run of [true, false])
      assert.equal((await ask('POST', '/v1/rules/import', { rules: [listed], dictionaries: {}, mode: 'replace', dry_run })).status, 422)
    assert.deepEqual(await state(), before)
  })

  test('a policy of more patterns than one request may otherwise hold, and larger than other bodies, goes out and in', async () => {
    const { brought, exported } = await given()
    const rules = Array.from({ length: 150 }, (_, i) => ({
      ...aurora,
      name: `pattern ${i}`,
      condition: { operator: 'regex', value: `code-${i}` },
      metadata: { about: 'x'.repeat(8_000) },
    }))
    assert.deepEqual((await brought({ rules })).counts, [150, 0, 0, 0])
    const document = await exported()
    assert.ok(JSON.stringify(document).length > 1 << 20)
    assert.deepEqual((await brought({ ...document, mode: 'replace' })).counts, [0, 0, 150, 0])
  })
})
