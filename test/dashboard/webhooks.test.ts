import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { events } from '../../src/webhooks/event.ts'
import { manageWebhooks, minute, type WebhookManagement } from '../admin/hooks.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type DashboardUnderTest, openDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

let database: TestDatabase
let dashboard: DashboardUnderTest
let hooks: WebhookManagement
/** What the receiver of a test answers. */
let answered = { state: 'delivered', status: 200 as number | null, error: null as string | null }
before(async () => {
  database = await openTestDatabase('pglite')
  hooks = manageWebhooks(database)
  dashboard = await openDashboard(database, {
    webhooks: {
      async deliver(id) {
        const attempts = [{ at: minute(0), status: answered.status, error: answered.error, ms: 12, response: '<b>thanks</b>' }]
        await database.sql`update webhook_deliveries set state = ${answered.state}, lease = null, finished_at = now(), attempts = ${JSON.stringify(attempts)}::text::jsonb where id = ${id}`
      },
    },
  })
})
after(async () => {
  await dashboard.close()
  await database.drop()
})

const URL_OF = 'https://api.example.com/hook'
const found = async (id: string, tenant?: string) => (await dashboard.api.ask('GET', `/v1/webhooks/${id}`, tenant === undefined ? {} : { tenant })).json
const newest = async () => (await dashboard.api.ask('GET', '/v1/webhooks?limit=1')).json.webhooks[0]

test('a webhook is added, its secret shown once; it is changed, given another secret, and removed', async () => {
  const { get, post, done } = await dashboard.signedIn('owner')
  assert.match((await get('/webhooks')).text, /There are no webhooks yet/)
  const blank = await get('/webhooks/new')
  assertAccessible(blank.text, 'a new webhook')
  for (const name of Object.keys(events)) assert.match(blank.text, new RegExp(`value="${name}"`), name)
  const form = formIn(blank.text, '/webhooks')
  assert.deepEqual(form.getAll('events'), ['*'])
  form.set('url', URL_OF)
  form.set('description', '<i>SIEM</i>')
  form.set('events', 'BLOCK')
  form.append('events', 'ESCALATE')
  const added = await post('/webhooks', form)
  assert.equal(added.status, 201)
  const [secret] = /whsec_[\w+/=]+/.exec(added.text) ?? assert.fail('no secret')
  const webhook = await newest()
  assert.deepEqual([webhook.url, webhook.description, webhook.events.toSorted(), webhook.tenant_id], [URL_OF, '<i>SIEM</i>', ['BLOCK', 'ESCALATE'], null])
  const path = `/webhooks/${webhook.id}`
  for (const one of ['/webhooks', path, `${path}/edit`]) {
    const { text } = await get(one)
    assert.ok(!text.includes(secret), one)
    assert.doesNotMatch(text, /<i>SIEM/, one)
    assertAccessible(text, one)
  }
  const change = formIn((await get(`${path}/edit`)).text, `${path}/edit`)
  change.delete('active')
  change.set('description', '')
  await done(`${path}/edit`, change)
  const after = await found(webhook.id)
  assert.deepEqual([after.active, after.description, after.events], [false, '', webhook.events])
  const rotated = await post(`${path}/rotate-secret`)
  const [other] = /whsec_[\w+/=]+/.exec(rotated.text) ?? assert.fail('no secret')
  assert.notEqual(other, secret)
  assert.match(rotated.text, /the one before signs as well/)
  assert.ok(!(await get(path)).text.includes(other))
  assert.match((await done(`${path}/remove`)).text, /were removed/)
  assert.equal((await get(path)).status, 404)
})

test('what the API refuses is said in its words, and what was written stays, but for the secret', async () => {
  const { get, post } = await dashboard.signedIn('owner')
  const form = formIn((await get('/webhooks/new')).text, '/webhooks')
  form.set('url', 'https://inside.example.com/hook')
  form.set('secret', 'a secret of my own that is long enough')
  const blanks = await post('/webhooks', form)
  assert.equal(blanks.status, 400)
  assert.match(blanks.text, /<a href="#field-secret">Secret: /)
  form.set('secret', 'a-secret-of-my-own-that-is-long-enough')
  const refused = await post('/webhooks', form)
  assert.equal(refused.status, 422)
  assert.match(refused.text, /value="https:\/\/inside\.example\.com\/hook"/)
  assert.ok(!refused.text.includes('a-secret-of-my-own'))
  form.delete('events')
  assert.equal((await post('/webhooks', form)).status, 400)
})

