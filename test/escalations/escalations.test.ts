import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { connect, type Db } from '../../src/db/connect.ts'
import { eq, sql } from '../../src/db/drizzle.ts'
import { apiKeys, changes, dataKeys, sessions, escalations as table, tenants, webhookDeliveries, webhookEvents, webhooks } from '../../src/db/schema.ts'
import { BODY_BYTES_MAX, CALLER_PENDING_MAX, CONTENT_BYTES_MAX, DENIED_SECONDS, TENANT_BYTES_MAX, TENANT_PENDING_MAX } from '../../src/escalations/bounds.ts'
import { decide, findEscalation, listEscalations, lockEscalation } from '../../src/escalations/decisions.ts'
import { expireLate } from '../../src/escalations/expire.ts'
import type { Answer } from '../../src/escalations/held-call.ts'
import { newId } from '../../src/ids.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { again, content, dump, escalationsOn, heldCall, keyOf, newPolicy, newTenant, SAID } from './held-calls.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  let db: Db
  let held: ReturnType<typeof escalationsOn>
  let tenantId: string
  before(async () => {
    database = await open()
    db = database.db
    held = escalationsOn(db)
    tenantId = await newTenant(db)
  })
  after(() => database.drop())

  const idOf = (answer: Answer): string => answer.id ?? assert.fail(`nothing is held: ${answer.why}`)
  const decideOn = (id: string, status: 'approved' | 'denied' = 'approved', comment: string | null = null) =>
    db.transaction(async (tx) => decide(tx, (await lockEscalation(tx, null, id))!, { status, by: 'admin', comment }))
  const makeLate = (id: string) => db.update(table).set({ expiresAt: sql`now() - interval '1 second'` }).where(eq(table.id, id))
  const keysOf = (id: string) =>
    db
      .select()
      .from(dataKeys)
      .where(eq(dataKeys.purpose, `held:${id}`))
  const rowOf = async (id: string) => (await findEscalation(db, null, id))!

  test('identical calls share one pending record, and none of them may go on before it is decided', async () => {
    const call = heldCall(tenantId)
    const first = await held.ask(call)
    assert.equal(first.why, 'pending')
    const others = await Promise.all([1, 2, 3].map(() => held.ask(again(call))))
    for (const other of others) assert.deepEqual(other, first)
    const [{ auditId, requestId }] = await db.select().from(table).where(eq(table.callHash, call.callHash))
    assert.deepEqual([auditId, requestId], [call.auditId, call.requestId])
    assert.deepEqual(await held.use(idOf(first), again(call)), { why: 'pending', id: first.id })
  })

  test('identical calls that come at the same time make one record', async () => {
    const call = heldCall(tenantId)
    const answers = await Promise.all(Array.from({ length: 5 }, () => held.ask(again(call))))
    assert.equal(new Set(answers.map(idOf)).size, 1)
  })

  test('an approval lets exactly one call through, of however many that use it at once', async () => {
    const call = heldCall(tenantId)
    const id = idOf(await held.ask(call))
    await decideOn(id)
    const other = engine === 'postgres' ? await connect(database.options) : null
    const there = other ? escalationsOn(other.db) : held
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? held : there).use(id, again(call))))
    await other?.close()
    assert.deepEqual(
      answers.filter(({ why }) => why === null),
      [{ why: null, id, approvedBy: 'admin', heldAuditId: call.auditId }],
    )
    assert.deepEqual(new Set(answers.map(({ why }) => why)), new Set([null, 'used']))
    assert.ok((await rowOf(id)).usedAt)
    assert.equal((await held.ask(again(call))).why, 'pending', 'the next one is asked about anew')
  })

  test('the exchange that was held itself uses its approval without naming another entry', async () => {
    const call = heldCall(tenantId)
    const id = idOf(await held.ask(call))
    await decideOn(id)
    const used = { why: null, id, approvedBy: 'admin', heldAuditId: null }
    assert.deepEqual(await held.use(id, call), used)
    assert.deepEqual(await held.use(id, call), used, 'asking again, it gets the same answer')
    await held.giveBack(id, again(call))
    assert.equal((await held.use(id, again(call))).why, 'used', 'nobody else can give it back')
    await held.giveBack(id, call)
    assert.equal((await held.use(id, again(call))).why, null)
  })

  test('an approved record that nobody has used is found by an identical call', async () => {
    const call = heldCall(tenantId)
    const id = idOf(await held.ask(call))
    await decideOn(id)
    assert.deepEqual(await held.ask(again(call)), { why: 'approved', id })
  })

  test('an approval is for no other bytes, key, tenant or rules; those who ask learn nothing of it', async () => {
    const call = heldCall(tenantId)
    const id = idOf(await held.ask(call))
    await decideOn(id)
    const stranger = await newTenant(db)
    const nothing = { why: 'another', id: null }
    for (const fields of [{ callHash: 'sha256:altered' }, { caller: 'ef_live_other' }, { tenantId: stranger }, { policyVersion: 2 }])
      assert.deepEqual(await held.use(id, again(call, fields)), nothing, JSON.stringify(fields))
    assert.deepEqual(await held.use(newId('esc'), again(call)), nothing)
    assert.equal((await held.use(id, again(call))).why, null, 'and it is still there')
  })

  test('what was denied, and what nobody decided or used in time, says so', async () => {
    const [denied, undecided, unused] = [heldCall(tenantId), heldCall(tenantId), heldCall(tenantId)]
    const ids = await Promise.all([denied, undecided, unused].map(async (call) => idOf(await held.ask(call))))
    await decideOn(ids[0], 'denied')
    await decideOn(ids[2])
    await makeLate(ids[1])
    await makeLate(ids[2])
    assert.deepEqual(
      await Promise.all([denied, undecided, unused].map((call, i) => held.use(ids[i], again(call)))),
      ['denied', 'expired', 'expired'].map((why, i) => ({ why, id: ids[i] })),
    )
    assert.deepEqual([...(await held.statesOf([...ids, 'esc_gone'])).values()], ['denied', 'expired', 'expired', 'expired'])
    assert.equal((await held.ask(again(unused))).why, 'pending')
    const next = await held.ask(again(undecided))
    assert.equal(next.why, 'pending')
    assert.notEqual(next.id, ids[1], 'a late record is cleared away, not joined')
  })

  test('what was denied is denied for a while without asking anybody again, for this very call alone', async () => {
    const mine = await newTenant(db)
    const call = heldCall(mine)
    const id = idOf(await held.ask(call))
    await decideOn(id, 'denied')
    for (let n = 0; n < 3; n++) assert.deepEqual(await held.ask(again(call)), { why: 'denied', id })
    assert.equal((await listEscalations(db, mine, { limit: 10, offset: 0 })).total, 1)
    for (const fields of [{ callHash: 'sha256:altered' }, { caller: 'ef_live_other' }, { policyVersion: 2 }])
      assert.equal((await held.ask(again(call, fields))).why, 'pending', JSON.stringify(fields))
    const decidedAt = sql`now() - make_interval(secs => ${DENIED_SECONDS - 10})`
    await db.update(table).set({ decidedAt }).where(eq(table.id, id))
    assert.equal((await held.ask(again(call))).why, 'denied')
    await db
      .update(table)
      .set({ decidedAt: sql`now() - make_interval(secs => ${DENIED_SECONDS + 10})` })
      .where(eq(table.id, id))
    assert.equal((await held.ask(again(call))).why, 'pending')
  })

  test('what waits for somebody who may call no more is over, and a decision about it decides nothing', async () => {
    const mine = await newTenant(db)
    const [key, newer] = [keyOf(mine), keyOf(`${mine} newer`)]
    const isMine = (prefix: string) => eq(apiKeys.prefix, prefix)
    const waiting = async (keyPrefix = key) => idOf(await held.ask(heldCall(mine, { caller: keyPrefix, keyPrefix })))
    const insertSession = async () => {
      const session = { id: newId('ses'), tenantId: mine, profile: 'quick_lock', createdBy: 'ada@example.com', expiresAt: sql`now() + interval '1 minute'` }
      await db.insert(sessions).values(session)
      return session.id
    }
    const isOver = async (id: string, text: string): Promise<void> => {
      const { status, decidedBy } = await decideOn(id)
      assert.deepEqual([status, decidedBy, (await keysOf(id)).length], ['expired', null, 0], text)
    }
    const first = await waiting()
    await held.expire()
    assert.equal((await rowOf(first)).status, 'pending')

    // A key that was replaced has its successor to send the call again.
    await db.insert(apiKeys).values({ id: newId('key'), tenantId: mine, prefix: newer, hash: newer, pepperId: 'p', name: 'newer', scopes: [] })
    await db.update(apiKeys).set({ successor: newer, revokedAt: new Date() }).where(isMine(key))
    await held.expire()
    assert.equal((await rowOf(first)).status, 'pending')
    await db.update(apiKeys).set({ revokedAt: new Date() }).where(isMine(newer))
    held.expired.length = 0
    assert.equal(await held.expire(), 1)
    assert.deepEqual([(await rowOf(first)).status, held.expired.map(({ subject }) => subject), (await keysOf(first)).length], ['expired', [first], 0])
    await isOver(await waiting(), 'a key that is revoked')
    await db.update(apiKeys).set({ revokedAt: null, expiresAt: sql`now() - interval '1 second'` }).where(isMine(newer))
    await isOver(await waiting(), 'a key that has expired')
    await db.update(apiKeys).set({ expiresAt: null }).where(isMine(newer))

    const [ended, late] = [await insertSession(), await insertSession()]
    const inSession = await Promise.all([ended, late].map(waiting))
    await held.expire()
    assert.deepEqual(await Promise.all(inSession.map(async (id) => (await rowOf(id)).status)), ['pending', 'pending'])
    await db.update(sessions).set({ endedAt: new Date() }).where(eq(sessions.id, ended))
    await db.update(sessions).set({ expiresAt: sql`now() - interval '1 second'` }).where(eq(sessions.id, late))
    await isOver(inSession[0], 'a session that was ended')
    await isOver(inSession[1], 'a session whose time is over')

    const last = await waiting()
    await db.update(tenants).set({ active: false }).where(eq(tenants.id, mine))
    await isOver(last, 'a tenant that is closed')
  })

  test('a change of the rules voids an approval that was given, and a decision that was not', async () => {
    const mine = await newTenant(db)
    const [approved, waiting] = [heldCall(mine), heldCall(mine)]
    const [one, other] = [idOf(await held.ask(approved)), idOf(await held.ask(waiting))]
    await decideOn(one)
    await newPolicy(db, mine)
    assert.deepEqual(await held.use(one, again(approved)), { why: 'another', id: null })
    assert.deepEqual(await held.use(one, again(approved, { policyVersion: 2 })), { why: 'another', id: null })
    const voided = await decideOn(other)
    assert.deepEqual([voided.status, voided.decidedBy, (await keysOf(other)).length], ['expired', null, 0])
    assert.equal((await held.ask(again(waiting, { policyVersion: 2 }))).why, 'pending')
  })

  test('what a call says is sealed under a key of its own, and both are gone once it is decided or expired', async () => {
    const mine = await newTenant(db)
    const endings: ((id: string) => Promise<unknown>)[] = [
      (id) => decideOn(id),
      (id) => decideOn(id, 'denied'),
      async (id) => {
        await makeLate(id)
        await expireLate(db, async () => {}) // in its own transaction, before anything is cleared away
      },
    ]
    for (const end of endings) {
      const id = idOf(await held.ask(heldCall(mine)))
      const [key, ...more] = await keysOf(id)
      assert.deepEqual([key.tenantId, more.length, (await dump(db)).includes(SAID)], [mine, 0, false])
      await db.transaction(async (tx) => assert.equal(await held.contentOf(tx, (await lockEscalation(tx, mine, id))!), content))
      const [{ content: sealed }] = await db.select().from(table).where(eq(table.id, id))
      await end(id)
      assert.equal((await keysOf(id)).length, 0)
      const after = await dump(db)
      assert.ok(!after.includes(sealed!) && !after.includes(SAID))
      await db.transaction(async (tx) => assert.rejects(held.contentOf(tx, (await lockEscalation(tx, mine, id))!), /gone/))
      // Whoever kept a copy of the row has nothing to open it with.
      await db.transaction(async (tx) => assert.rejects(held.contentOf(tx, { ...(await lockEscalation(tx, mine, id))!, content: sealed }), /cannot be opened/))
    }
  })

  test('of one tenant only so many calls, and so many bytes, are held at once; more are not', async () => {
    const mine = await newTenant(db)
    assert.deepEqual(await held.ask(heldCall(mine, { bodyBytes: BODY_BYTES_MAX + 1 })), { why: 'too_large', id: null })
    const id = idOf(await held.ask(heldCall(mine)))
    await db
      .update(table)
      .set({ contentBytes: TENANT_BYTES_MAX - 10 })
      .where(eq(table.id, id))
    const notAsked = heldCall(mine, { bodyBytes: 1, content: () => content })
    assert.deepEqual(await held.ask(notAsked), { why: 'tenant_full', id: null })
    assert.equal((await listEscalations(db, mine, { limit: 10, offset: 0 })).total, 1, 'nothing is left behind')
    await db.update(table).set({ contentBytes: 10 }).where(eq(table.id, id))
    assert.deepEqual(await held.ask(heldCall(mine, { content: () => 'é'.repeat(CONTENT_BYTES_MAX / 2 + 1) })), { why: 'too_large', id: null })
    await db.execute(sql`
      insert into escalations (id, tenant_id, request_id, audit_id, caller, key_prefix, dialect, rules_triggered, policy_version, body_hash, call_hash, content, content_bytes, expires_at)
      select 'esc_' || ${mine}::text || n, ${mine}, 'req_1', 'aud_1', 'k', 'k', 'openai-chat', '[]', 1, 'sha256:', 'sha256:' || n, 'x', 1, now() + interval '1 hour'
      from generate_series(2, ${TENANT_PENDING_MAX}::int) n`)
    assert.deepEqual(await held.ask(heldCall(mine)), { why: 'tenant_full', id: null })
    assert.equal((await held.ask(heldCall(tenantId))).why, 'pending', 'another tenant is not kept out')
    await db.delete(table).where(eq(table.tenantId, mine))
  })

  test('one caller does not fill its tenant', async () => {
    const mine = await newTenant(db)
    const ask = (fields = {}) => held.ask(heldCall(mine, fields))
    const answers = await Promise.all(Array.from({ length: CALLER_PENDING_MAX + 3 }, () => ask()))
    assert.deepEqual(
      ['pending', 'caller_full'].map((why) => answers.filter((answer) => answer.why === why).length),
      [CALLER_PENDING_MAX, 3],
    )
    assert.equal((await ask({ caller: 'ef_live_other' })).why, 'pending')
    const [{ id }] = answers.filter(({ why }) => why === 'pending')
    await decideOn(id!)
    assert.equal((await ask()).why, 'pending')
    await db.delete(table).where(eq(table.tenantId, mine))
  })

  test('a call as large as one may be is held, and shown as it was', async () => {
    const said = randomBytes(BODY_BYTES_MAX / 2).toString('hex')
    const id = idOf(await held.ask(heldCall(tenantId, { bodyBytes: BODY_BYTES_MAX, content: () => said + said })))
    await db.transaction(async (tx) => assert.ok((await held.contentOf(tx, (await lockEscalation(tx, null, id))!)) === said + said))
  })

  test('all whose time is over expire, once: it is recorded and announced, and what is late shows as expired before that', async () => {
    const mine = await newTenant(db)
    await held.expire()
    held.expired.length = 0
    const [late, inTime] = [idOf(await held.ask(heldCall(mine))), idOf(await held.ask(heldCall(mine)))]
    await makeLate(late)
    const list = async (status: 'pending' | 'expired') => (await listEscalations(db, mine, { status, limit: 10, offset: 0 })).rows.map(({ id }) => id)
    assert.deepEqual([await list('pending'), await list('expired'), (await rowOf(late)).status], [[inTime], [late], 'expired'])
    const announced = () => db.$count(changes, eq(changes.kind, 'escalations'))
    const before = await announced()
    const counts = await Promise.all([held.expire(), held.expire()])
    assert.deepEqual(counts.sort(), [0, 1])
    assert.deepEqual(
      held.expired.map(({ action, tenantId, subject }) => [action, tenantId, subject]),
      [['escalation.expire', mine, late]],
    )
    assert.equal(await announced(), before + 1)
    assert.deepEqual([(await rowOf(late)).status, (await rowOf(inTime)).status], ['expired', 'pending'])
  })

  test('rows are kept for a year; a key of nothing that waits is not', async () => {
    const id = idOf(await held.ask(heldCall(tenantId)))
    await decideOn(id, 'denied')
    const young = idOf(await held.ask(heldCall(tenantId)))
    await db.update(table).set({ createdAt: sql`now() - interval '364 days'` }).where(eq(table.id, id))
    await db.insert(dataKeys).values({ id: newId('dk'), tenantId, purpose: 'held:esc_nobody', wrappings: {} })
    await held.expire()
    assert.deepEqual([(await keysOf('esc_nobody')).length, (await keysOf(young)).length, (await rowOf(id)).status], [0, 1, 'denied'])
    await db.update(table).set({ createdAt: sql`now() - interval '366 days'` }).where(eq(table.id, id))
    await held.expire()
    assert.equal(await findEscalation(db, null, id), undefined)
  })

  test('that a call waits is told in the transaction that makes its record, once, without a word of it', async () => {
    const mine = await newTenant(db)
    const webhook = { id: newId('wh'), tenantId: mine, url: 'https://example.com', events: ['ESCALATE'], secret: 'sealed', createdBy: 'admin' }
    await db.insert(webhooks).values(webhook)
    const before = held.told
    const call = heldCall(mine, { agentId: 'agent_1', userId: 'u-1' })
    const id = idOf(await held.ask(call))
    await held.ask(again(call))
    assert.equal(held.told, before + 1)
    const events = await db.select().from(webhookEvents).where(eq(webhookEvents.tenantId, mine))
    assert.deepEqual(
      events.map(({ type, requestId, subject, data }) => ({ type, requestId, subject, data })),
      [
        {
          type: 'ESCALATE',
          requestId: call.requestId,
          subject: null,
          data: {
            escalation_id: id,
            audit_id: call.auditId,
            key_prefix: call.keyPrefix,
            agent_id: 'agent_1',
            user_id: 'u-1',
            model: 'gpt-5',
            dialect: 'openai-chat',
            endpoint: '/v1/chat/completions',
            rules_triggered: ['rule_1'],
            policy_version: 1,
            body_hash: 'sha256:body',
            expires_at: (await rowOf(id)).expiresAt.toISOString(),
          },
        },
      ],
    )
    assert.equal(await db.$count(webhookDeliveries, eq(webhookDeliveries.webhookId, webhook.id)), 1)
  })

  test('a tenant sees only its own, the administrator all', async () => {
    const [mine, other] = [await newTenant(db), await newTenant(db)]
    const id = idOf(await held.ask(heldCall(mine)))
    assert.equal((await findEscalation(db, mine, id))?.id, id)
    assert.equal(await findEscalation(db, other, id), undefined)
    assert.equal((await listEscalations(db, other, { limit: 10, offset: 0 })).total, 0)
    assert.equal(await db.transaction((tx) => lockEscalation(tx, other, id)), undefined)
    assert.ok((await listEscalations(db, null, { limit: 1, offset: 0 })).total > 1)
  })
})

test('where the database is away nobody is asked, and nothing may go on', async () => {
  const away = await connect({ kind: 'postgres', url: 'postgres://nobody:x@127.0.0.1:9/none' })
  try {
    const held = escalationsOn(away.db, { report: () => {} }) // that nothing can be given back either
    const call = heldCall('t_1')
    for (const ask of [() => held.ask(call), () => held.use(newId('esc'), call), () => held.statesOf(['esc_1'])])
      await assert.rejects(ask, { reason: 'unavailable' })
  } finally {
    await away.close()
  }
})
