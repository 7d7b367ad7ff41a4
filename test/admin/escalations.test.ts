import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { and, desc, eq, sql } from '../../src/db/drizzle.ts'
import { apiKeys, auditEntries, changes, dataKeys, escalations, sessions } from '../../src/db/schema.ts'
import type { HeldCall } from '../../src/escalations/held-call.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { escalationsOn, heldCall, keyOf, SAID } from '../escalations/held-calls.ts'
import { managePeople, type PeopleManagement } from './people.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: PeopleManagement
  let held: ReturnType<typeof escalationsOn>
  let tenant: { id: string; key: string }
  let arbiter: { email: string; token: string }
  before(async () => {
    database = await open()
    api = managePeople(database)
    held = escalationsOn(database.db)
    tenant = await api.createTenant({ rules_preset: null })
    arbiter = await api.tokenOf('arbiter', tenant.id)
  })
  after(() => database.drop())

  const content = {
    method: 'POST',
    path: '/v1/chat/completions',
    query: '?a=1',
    headers: [{ name: 'accept', value: '*/*' }],
    content_type: 'application/json',
    models: ['gpt-5'],
    user: 'ann',
    metadata: { purpose: 'export', urgent: true, floor: 3 },
    rules: [{ id: 'rule_1', name: 'ask first', action: 'ESCALATE', count: 1 }],
    texts: [
      {
        role: 'user',
        where: 'messages[0].content',
        text: SAID,
        spans: [{ start: 0, end: 4, rule_id: 'rule_1', rule_name: 'ask first', action: 'ESCALATE' }],
        spans_left_out: 0,
      },
    ],
    texts_left_out: 0,
    opaque_bytes: 0,
    sealed_bytes: 0,
    sent_as_is: true,
    body: JSON.stringify({ messages: [{ role: 'user', content: SAID }] }),
    body_encoding: 'utf-8',
  }
  /** A new call of a tenant, by which its policy is as it stands. */
  async function hold(tenantId = tenant.id, fields: Partial<HeldCall> = {}): Promise<string> {
    const [{ version }] = await database.db.execute<{ version: number }>(
      sql`select coalesce(max(version), 0)::int as version from policy_versions where tenant_id = ${tenantId}`,
    )
    const answer = await held.ask(heldCall(tenantId, { policyVersion: version, content: () => JSON.stringify(content), ...fields }))
    assert.equal(answer.why, 'pending')
    return answer.id ?? ''
  }
  const recordsOf = async (id: string) => {
    const rows = await database.db
      .select()
      .from(auditEntries)
      .where(and(eq(auditEntries.kind, 'change'), sql`metadata->>'subject' = ${id}`))
      .orderBy(desc(auditEntries.reason))
    return rows.map(({ reason, tenantId, metadata }) => [reason, tenantId, metadata?.actor])
  }
  const makeLate = (id: string) => database.db.update(escalations).set({ expiresAt: sql`now() - interval '1 second'` }).where(eq(escalations.id, id))

  test('an arbiter sees what waits, looks at it, and decides; each look and the decision are recorded, the comment stands in the row alone', async () => {
    const id = await hold()
    const as = { key: arbiter.token }
    const list = await api.ask('GET', '/v1/escalations?status=pending', as)
    const [shown] = list.json.escalations
    assert.deepEqual([list.json.total, shown.id, shown.status, shown.decided_by], [1, id, 'pending', null])
    assert.ok(!JSON.stringify(list.json).includes(SAID))
    assert.deepEqual((await api.ask('GET', `/v1/escalations/${id}`, as)).json, shown)
    assert.deepEqual(await recordsOf(id), [], 'that something waits may be seen by the way')
    const looked = await api.ask('GET', `/v1/escalations/${id}/content`, as)
    assert.deepEqual([looked.status, looked.json.escalation, looked.json.content], [200, shown, content])
    await api.ask('GET', `/v1/escalations/${id}/content`, as)
    const announced = await database.db.$count(changes, eq(changes.kind, 'escalations'))
    const decided = await api.ask('POST', `/v1/escalations/${id}/approve`, { ...as, body: { comment: 'I know the heron.' } })
    assert.deepEqual(
      [decided.status, decided.json.status, decided.json.decided_by, decided.json.comment, decided.json.used_at],
      [200, 'approved', arbiter.email, 'I know the heron.', null],
    )
    assert.equal(await database.db.$count(changes, eq(changes.kind, 'escalations')), announced + 1)
    assert.deepEqual(await recordsOf(id), [
      ['escalation.look', tenant.id, arbiter.email],
      ['escalation.look', tenant.id, arbiter.email],
      ['escalation.approve', tenant.id, arbiter.email],
    ])
    const [row] = await database.db.select().from(auditEntries).where(eq(auditEntries.reason, 'escalation.approve'))
    assert.deepEqual(row.metadata, { actor: arbiter.email, subject: id, request_id: shown.request_id, audit_id: shown.audit_id })
    assert.equal(await database.db.$count(dataKeys, eq(dataKeys.purpose, `held:${id}`)), 0)
  })

  test('a decision stands: a second one, a look and a late one are told who decided what, and change nothing', async () => {
    const id = await hold()
    assert.equal((await api.ask('POST', `/v1/escalations/${id}/deny`, { body: {} })).json.status, 'denied')
    for (const [method, verb] of [
      ['POST', 'approve'],
      ['POST', 'deny'],
      ['GET', 'content'],
    ]) {
      const { status, json } = await api.ask(method, `/v1/escalations/${id}/${verb}`, method === 'POST' ? { body: {} } : {})
      assert.deepEqual([status, json.context.escalation.status, json.context.escalation.decided_by], [409, 'denied', 'admin'], verb)
      assert.match(json.message, /^It was denied by admin at 20/)
    }
    const late = await hold()
    await makeLate(late)
    const { status, json } = await api.ask('POST', `/v1/escalations/${late}/approve`, { body: {} })
    assert.deepEqual([status, json.message, json.context.escalation.status], [409, 'Nobody decided in time.', 'expired'])
    assert.equal((await api.ask('GET', `/v1/escalations/${late}/content`)).status, 409)
    assert.deepEqual(await recordsOf(late), [])
    assert.equal((await api.ask('GET', `/v1/escalations/${late}`)).json.status, 'expired')
  })

  test('two who decide at the same time: one does', async () => {
    const id = await hold()
    const answers = await Promise.all(['approve', 'deny', 'approve'].map((verb) => api.ask('POST', `/v1/escalations/${id}/${verb}`, { body: {} })))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409])
    assert.equal((await recordsOf(id)).length, 1)
  })

  test('a decision under rules that have changed since decides nothing, and the call has expired', async () => {
    const other = await api.createTenant({ rules_preset: null })
    const id = await hold(other.id)
    await api.ask('POST', '/v1/rules', { tenant: other.id, body: { name: 'x', condition: { operator: 'contains', value: 'x' }, action: 'WARN' } })
    const { status, json } = await api.ask('POST', `/v1/escalations/${id}/approve`, { body: { comment: 'yes' } })
    assert.deepEqual([status, json.context.escalation.status, json.context.escalation.decided_by], [409, 'expired', null])
    assert.match(json.message, /rules have changed/)
    assert.deepEqual(await recordsOf(id), [['escalation.expire', other.id, 'admin']])
    assert.equal(await database.db.$count(dataKeys, eq(dataKeys.purpose, `held:${id}`)), 0)
  })

  test('nobody approves a call of their own session, which they can deny; whoever else may decide does', async () => {
    const other = await api.tokenOf('arbiter', tenant.id)
    const holdIn = async (session: { session_id: string }) => hold(tenant.id, { caller: session.session_id, keyPrefix: session.session_id })
    const { token, email } = await api.tokenOf('owner', tenant.id)
    const { status, json: session } = await api.ask('POST', '/v1/sessions', { key: token, body: {} })
    assert.equal(status, 201)
    // By the database's clock, which goes on.
    await database.db.update(sessions).set({ expiresAt: sql`now() + interval '1 minute'` }).where(eq(sessions.id, session.session_id))
    const id = await holdIn(session)
    const own = await api.ask('POST', `/v1/escalations/${id}/approve`, { key: token, body: {} })
    assert.deepEqual([own.status, own.json.error], [403, 'FORBIDDEN'])
    assert.match(own.json.message, /of their own/)
    assert.deepEqual([(await api.ask('GET', `/v1/escalations/${id}`)).json.status, await recordsOf(id)], ['pending', []])
    assert.equal((await api.ask('POST', `/v1/escalations/${id}/approve`, { key: other.token, body: {} })).json.decided_by, other.email)
    const next = await holdIn(session)
    assert.equal((await api.ask('POST', `/v1/escalations/${next}/deny`, { key: token, body: {} })).json.decided_by, email)
  })

  test('a call whose key was revoked, or whose tenant was closed, cannot be approved', async () => {
    const approve = (id: string) => api.ask('POST', `/v1/escalations/${id}/approve`, { body: {} })
    const [first, second] = [await api.createTenant({ rules_preset: null }), await api.createTenant({ rules_preset: null })]
    const [revoked, closed] = [await hold(first.id), await hold(second.id)]
    await database.db
      .update(apiKeys)
      .set({ revokedAt: new Date() })
      .where(eq(apiKeys.prefix, keyOf(first.id)))
    assert.equal((await api.ask('PATCH', `/v1/tenants/${second.id}`, { body: { active: false } })).status, 200)
    for (const id of [revoked, closed]) {
      const { status, json } = await approve(id)
      assert.deepEqual([status, json.context.escalation.status, json.context.escalation.decided_by], [409, 'expired', null])
      assert.match(json.message, /may make none any more/)
    }
  })

  test('people of a tenant see and decide about its own only, for everybody else there is none; a wrong role may not', async () => {
    const other = await api.createTenant({ rules_preset: null })
    const id = await hold(other.id)
    const routes = [
      ['GET', `/v1/escalations/${id}`],
      ['GET', `/v1/escalations/${id}/content`],
      ['POST', `/v1/escalations/${id}/approve`],
      ['POST', `/v1/escalations/${id}/deny`],
    ]
    for (const [method, path] of routes) {
      const body = method === 'POST' ? { body: {} } : {}
      assert.equal((await api.ask(method, path, { key: arbiter.token, ...body })).status, 404, path)
      assert.equal((await api.ask(method, path, { tenant: tenant.id, ...body })).status, 404, path)
      assert.equal((await api.ask(method, path, { key: other.key, ...body })).status, 403, `a key may not: ${path}`)
    }
    assert.ok(
      (await api.ask('GET', '/v1/escalations', { key: arbiter.token })).json.escalations.every(
        ({ tenant_id }: { tenant_id: string }) => tenant_id === tenant.id,
      ),
    )
    for (const role of ['operator', 'auditor'] as const) {
      const { token } = await api.tokenOf(role, other.id)
      assert.equal((await api.ask('GET', `/v1/escalations/${id}`, { key: token })).status, 200)
      for (const [method, path] of routes.slice(1))
        assert.equal((await api.ask(method, path, { key: token, ...(method === 'POST' && { body: {} }) })).status, 403)
    }
    const everywhere = await api.tokenOf('arbiter')
    assert.equal((await api.ask('POST', `/v1/escalations/${id}/deny`, { key: everywhere.token, body: {} })).json.decided_by, everywhere.email)
  })

  test('what cannot be opened is not shown, and a look at it is not recorded as one', async () => {
    const id = await hold()
    await database.db.delete(dataKeys).where(eq(dataKeys.purpose, `held:${id}`))
    const reported = api.reported.length
    assert.equal((await api.ask('GET', `/v1/escalations/${id}/content`)).status, 500)
    assert.equal(api.reported.length, reported + 1)
    assert.deepEqual(await recordsOf(id), [])
    assert.equal((await api.ask('POST', `/v1/escalations/${id}/deny`, { body: {} })).status, 200, 'it can still be denied')
  })
})