test('a test says at once what came of it, and stands among the deliveries with its attempts', async () => {
  const { id } = (await dashboard.api.ask('POST', '/v1/webhooks', { body: { url: URL_OF } })).json
  const { get, post } = await dashboard.signedIn('operator')
  const arrived = await post(`/webhooks/${id}/test`)
  assert.match(arrived.text, /The test arrived: it answered 200 after 12 ms\./)
  answered = { state: 'dead', status: null, error: 'ECONNREFUSED' }
  const failed = await post(`/webhooks/${id}/test`)
  assert.match(failed.text, /The test did not arrive\. Nothing came back \(ECONNREFUSED\) after 12 ms\./)
  const { text } = await get(`/webhooks/${id}?event=TEST&show=dead`)
  assert.match(text, /1, the last: ECONNREFUSED/)
  assert.match(text, /&lt;b&gt;thanks/)
  assert.match(text, /<option value="dead" selected>/)
})

test('one event is replayed, or all of a time; what a first part leaves is offered', async () => {
  const { id } = (await dashboard.api.ask('POST', '/v1/webhooks', { body: { url: URL_OF } })).json
  const ids = await hooks.addDeliveries(id, 10_020)
  const { get, post, done } = await dashboard.signedIn('owner')
  const path = `/webhooks/${id}`
  assert.match((await done(`${path}/deliveries/${ids[3]}/replay`)).text, /is sent again, under the same event id/)
  assert.deepEqual((await hooks.states(id)).pending, 1)
  const form = formIn((await get(path)).text, `${path}/replay`)
  form.set('from', minute(10).slice(0, 16))
  form.set('to', minute(5).slice(0, 16))
  const refused = await post(`${path}/replay`, form)
  assert.equal(refused.status, 400)
  assert.match(refused.text, /Must be later than from\./)
  assert.ok(refused.text.includes(`value="${minute(10).slice(0, 16)}"`))
  form.set('to', minute(20).slice(0, 16))
  assert.match((await done(`${path}/replay`, form)).text, /10 events are sent again/)
  form.set('from', minute(0).slice(0, 16))
  form.set('to', minute(20_000).slice(0, 16))
  const part = await post(`${path}/replay`, form)
  assert.equal(part.status, 200)
  assert.match(part.text, /10000 events are sent again/)
  const [, rest] = /<div class="notice advice">([\s\S]*?<\/form>)/.exec(part.text) ?? assert.fail('nothing is left')
  assert.match((await done(`${path}/replay`, formIn(rest!, `${path}/replay`))).text, /9 events are sent again/)
})

test('whoever sees a tenant alone sees its webhooks, and whoever may only look is offered nothing and can do nothing', async () => {
  const tenant = await dashboard.api.createTenant({ name: 'Told', rules_preset: null })
  const its = (await dashboard.api.ask('POST', '/v1/webhooks', { tenant: tenant.id, body: { url: `${URL_OF}/theirs` } })).json
  const owner = await dashboard.signedIn('owner')
  assert.ok((await owner.get('/webhooks')).text.includes(`/webhooks/${its.id}?of=${tenant.id}`))
  assert.match((await owner.get(`/webhooks/${its.id}?of=${tenant.id}`)).text, /Told/)
  const [delivery] = await hooks.addDeliveries(its.id, 1, { tenantId: tenant.id })
  const { get, post } = await dashboard.signedIn('auditor', tenant.id)
  const { text } = await get(`/webhooks/${its.id}`)
  assert.match(text, /theirs/)
  assert.doesNotMatch(text, /Send a test|\/edit|Replay|another secret|Remove/)
  for (const [path, form] of [
    ['/webhooks', { url: URL_OF, events: '*' }],
    [`/webhooks/${its.id}/edit`, { url: URL_OF, was: '' }],
    [`/webhooks/${its.id}/test`, {}],
    [`/webhooks/${its.id}/rotate-secret`, {}],
    [`/webhooks/${its.id}/replay`, { from: '2026-01-01T00:00', to: '2027-01-01T00:00' }],
    [`/webhooks/${its.id}/deliveries/${delivery}/replay`, {}],
    [`/webhooks/${its.id}/remove`, {}],
  ] as const)
    assert.equal((await post(path, form as unknown as Record<string, string>)).status, 403, path)
  assert.equal((await found(its.id, tenant.id)).url, `${URL_OF}/theirs`)
  const other = await dashboard.api.createTenant({ rules_preset: null })
  const stranger = await dashboard.signedIn('owner', other.id)
  assert.equal((await stranger.get(`/webhooks/${its.id}?of=${tenant.id}`)).status, 404)
})
