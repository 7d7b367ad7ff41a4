import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { insertTenant } from '../../src/access/tenants.ts'
import { connect, type Database, type Db } from '../../src/db/connect.ts'
import { Failure } from '../../src/errors.ts'
import { RULES_PER_POLICY_MAX } from '../../src/rules/check-rule.ts'
import { RuleError } from '../../src/rules/rule-error.ts'
import { createPolicies, findVersion, listRules, listVersions, type NewRule, writeRules } from '../../src/rules/store.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { ask } from './subject.ts'

const author = { createdBy: 'admin', at: new Date('2026-11-20T12:00:00Z') }
const ruleNamed = (name: string, fields: Partial<NewRule> = {}): NewRule => ({
  name,
  condition: { operator: 'contains', value: name },
  action: 'BLOCK',
  priority: 50,
  mode: 'enforce',
  reversible: false,
  active: true,
  preset: null,
  metadata: {},
  ...fields,
})

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let nowhere: Database
  before(async () => {
    database = await open()
    nowhere = await connect({ kind: 'postgres', url: 'postgres://nobody:none@127.0.0.1:1/none' })
  })
  after(async () => {
    await nowhere.close()
    await database.drop()
  })

  async function given(names: readonly string[] = []) {
    const fields = { name: 'Acme', rulesPreset: null, maxRequestsPerMinute: null, allowedModels: null, contactEmail: null }
    const { id } = await database.db.transaction((tx) => insertTenant(tx, fields))
    const add = (...fresh: NewRule[]) => database.db.transaction((tx) => writeRules(tx, id, author, (write) => write.insert(fresh)))
    if (names.length > 0) await add(...names.map((name) => ruleNamed(name)))
    const state = { away: false, reads: 0, keys: 0 }
    const db = new Proxy(database.db, {
      get(target, name, receiver) {
        if (name === 'select') state.reads++
        return Reflect.get(state.away ? nowhere.db : target, name, receiver)
      },
    }) as Db
    const clock = { now: 0 }
    const reported: unknown[] = []
    const redactionKey = async (tenantId: string): Promise<Buffer> => {
      state.keys++
      return state.away ? Promise.reject(new Error('away')) : Buffer.from(tenantId)
    }
    const policies = createPolicies({ db, now: () => clock.now, report: (error) => reported.push(error), redactionKey })
    const of = async () => policies.of(id)
    return { id, add, state, clock, reported, policies, of }
  }

  const isUnavailable = (error: unknown): boolean => error instanceof Failure && error.reason === 'unavailable'

  test('the key for placeholders is read for a policy that has a reversible rule, is on its verdicts, and without it the policy does not load', async () => {
    const { id, add, of, policies, state, clock } = await given(['plain'])
    assert.equal((await of())?.redactionKey, null)
    assert.equal(state.keys, 0)
    await add(ruleNamed('secret', { action: 'REDACT', reversible: true }))
    await policies.forget(id)
    assert.deepEqual((await of())?.judge(ask('secret')).policy.redactionKey, Buffer.from(id))
    state.away = true
    await policies.forget(null)
    clock.now += 60_000
    assert.deepEqual((await of())?.redactionKey, Buffer.from(id), 'the old policy holds meanwhile')
    const other = await given()
    await other.add(ruleNamed('secret', { action: 'REDACT', reversible: true }))
    other.state.away = true
    await assert.rejects(other.of(), isUnavailable)
  })

  test('twelve writers at once make twelve versions without a gap, and the last holds every rule', async () => {
    const { id, add } = await given()
    await Promise.all(Array.from({ length: 12 }, (_, i) => add(ruleNamed(`rule ${i}`))))
    const { rows } = await listVersions(database.db, id, { limit: 100, offset: 0 })
    assert.deepEqual(
      rows.map(({ version }) => version),
      Array.from({ length: 12 }, (_, i) => 12 - i),
    )
    assert.equal((await findVersion(database.db, id))?.rules.length, 12)
    assert.equal((await findVersion(database.db, id, 5))?.rules.length, 5)
  })

  test('rules that together make no policy are not saved', async () => {
    const { id, add } = await given(['one'])
    await assert.rejects(add(ruleNamed('two', { condition: { operator: 'no_such_operator', value: 'x' } })), RuleError)
    const { total } = await listVersions(database.db, id, { limit: 1, offset: 0 })
    assert.equal(total, 1)
  })

  test('a policy is read once for all who wait for it, and then given at once', async () => {
    const { policies, of, id, state } = await given(['one'])
    state.reads = 0
    const [first, second] = await Promise.all([of(), of()])
    assert.equal(first, second)
    assert.equal(state.reads, 1)
    assert.equal(policies.of(id), first, 'no promise')
  })

  test('a tenant without a policy has none, also when it is asked again', async () => {
    const { of } = await given()
    assert.equal(await of(), undefined)
    assert.equal(await of(), undefined)
  })

  test('after a change the new policy is there when forget is done, and until then the old one holds', async () => {
    const { policies, of, id, add } = await given(['one'])
    const old = await of()
    await add(ruleNamed('two'))
    const forgotten = policies.forget(id)
    assert.equal(policies.of(id), old)
    await forgotten
    const fresh = policies.of(id)
    assert.ok(fresh && 'version' in fresh && fresh.version === 2)
  })

  test('a policy read before a change is not kept after it', async () => {
    const { policies, of, id, add } = await given(['one'])
    const early = of()
    await policies.forget(id) // while it is being read: what was read belongs to the time before
    assert.equal((await early)?.version, 1)
    await add(ruleNamed('two'))
    assert.equal((await of())?.version, 2)
  })

  test('when everything may have changed, each policy is read again at its next use', async () => {
    const { policies, of, id, add } = await given(['one'])
    const old = await of()
    await add(ruleNamed('two'))
    await policies.forget(null)
    assert.equal(policies.of(id), old, 'nobody waits')
    await policies.forget(id) // follows the reading under way
    assert.equal((await of())?.version, 2)
  })

  test('with the database away the old policy holds and is read again later; an unread one is "unavailable"', async () => {
    const { policies, of, id, add, state, clock, reported } = await given(['one'])
    const other = await given(['other'])
    const old = await of()
    await add(ruleNamed('two'))
    state.away = true
    other.state.away = true
    await policies.forget(id)
    assert.ok(reported.every(isUnavailable) && reported.length === 1)
    assert.equal(policies.of(id), old)
    await assert.rejects(other.of(), isUnavailable)
    state.away = false
    clock.now += 1_000
    assert.equal(policies.of(id), old)
    await policies.forget(id)
    assert.equal((await of())?.version, 2)
  })

  test('a stored rule with an action of another version refuses every call, also those it does not match', async () => {
    const { of, policies, id } = await given(['one'])
    assert.ok((await of())?.judge(ask('one')).action === 'BLOCK')
    const denied = JSON.stringify([{ ...ruleNamed('one'), id: 'rule_x', action: 'DENY' }])
    await database.sql`insert into policy_versions (tenant_id, version, rules, created_by) values (${id}, 2, ${denied}::text::jsonb, 'newer')`
    await policies.forget(id)
    assert.throws(() => policies.of(id), isUnavailable)
  })

  test('a write that makes the active policy too large changes nothing, and the same rule inactive is saved', async () => {
    const { id, add } = await given()
    await add(...Array.from({ length: RULES_PER_POLICY_MAX }, (_, i) => ruleNamed(`rule ${i}`)))
    await assert.rejects(add(ruleNamed('one more')), (error) => error instanceof RuleError && error.reason === 'config')
    assert.equal((await findVersion(database.db, id))?.version, 1)
    await add(ruleNamed('one more', { active: false }))
    assert.deepEqual([(await findVersion(database.db, id))?.version, (await findVersion(database.db, id))?.rules.length], [2, RULES_PER_POLICY_MAX])
    const { total, rows } = await listRules(database.db, id, { active: false }, { limit: 10, offset: 0 })
    assert.equal(total, 1)
    await assert.rejects(
      database.db.transaction((tx) => writeRules(tx, id, author, (write) => write.change(rows[0].id, { active: true }))),
      RuleError,
    )
    assert.equal((await listRules(database.db, id, { active: false }, { limit: 10, offset: 0 })).total, 1)
  })

  test('stored rules that make no policy refuse every call, whatever was in force before, until that is mended', async () => {
    const { policies, of, id, add, clock } = await given(['one'])
    await of()
    const broken = JSON.stringify([{ ...ruleNamed('x'), id: 'rule_x', condition: { operator: 'from_the_future', value: 'x' } }])
    await database.sql`insert into policy_versions (tenant_id, version, rules, created_by) values (${id}, 2, ${broken}::text::jsonb, 'hand')`
    await policies.forget(id)
    await assert.rejects(of(), isUnavailable)
    assert.throws(() => policies.of(id), isUnavailable)
    await database.sql`delete from policy_versions where tenant_id = ${id} and version = 2`
    await add(ruleNamed('two'))
    clock.now += 1_000
    await policies.forget(id)
    assert.equal((await of())?.version, 2)
  })
})
