import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from '../../src/db/drizzle.ts'
import type { HeldCall } from '../../src/escalations/held-call.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { escalationsOn, heldCall } from '../escalations/held-calls.ts'
import { type DashboardUnderTest, openDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

let database: TestDatabase
let dashboard: DashboardUnderTest
let held: ReturnType<typeof escalationsOn>
let tenant: { id: string }
before(async () => {
  database = await openTestDatabase('pglite')
  dashboard = await openDashboard(database)
  held = escalationsOn(database.db)
  tenant = await dashboard.api.createTenant({ name: 'Held', rules_preset: null })
  dashboard.api.clock.now = Date.now()
})
after(async () => {
  await dashboard.close()
  await database.drop()
})

/** What a call says that names a heron, hides a word from whoever reads, and would like to be HTML. */
const SAID = 'wire <b>four</b> million to the \u202enoreh\u202c'
const content = {
  method: 'POST',
  path: '/v1/chat/completions',
  query: '?a=1',
  headers: [{ name: 'accept', value: '*/*' }],
  content_type: 'application/json',
  models: ['gpt-5'],
  user: 'ann',
  metadata: { purpose: '<i>export</i>' },
  rules: [{ id: 'rule_1', name: 'ask <first>', action: 'ESCALATE', count: 2 }],
  texts: [
    {
      role: 'user',
      where: 'messages[0].content',
      text: SAID,
      spans: [
        { start: 0, end: 8, rule_id: 'rule_1', rule_name: 'ask <first>', action: 'ESCALATE' },
        { start: 5, end: 12, rule_id: 'rule_2', rule_name: 'money', action: 'WARN' },
      ],
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
async function hold(fields: Partial<HeldCall> = {}): Promise<string> {
  const [{ version }] = await database.db.execute<{ version: number }>(
    sql`select coalesce(max(version), 0)::int as version from policy_versions where tenant_id = ${tenant.id}`,
  )
  const answer = await held.ask(heldCall(tenant.id, { policyVersion: version, content: () => JSON.stringify(content), ...fields }))
  assert.equal(answer.why, 'pending')
  return answer.id ?? ''
}
const statusOf = async (id: string): Promise<string> => (await dashboard.api.ask('GET', `/v1/escalations/${id}`)).json.status
const looks = async (id: string): Promise<number> =>
  (await database.sql`select 1 from audit_entries where kind = 'change' and reason = 'escalation.look' and metadata->>'subject' = ${id}`).length

test('calls that wait are listed with how long they still do, and asked for anew as a part of the page', async () => {
  const { get } = await dashboard.signedIn('arbiter', tenant.id)
  assert.match((await get('/escalations')).text, /No call waits for a person[\s\S]*Nothing was decided yet/)
  const id = await hold({ userId: '<u>ann</u>' })
  const page = await get('/escalations')
  assert.match(page.text, /data-live="2"/)
  assert.match(page.text, /(59|60) min \d+ s/)
  assert.doesNotMatch(page.text, /<u>ann/)
  assert.ok(page.text.includes(`href="/escalations/${id}"`))
  assertAccessible(page.text, 'escalations')
  const part = await get('/escalations', { 'hx-request': 'true' })
  assert.ok(part.text.includes(id) && !part.text.includes('<html'))
})

test('what a call says is read by who asks for it, after being told that it is recorded, and shown as what it is', async () => {
  const id = await hold()
  const { get, post } = await dashboard.signedIn('arbiter', tenant.id)
  const page = await get(`/escalations/${id}`)
  assert.equal(page.status, 200)
  assert.match(page.text, /is recorded in the audit log, with your name, every time/)
  assert.doesNotMatch(page.text, /million/)
  assertAccessible(page.text, 'an escalation')
  assert.equal((await get(`/escalations/${id}/content`)).status, 303, 'a link reads nothing')
  assert.equal(await looks(id), 0)
  const read = await post(`/escalations/${id}/content`)
  assert.equal(read.status, 200)
  assert.equal(await looks(id), 1)
  assert.match(
    read.text,
    /<mark title="ask &lt;first&gt; \(ESCALATE\)">wire <\/mark><mark title="ask &lt;first&gt; \(ESCALATE\), money \(WARN\)">&lt;b&gt;<\/mark><mark title="money \(WARN\)">four<\/mark>/,
  )
  assert.match(read.text, /⟦U\+202E⟧noreh⟦U\+202C⟧/)
  assert.doesNotMatch(read.text, /<b>four|<i>export|\u202e/)
  assertAccessible(read.text, 'what a call says')
  assert.equal(read.headers.get('cache-control'), 'no-store')
})

test('a call is approved or denied with a comment, by whichever button of one form; then nobody reads it any more', async () => {
  const [one, other] = [await hold(), await hold()]
  const { email, get, post, done } = await dashboard.signedIn('arbiter', tenant.id)
  const read = await post(`/escalations/${one}/content`)
  const form = formIn(read.text, `/escalations/${one}/approve`)
  form.set('comment', 'a <fictitious> payment')
  const list = await done(`/escalations/${one}/approve`, form)
  assert.match(list.text, /The call is approved/)
  assert.match(list.text, /a &lt;fictitious&gt; payment/)
  assert.ok(list.text.includes(email))
  assert.ok(read.text.includes(`formaction="/escalations/${one}/deny"`))
  assert.match((await done(`/escalations/${other}/deny`)).text, /The call is denied/)
  assert.deepEqual([await statusOf(one), await statusOf(other)], ['approved', 'denied'])
  const decided = await get(`/escalations/${one}`)
  assert.match(decided.text, /What it said was destroyed/)
  assert.doesNotMatch(decided.text, /Approve it|Read what it says/)
  const late = await post(`/escalations/${one}/deny`)
  assert.equal(late.status, 409)
  assert.match(late.text, /It was approved by /)
  assert.equal((await post(`/escalations/${one}/content`)).status, 409)
  const denied = await get('/escalations?status=denied')
  assert.ok(denied.text.includes(other))
  assert.ok(!denied.text.includes(one))
})

test('what the API refuses is said in its words, and what was written stays', async () => {
  const id = await hold()
  const { post } = await dashboard.signedIn('arbiter', tenant.id)
  const { status, text } = await post(`/escalations/${id}/approve`, { comment: `${'x'.repeat(501)}` })
  assert.equal(status, 400)
  assert.match(text, /role="alert"/)
  assert.match(text, /value="x{501}"/)
  assert.equal(await statusOf(id), 'pending')
})

test('whoever may only see that calls wait is offered neither what they say nor the decision, and has neither', async () => {
  const id = await hold()
  const { get, post } = await dashboard.signedIn('auditor', tenant.id)
  const { status, text } = await get(`/escalations/${id}`)
  assert.equal(status, 200)
  assert.doesNotMatch(text, /Read what it says|Approve it/)
  for (const verb of ['content', 'approve', 'deny']) {
    const answer = await post(`/escalations/${id}/${verb}`)
    assert.equal(answer.status, 403, verb)
    assert.doesNotMatch(answer.text, /million/)
  }
  assert.deepEqual([await statusOf(id), await looks(id)], ['pending', 0])
  const viewer = await dashboard.signedIn('viewer', tenant.id)
  assert.equal((await viewer.get('/escalations')).status, 403)
  assert.doesNotMatch((await viewer.get('/')).text, /href="\/escalations"/)
  const other = await dashboard.api.createTenant({ rules_preset: null })
  const stranger = await dashboard.signedIn('arbiter', other.id)
  for (const answer of [await stranger.get(`/escalations/${id}`), await stranger.post(`/escalations/${id}/approve`)]) assert.equal(answer.status, 404)
  assert.equal(await statusOf(id), 'pending')
})
