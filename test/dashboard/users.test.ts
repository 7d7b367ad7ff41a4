import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PASSWORD } from '../admin/people.ts'
import { useDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

const dashboard = useDashboard()

const NEXT = 'five words that nobody says'
const found = async (email: string) => (await dashboard.api.ask('GET', '/v1/users?limit=1000')).json.users.find((one: { email: string }) => one.email === email)
const signsIn = async (email: string, password: string): Promise<boolean> => (await dashboard.api.login(email, password, '198.51.100.9')).status === 200

test('a person is added, given another role and password, deactivated and activated', async () => {
  const { get, done } = await dashboard.signedIn('owner')
  const blank = await get('/users/new')
  assertAccessible(blank.text, 'a new person')
  const form = formIn(blank.text, '/users')
  form.set('email', 'ada@example.com')
  form.set('name', '<b>Ada</b>')
  form.set('role', 'rule_author')
  form.set('password', PASSWORD)
  const added = await done('/users', form)
  assert.match(added.text, /was added as rule author/)
  assert.doesNotMatch(added.text, /<b>Ada/)
  assertAccessible(added.text, 'people')
  const ada = await found('ada@example.com')
  assert.deepEqual([ada.role, ada.tenant_id], ['rule_author', null])
  assert.equal(await signsIn('ada@example.com', PASSWORD), true)

  const path = `/users/${ada.id}`
  const change = formIn((await get(`${path}/edit`)).text, `${path}/edit`)
  assert.equal(change.get('password'), '')
  change.set('role', 'auditor')
  change.set('password', NEXT)
  await done(`${path}/edit`, change)
  assert.deepEqual(
    [(await found('ada@example.com')).role, await signsIn('ada@example.com', PASSWORD), await signsIn('ada@example.com', NEXT)],
    ['auditor', false, true],
  )
  assert.match((await done(`${path}/active`, { active: 'false' })).text, /was deactivated/)
  assert.equal(await signsIn('ada@example.com', NEXT), false)
  await done(`${path}/active`, { active: 'true' })
  assert.equal(await signsIn('ada@example.com', NEXT), true)
})

test('what the API refuses is said in its words, and what was written stays, but for the password', async () => {
  const { email } = await dashboard.api.person('viewer')
  const { get, post } = await dashboard.signedIn('owner')
  const form = formIn((await get('/users/new')).text, '/users')
  form.set('email', email)
  form.set('name', 'Twice')
  form.set('password', 'short')
  const weak = await post('/users', form)
  assert.equal(weak.status, 400)
  assert.match(weak.text, /<a href="#field-password">First password: /)
  assert.match(weak.text, /value="Twice"/)
  assert.doesNotMatch(weak.text, /value="short"/)
  form.set('password', PASSWORD)
  const taken = await post('/users', form)
  assert.equal(taken.status, 409)
  assert.match(taken.text, /Somebody has this e-mail address already\./)
  assert.doesNotMatch(taken.text, new RegExp(PASSWORD))
  assert.equal((await get('/users/usr_nobody/edit')).status, 404)
})

test('nobody is offered what the API would refuse: their own role, or roles beyond what they may do', async () => {
  const { id } = await dashboard.api.createTenant({ name: 'Small', rules_preset: null })
  const { email, get, post } = await dashboard.signedIn('owner', id)
  const self = await found(email)
  const page = await get(`/users/${self.id}/edit`)
  assert.doesNotMatch(page.text, /name="role"|name="password"/)
  assert.equal((await post(`/users/${self.id}/active`, { active: 'false' })).status, 409)
  assert.equal((await found(email)).active, true)
  const form = formIn((await get('/users/new')).text, '/users')
  form.set('email', 'within@example.com')
  form.set('role', 'operator')
  assert.equal((await post('/users', form)).status, 303)
  assert.equal((await found('within@example.com')).tenant_id, id)
  const { id: outside } = await dashboard.api.person('viewer')
  assert.equal((await get(`/users/${outside}/edit`)).status, 404)
  assert.equal((await post(`/users/${outside}/active`, { active: 'false' })).status, 404)
})

test('whoever may only look is offered nothing and can do nothing, and others see nobody', async () => {
  const { id, email } = await dashboard.api.person('viewer')
  const { get, post } = await dashboard.signedIn('auditor')
  const { text } = await get('/users')
  assert.ok(text.includes(email))
  assert.doesNotMatch(text, /Add a person|Deactivate<|\/edit"/)
  for (const [path, form] of [
    ['/users', { email: 'x@example.com', role: 'owner' }],
    [`/users/${id}/edit`, { role: 'owner', was: '' }],
    [`/users/${id}/active`, { active: 'false' }],
  ] as const)
    assert.equal((await post(path, form as unknown as Record<string, string>)).status, 403, path)
  assert.deepEqual([(await found(email)).role, (await found(email)).active], ['viewer', true])
  const operator = await dashboard.signedIn('operator')
  assert.equal((await operator.get('/users')).status, 403)
})
