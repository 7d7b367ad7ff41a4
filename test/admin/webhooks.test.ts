import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { createRewrap } from '../../src/crypto/rewrap.ts'
import { rotateDataKeys } from '../../src/rotation/rotate-data-keys.ts'
import { createEndpoints, OVERLAP_MS, WEBHOOKS_MAX } from '../../src/webhooks/endpoints.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { createCanaries } from '../harness/canaries.ts'
import { HOOK, hook, manageWebhooks, type WebhookManagement } from './hooks.ts'
import { NOW } from './management.ts'

const given = 'a-secret-of-the-administrators-own-0123'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: WebhookManagement
  before(async () => {
    database = await open()
    api = manageWebhooks(database)
  })
  beforeEach(async () => {
    api.clock.now = NOW
    await database.sql`truncate webhooks, webhook_events, webhook_deliveries`
  })
  after(() => database.drop())

  const rotate = (id: string, body: object = {}) => api.ask('POST', `/v1/webhooks/${id}/rotate-secret`, { body })
  const secretsOf = async (id: string): Promise<string[]> => api.endpoints.secretsOf((await api.endpoints.find(null, id))!)
  const rowOf = async (id: string) => (await database.sql`select * from webhooks where id = ${id}`)[0]

  test('a webhook is added with the defaults, and its secret is shown once and lies nowhere', async () => {
    const { secret, ...made } = await api.add({ url: HOOK })
    assert.deepEqual(
      { ...made, id: '', created_at: '' },
      {
        id: '',
        tenant_id: null,
        url: HOOK,
        description: '',
        events: ['*'],
        active: true,
        failing_since: null,
        disabled_reason: null,
        previous_secret_until: null,
        created_by: 'admin',
        created_at: '',
      },
    )
    assert.match(made.id, /^wh_[0-9a-z]{26}$/)
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
    assert.deepEqual(await secretsOf(made.id), [secret])
    const own = await api.add({ ...hook, secret: given })
    assert.equal(own.secret, given)
    const { secret: second } = (await rotate(made.id)).json
    const { secret: third } = (await rotate(own.id, { secret: `${given}-2` })).json
    assert.equal(third, `${given}-2`)
    await api.ask('POST', `/v1/webhooks/${own.id}/test`, { body: {} })
    await api.patch(made.id, { active: false })

    const canaries = createCanaries()
    for (const text of [secret, given, second, third]) canaries.secret('a secret', text)
    const said = [(await api.ask('GET', '/v1/webhooks')).json, (await api.ask('GET', `/v1/webhooks/${made.id}`)).json, (await api.patch(made.id, {})).json]
    const tables = await Promise.all(
      ['webhooks', 'webhook_events', 'webhook_deliveries', 'audit_entries', 'changes'].map(async (name) => ({
        name,
        bytes: Buffer.from(JSON.stringify(await database.sql`select * from ${database.sql(name)}`)),
      })),
    )
    await canaries.check([
      ...tables,
      { name: 'answers', bytes: Buffer.from(JSON.stringify(said)) },
      { name: 'reports', bytes: Buffer.from(String(api.reported)) },
    ])
    await assert.rejects(canaries.check([{ name: 'an answer', bytes: Buffer.from(JSON.stringify({ secret: third })) }]), /a secret in an answer/)
  })

  test('every change is recorded and announced, with the origin of its address alone: the path may be a secret', async () => {
    const announced = async (): Promise<number> => (await database.sql`select count(*)::int as n from changes where kind = 'webhooks'`)[0].n
    const before = await announced()
    const { id } = await api.add()
    await api.patch(id, { description: 'x' })
    await rotate(id)
    await api.ask('POST', `/v1/webhooks/${id}/test`, { body: {} })
    await api.ask('POST', `/v1/webhooks/${id}/replay`, { body: { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z' } })
    await api.ask('DELETE', `/v1/webhooks/${id}`)
    const rows = await database.sql`select reason, metadata from audit_entries where metadata->>'subject' = ${id} order by audit_id`
    const said = ['create', 'update', 'rotate_secret', 'test', 'replay', 'delete'].map((verb) => `webhook.${verb}`)
    assert.deepEqual(rows.map(({ reason }) => reason).sort(), said.sort())
    assert.equal(rows.find(({ reason }) => reason === 'webhook.create')?.metadata.url, 'https://api.example.com')
    assert.doesNotMatch(JSON.stringify(rows), /\/hook|marked-query|whsec_/)
    assert.equal((await announced()) - before, 5, 'a test changes nothing that others read')
  })

  test('what a secret must look like is held to when it is given, at creation and at rotation', async () => {
    const { id } = await api.add()
    const whsec = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`
    for (const secret of [whsec(24), whsec(64), 'x'.repeat(24), 'x'.repeat(128)]) assert.equal((await api.add({ ...hook, secret })).secret, secret)
    for (const secret of [
      '',
      'x'.repeat(23),
      'x'.repeat(129),
      whsec(23),
      whsec(65),
      `${whsec(32)}=`,
      `whsec_${'-'.repeat(43)}=`,
      `whsec_${'A'.repeat(42)}B=`,
      `${'x'.repeat(24)} y`,
      `${'x'.repeat(24)}\n`,
      'é'.repeat(30),
      null,
      5,
    ]) {
      for (const { status, json } of [await api.ask('POST', '/v1/webhooks', { body: { ...hook, secret } }), await rotate(id, { secret })])
        assert.deepEqual([status, json.context.field], [400, 'secret'], JSON.stringify(secret))
    }
  })

  test('malformed fields are refused by name, and an unknown event is answered with those there are', async () => {
    const { id } = await api.add()
    for (const [body, field] of [
      [{ url: '' }, 'url'],
      [{ url: 5 }, 'url'],
      [{ url: `https://api.example.com/${'x'.repeat(2048)}` }, 'url'],
      [{ events: [] }, 'events'],
      [{ events: ['BLOCK', 'BLOCK'] }, 'events'],
      [{ events: 'BLOCK' }, 'events'],
      [{ events: ['block'] }, 'events'],
      [{ events: ['TEST'] }, 'events'],
      [{ description: 'x'.repeat(501) }, 'description'],
      [{ description: 'a\nb' }, 'description'],
      [{ active: 'yes' }, 'active'],
      [{ tenant_id: 't_other' }, 'tenant_id'],
      [{ retries: 5 }, 'retries'],
    ] as const) {
      for (const { status, json } of [await api.ask('POST', '/v1/webhooks', { body: { ...hook, ...body } }), await api.patch(id, body)])
        assert.deepEqual([status, json.error, json.context.field], [400, 'VALIDATION_ERROR', field], JSON.stringify(body).slice(0, 80))
    }
    assert.match((await api.patch(id, { events: ['BLOKC'] })).json.message, /"BLOKC".*ALLOW, WARN.*AUDIT_DEGRADED, \*/)
    assert.equal((await api.ask('POST', '/v1/webhooks', { body: {} })).json.context.field, 'url')
    assert.deepEqual((await api.patch(id, { secret: given })).json.context.field, 'secret', 'it is rotated, not changed')
  })

  test('what a GET answered can be sent back, and whose it is cannot be changed', async () => {
    const { id: tenant } = await api.createTenant()
    const { secret: _, ...made } = await api.add(hook, tenant)
    const back = (body: object) => api.ask('PATCH', `/v1/webhooks/${made.id}`, { tenant, body })
    assert.deepEqual((await back(made)).json, made)
    assert.deepEqual((await back({ ...made, description: 'other' })).json, { ...made, description: 'other' })
    assert.equal((await back({ tenant_id: null })).status, 400)
    const { secret: __, id, created_at, ...copy } = await api.add(made, tenant)
    assert.deepEqual({ ...copy, id: made.id, created_at: made.created_at }, made)
    assert.ok(id !== made.id && created_at !== '')
    const elsewhere = await api.ask('POST', '/v1/webhooks', { body: made })
    assert.deepEqual([elsewhere.status, elsewhere.json.context.field], [400, 'tenant_id'], 'what was a tenant’s does not become one that is told everything')
  })

  test("a tenant's key and people mean their own webhooks, an administrator without a tenant the installation's, and others' are not there", async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    const keyOf = async (id: string): Promise<string> =>
      (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'k', scopes: ['webhooks:write'] } })).json.api_key
    const [keyOne, keyTwo] = [await keyOf(one.id), await keyOf(two.id)]
    const installations = await api.add()
    const mine = (await api.ask('POST', '/v1/webhooks', { key: keyOne, body: hook })).json
    assert.deepEqual([mine.tenant_id, mine.created_by], [one.id, keyOne.slice(0, 16)])
    const [delivery] = await api.addDeliveries(mine.id, 1, { tenantId: one.id })
    const reach = async (key: string | undefined, tenant?: string) => {
      const ask = { ...(key !== undefined && { key }), ...(tenant !== undefined && { tenant }) }
      const of = (id: string) => [
        ['GET', `/v1/webhooks/${id}`],
        ['PATCH', `/v1/webhooks/${id}`, {}],
        ['POST', `/v1/webhooks/${id}/test`, {}],
        ['POST', `/v1/webhooks/${id}/rotate-secret`, {}],
        ['GET', `/v1/webhooks/${id}/deliveries`],
        ['POST', `/v1/webhooks/${id}/replay`, { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z' }],
      ]
      const statuses = async (routes: unknown[][]) =>
        new Set(await Promise.all(routes.map(async ([method, path, body]) => (await api.ask(method as string, path as string, { ...ask, body })).status)))
      return [
        await statuses(of(installations.id)),
        await statuses([...of(mine.id), ['POST', `/v1/webhooks/deliveries/${delivery}/replay`, {}]]),
        (await api.ask('GET', '/v1/webhooks', ask)).json.webhooks.map(({ id }: { id: string }) => id).sort(),
      ]
    }
    const [yes, no] = [new Set([200]), new Set([404])]
    assert.deepEqual(await reach(keyOne), [no, yes, [mine.id]])
    assert.deepEqual(await reach(keyTwo), [no, no, []])
    assert.deepEqual(await reach(undefined), [yes, no, [installations.id, mine.id].sort()])
    assert.deepEqual(await reach(undefined, one.id), [no, yes, [mine.id]])
    for (const id of [installations.id, mine.id]) assert.equal((await api.ask('DELETE', `/v1/webhooks/${id}`, { key: keyTwo })).status, 404)
    assert.equal((await database.sql`select id from webhooks`).length, 2)
  })

  test(`a tenant has at most ${WEBHOOKS_MAX} webhooks, and the installation as many of its own, however many add one at once`, async () => {
    const { id } = await api.createTenant()
    const add = (tenant?: string) => api.ask('POST', '/v1/webhooks', { body: hook, ...(tenant !== undefined && { tenant }) })
    for (const tenant of [id, undefined]) {
      for (let i = 1; i < WEBHOOKS_MAX; i++) await api.add(hook, tenant)
      const statuses = (await Promise.all([add(tenant), add(tenant), add(tenant)])).map(({ status }) => status).sort()
      assert.deepEqual(statuses, [201, 422, 422])
    }
  })

  test('for 24 hours after a rotation the old secret and the new one are both there; a second rotation drops the older', async () => {
    const { id, secret: first } = await api.add()
    const { status, json } = await rotate(id)
    assert.deepEqual([status, json.previous_secret_until], [200, new Date(NOW + OVERLAP_MS).toISOString()])
    assert.deepEqual(await secretsOf(id), [json.secret, first])
    assert.equal((await api.ask('GET', `/v1/webhooks/${id}`)).json.previous_secret_until, json.previous_secret_until)
    api.clock.now = NOW + OVERLAP_MS - 1
    assert.equal((await secretsOf(id)).length, 2)
    const { secret: third } = (await rotate(id, { secret: given })).json
    assert.deepEqual(await secretsOf(id), [third, json.secret])
    api.clock.now += OVERLAP_MS
    assert.deepEqual(await secretsOf(id), [third])
    assert.equal((await api.ask('GET', `/v1/webhooks/${id}`)).json.previous_secret_until, null)
    assert.notEqual((await rowOf(id)).previous_secret, null)
    await api.patch(id, { description: 'any write' })
    assert.deepEqual([(await rowOf(id)).previous_secret, (await rowOf(id)).previous_until], [null, null])
    const again = await rotate(id, { secret: given })
    assert.deepEqual([again.status, again.json.context.field], [422, 'secret'], 'the one it has')
  })

  test('of two rotations at once the second is told, and no secret is lost that somebody was shown', async () => {
    const { id } = await api.add()
    const before = (await api.endpoints.find(null, id))!
    const late = await api.endpoints.prepareRotation(before)
    const { secret } = (await rotate(id)).json
    await assert.rejects(
      database.db.transaction((tx) => api.endpoints.change(tx, before, late)),
      { reason: 'conflict' },
    )
    assert.equal((await secretsOf(id))[0], secret)
  })

  test('one that the program disables while somebody makes it active is active without a reason to be disabled', async () => {
    const { id } = await api.add()
    const before = (await api.endpoints.find(null, id))!
    const prepared = await api.endpoints.prepareChange({ active: true })
    await database.sql`update webhooks set active = false, disabled_reason = 'failing', failing_since = now() where id = ${id}`
    await database.db.transaction((tx) => api.endpoints.change(tx, before, prepared))
    const { active, disabled_reason, failing_since } = await rowOf(id)
    assert.deepEqual([active, disabled_reason, failing_since], [true, null, null])
  })

  test('one that fails and stays active keeps since when, until it is somewhere else', async () => {
    const { id } = await api.add()
    await database.sql`update webhooks set failing_since = now() where id = ${id}`
    await api.patch(id, { active: true, url: HOOK })
    assert.notEqual((await rowOf(id)).failing_since, null)
    await api.patch(id, { url: `${HOOK}-2` })
    assert.equal((await rowOf(id)).failing_since, null)
  })

  test('a webhook is tested once at a time, and another beside it', async () => {
    const [one, other] = [await api.add(), await api.add()]
    const testOf = ({ id }: { id: string }) => api.ask('POST', `/v1/webhooks/${id}/test`, { body: {} })
    const answers = await Promise.all([testOf(one), testOf(one), testOf(other)])
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 409])
    assert.equal((await database.sql`select id from webhook_events`).length, 2)
    assert.equal((await testOf(one)).status, 200, 'once it is over')
  })

  test('both secrets outlive a rotation of data keys and one of master keys, each in its own place', async () => {
    const { id: tenant } = await api.createTenant()
    const { id, secret: first } = await api.add(hook, tenant)
    const { secret: second } = (await api.ask('POST', `/v1/webhooks/${id}/rotate-secret`, { tenant, body: {} })).json
    const secretsNow = async (keys: Buffer[]) => {
      const fresh = createEndpoints({ db: database.db, keyring: createKeyring(database.db, keys), checkUrl: async () => {}, now: () => api.clock.now })
      return fresh.secretsOf((await fresh.find(tenant, id))!)
    }
    const [old, next] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8)]
    const before = await rowOf(id)
    await database.sql`update data_keys set created_at = created_at - interval '2 hours'`
    assert.ok((await rotateDataKeys(database.db, createKeyProvider([old]), { isDryRun: false, record: null })).resealed >= 2)
    const after = await rowOf(id)
    assert.ok(after.secret !== before.secret && after.previous_secret !== before.previous_secret, 'sealed again')
    assert.deepEqual(await secretsNow([old]), [second, first])
    const rewrap = createRewrap(database.db, createKeyProvider([next, old]))
    while ((await rewrap.some(null)) > 0) assert.deepEqual(await secretsNow([next, old]), [second, first])
    assert.deepEqual(await secretsNow([next]), [second, first])
    await database.sql`update webhooks set secret = previous_secret where id = ${id}`
    await assert.rejects(secretsNow([next]), 'what was sealed for one place opens in no other')
  })
})
