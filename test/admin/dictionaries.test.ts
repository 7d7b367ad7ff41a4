import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DICTIONARIES_PER_TENANT_MAX, DICTIONARY_BYTES_PER_TENANT_MAX, TERMS_PER_DICTIONARY_MAX } from '../../src/rules/dictionaries.ts'
import { PHRASE_BYTES_MAX } from '../../src/rules/operators.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

const projects = { terms: ['Project Aurora', 'Projekt Nordlicht'], case_sensitive: false }
const secretProject = { name: 'secret project', condition: { operator: 'detects', value: 'projects' }, action: 'REDACT' }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  const given = async () => {
    const { id, key } = await api.createTenant({ rules_preset: null })
    const ask = (method: string, path: string, body?: unknown) => api.ask(method, path, { key, ...(body !== undefined && { body }) })
    const redacted = async (text: string): Promise<unknown> => (await ask('POST', '/v1/rules/test', { text })).json.redacted_text
    return { id, key, ask, redacted }
  }

  test('a dictionary is made, read, listed and replaced, and each write is a version of the policy', async () => {
    const { ask, id } = await given()
    const made = await ask('PUT', '/v1/dictionaries/projects', { ...projects, terms: [...projects.terms, 'Project Aurora'] })
    assert.deepEqual([made.status, made.json.terms, made.json.case_sensitive, made.json.policy_version], [200, projects.terms, false, 2])
    const { json } = await ask('GET', '/v1/dictionaries/projects')
    const { policy_version: _, ...rest } = made.json
    assert.deepEqual(json, rest)
    assert.equal(json.tenant_id, id)
    const { terms, ...about } = json
    assert.deepEqual((await ask('GET', '/v1/dictionaries')).json, { dictionaries: [{ ...about, terms_count: 2 }], total: 1, limit: 50, offset: 0 })
    const sentBack = await ask('PUT', '/v1/dictionaries/projects', { ...made.json, terms: ['other'], case_sensitive: true })
    assert.deepEqual(
      [sentBack.status, sentBack.json.terms, sentBack.json.case_sensitive, sentBack.json.created_at, sentBack.json.policy_version],
      [200, ['other'], true, json.created_at, 3],
    )
    const { json: entries } = await api.ask('GET', `/v1/audit?kind=change&tenant_id=${id}`)
    assert.deepEqual([entries.entries[0].reason, entries.entries[0].metadata.subject], ['dictionary.put', 'projects'])
  })

  test('a rule looks for a dictionary by its name, and knows of new terms when the answer comes', async () => {
    const { ask, redacted, id } = await given()
    const early = await ask('POST', '/v1/rules', secretProject)
    assert.deepEqual([early.status, early.json.error, early.json.context.field], [422, 'CONFIG_ERROR', 'condition.value'])
    await ask('PUT', '/v1/dictionaries/projects', projects)
    assert.equal((await ask('POST', '/v1/rules', secretProject)).status, 201)
    assert.equal(await redacted('about project aurora'), 'about [PROJECTS]')
    assert.equal(await redacted('about project borealis'), null)
    await ask('PUT', '/v1/dictionaries/projects', { terms: ['borealis'] })
    assert.equal(await redacted('about project borealis'), 'about project [PROJECTS]')
    assert.equal(await redacted('about project aurora'), null)
    const policy = await api.policies.of(id)
    assert.deepEqual([policy?.version, policy?.rules.length], [4, 1])
  })

  test('a dictionary that a rule looks for, active or not, cannot be removed; the answer names the rules, and what is exported can be imported', async () => {
    const { ask } = await given()
    await ask('PUT', '/v1/dictionaries/projects', projects)
    const rule = (await ask('POST', '/v1/rules', { ...secretProject, condition: { any: [{ operator: 'detects', value: ['ssn', 'projects'] }] } })).json
    const refused = await ask('DELETE', '/v1/dictionaries/projects')
    assert.deepEqual([refused.status, refused.json.error, refused.json.context.rules], [409, 'CONFLICT', [{ rule_id: rule.id, name: 'secret project' }]])
    assert.equal((await ask('GET', '/v1/dictionaries/projects')).status, 200)
    await ask('PATCH', `/v1/rules/${rule.id}`, { active: false })
    assert.equal((await ask('DELETE', '/v1/dictionaries/projects')).status, 409)
    const { status, json } = await ask('POST', '/v1/rules/import', (await ask('GET', '/v1/rules/export')).json)
    assert.deepEqual([status, json.unchanged], [200, 1])
    await ask('DELETE', `/v1/rules/${rule.id}`)
    assert.equal((await ask('DELETE', '/v1/dictionaries/projects')).status, 204)
    assert.equal((await ask('GET', '/v1/dictionaries/projects')).status, 404)
    assert.equal((await ask('DELETE', '/v1/dictionaries/projects')).status, 404)
  })

  test('a restored version brings its dictionaries back with its rules', async () => {
    const { ask, redacted } = await given()
    await ask('PUT', '/v1/dictionaries/projects', projects)
    const rule = (await ask('POST', '/v1/rules', secretProject)).json // version 3
    await ask('DELETE', `/v1/rules/${rule.id}`)
    await ask('DELETE', '/v1/dictionaries/projects')
    await ask('PUT', '/v1/dictionaries/later', { terms: ['later'] }) // version 6
    const { json } = await ask('POST', '/v1/rules/versions/3/restore', {})
    assert.deepEqual(json.diff, {
      added: [{ rule_id: rule.id, name: 'secret project' }],
      removed: [],
      changed: [],
      dictionaries: { added: ['projects'], removed: [], changed: [] },
    })
    assert.equal(await redacted('about Project Aurora'), 'about [PROJECTS]')
    assert.equal((await ask('GET', '/v1/dictionaries/later')).status, 200, 'what is newer stays')
    assert.deepEqual((await ask('GET', '/v1/rules/versions/3')).json.dictionaries, { projects })
  })

  test('what is no dictionary is refused, naming the member, and changes nothing', async () => {
    const { ask } = await given()
    const long = 'x'.repeat(PHRASE_BYTES_MAX)
    const bad: readonly [name: string, body: unknown, status: number, field: string | undefined][] = [
      ['Projects', projects, 400, 'name'],
      ['a b', projects, 400, 'name'],
      ['x'.repeat(65), projects, 400, 'name'],
      ['__proto__', projects, 400, 'name'],
      ['ssn', projects, 422, 'name'],
      ['p', { ...projects, name: 'q' }, 400, 'name'],
      ['p', {}, 400, 'terms'],
      ['p', { terms: [] }, 400, 'terms'],
      ['p', { terms: 'x' }, 400, 'terms'],
      ['p', { terms: ['ok', 5] }, 400, 'terms.1'],
      ['p', { terms: ['ok', ' \n'] }, 400, 'terms.1'],
      ['p', { terms: ['ok', ''] }, 400, 'terms.1'],
      ['p', { terms: [`${long}y`] }, 422, 'terms.0'],
      ['p', { terms: Array.from({ length: TERMS_PER_DICTIONARY_MAX + 1 }, (_, i) => `t${i}`) }, 400, 'terms'],
      ['p', { terms: ['x'], case_sensitive: 'no' }, 400, 'case_sensitive'],
      ['p', { terms: ['x'], words: ['y'] }, 400, 'words'],
    ]
    for (const [name, body, status, field] of bad) {
      const answer = await ask('PUT', `/v1/dictionaries/${encodeURIComponent(name)}`, body)
      assert.deepEqual([answer.status, answer.json.context.field], [status, field], `${name} ${JSON.stringify(answer.json).slice(0, 200)}`)
    }
    assert.equal((await ask('GET', '/v1/dictionaries')).json.total, 0)
    assert.equal((await ask('GET', '/v1/rules/versions')).json.total, 1)
  })

  test('ten thousand terms are one dictionary; all dictionaries of a tenant together are bounded in number and bytes', async () => {
    const { ask, redacted, id } = await given()
    const terms = Array.from({ length: TERMS_PER_DICTIONARY_MAX }, (_, i) => `customer number ${i}-k`)
    assert.equal((await ask('PUT', '/v1/dictionaries/projects', { terms })).status, 200)
    await ask('POST', '/v1/rules', secretProject)
    assert.equal(await redacted('about Customer Number 9999-K and 7'), 'about [PROJECTS] and 7')
    const many = JSON.stringify(['x'.repeat(PHRASE_BYTES_MAX)])
    const fill = (count: number) =>
      database.sql`insert into dictionaries (tenant_id, name, terms) select ${id}, 'filled-' || i, ${many}::text::jsonb from generate_series(1, ${count}) i`
    await fill(DICTIONARIES_PER_TENANT_MAX - 1)
    const another = await ask('PUT', '/v1/dictionaries/one-more', { terms: ['x'] })
    assert.deepEqual([another.status, another.json.context.field], [422, 'dictionaries'])
    await database.sql`delete from dictionaries where tenant_id = ${id} and name like 'filled-%'`
    const large = Array.from({ length: Math.ceil(DICTIONARY_BYTES_PER_TENANT_MAX / 2 / PHRASE_BYTES_MAX) + 1 }, (_, i) => `${i}`.padEnd(PHRASE_BYTES_MAX, 'x'))
    assert.equal((await ask('PUT', '/v1/dictionaries/half', { terms: large })).status, 200)
    assert.equal((await ask('PUT', '/v1/dictionaries/other-half', { terms: large })).status, 422)
  })

  test("an administrator lists every tenant's dictionaries, and names the tenant to read or write one", async () => {
    const [one, two] = [await given(), await given()]
    for (const { ask } of [one, two]) await ask('PUT', '/v1/dictionaries/projects', projects)
    const { json } = await api.ask('GET', '/v1/dictionaries?limit=1000')
    const owners = json.dictionaries.map(({ tenant_id }: { tenant_id: string }) => tenant_id)
    assert.ok(owners.includes(one.id) && owners.includes(two.id))
    assert.equal((await api.ask('GET', `/v1/dictionaries/projects?tenant_id=${one.id}`)).json.tenant_id, one.id)
    const unnamed = await api.ask('GET', '/v1/dictionaries/projects')
    assert.deepEqual([unnamed.status, unnamed.json.context.field], [400, 'tenant_id'])
  })
})
