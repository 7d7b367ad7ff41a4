import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDashboard } from '../../src/dashboard/dashboard.ts'
import { PASSWORD } from '../admin/people.ts'
import { useDashboard } from './dashboard-people.ts'

const dashboard = useDashboard()

test('whoever is not signed in sees the page for signing in and nothing else, and comes back to where they wanted to go', async () => {
  const { get, post } = dashboard.visitor()
  for (const path of ['/', '/rules', '/exchanges?status=BLOCK', '/account', '/nowhere', '/v1/audit']) {
    const { status, location } = await get(path)
    assert.deepEqual([status, location], [303, path === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(path)}`], path)
  }
  const page = await get('/sign-in?next=%2Frules')
  assert.equal(page.status, 200)
  assert.match(page.text, /name="next" value="\/rules"/)
  const { email } = await dashboard.api.person('owner')
  const { status, location } = await post('/sign-in', { email, password: PASSWORD, next: '/rules' })
  assert.deepEqual([status, location], [303, '/rules'])
})

test('a wrong password is told in the API’s sentence, keeps the address, and lets nobody in', async () => {
  const { get, post } = dashboard.visitor()
  const { email } = await dashboard.api.person('owner')
  const { status, text, headers } = await post('/sign-in', { email, password: 'not this one at all' })
  assert.equal(status, 401)
  assert.match(text, /The e-mail address or the password is wrong\./)
  assert.ok(text.includes(`value="${email}"`))
  assert.deepEqual(headers.getSetCookie(), [])
  assert.equal((await get('/')).status, 303)
})

test('whoever came by plain HTTP where TLS ends before us is told so: their browser would keep no login', async () => {
  const { fetch } = createDashboard({
    management: { fetch: () => assert.fail('nobody is asked') },
    version: '1',
    proxyUrl: () => '',
    now: Date.now,
    report: (error) => assert.fail(String(error)),
  })
  const send = (origin: string): Promise<Response> => {
    const headers = { host: 'gov.example.com', origin, 'content-type': 'text/plain' }
    return fetch(new Request('http://gov.example.com/sign-in', { method: 'POST', headers, body: 'x' }), {
      peer: { address: '203.0.113.7', certificate: null },
      isEncrypted: true,
    })
  }
  const told = await send('http://gov.example.com')
  assert.equal(told.status, 400)
  assert.match(await told.text(), /Open the dashboard by https:/)
  assert.equal((await send('https://gov.example.com')).status, 415)
})

test('after signing in nobody is led to another site', async () => {
  const { email } = await dashboard.api.person('owner')
  for (const next of ['//evil.example', '/\\evil.example', 'https://evil.example/', 'javascript:alert(1)', '/\t/evil.example']) {
    const { location } = await dashboard.visitor().post('/sign-in', { email, password: PASSWORD, next })
    assert.equal(location, '/', next)
  }
})

test('signing out ends the login itself, not only the cookie', async () => {
  const { get, post } = await dashboard.signedIn('owner')
  assert.equal((await get('/account')).status, 200)
  const { location } = await post('/sign-out')
  assert.equal(location, '/sign-in')
  assert.match((await get('/sign-in')).text, /You are signed out\./)
  assert.doesNotMatch((await get('/sign-in')).text, /You are signed out\./)
  assert.equal((await get('/account')).status, 303)
})

test('whoever sends a form when their login has ended is told that nothing was done', async () => {
  const { email, post, get } = await dashboard.signedIn('auditor')
  const other = dashboard.visitor()
  await other.post('/sign-in', { email, password: PASSWORD })
  const next = 'four other words instead'
  assert.equal((await other.post('/account', { current_password: PASSWORD, password: next, again: next })).location, '/sign-in')
  assert.equal((await post('/account', {})).location, '/sign-in')
  assert.match((await get('/sign-in')).text, /Your login had ended, so nothing was done\./)
  assert.doesNotMatch((await get('/sign-in')).text, /had ended/)
  // Of whoever only looks nothing was to be done.
  await dashboard.visitor().get('/account')
  assert.doesNotMatch((await dashboard.visitor().get('/sign-in')).text, /had ended/)
})

test('the password is changed only where the current one is given and the new one is typed twice alike', async () => {
  const { email, post, get } = await dashboard.signedIn('auditor')
  const next = 'four other words instead'
  const wrong = await post('/account', { current_password: 'not this one at all', password: next, again: next })
  assert.equal(wrong.status, 403)
  assert.match(wrong.text, /The current password is wrong\./)
  const differs = await post('/account', { current_password: PASSWORD, password: next, again: `${next}!` })
  assert.equal(differs.status, 422)
  const weak = await post('/account', { current_password: PASSWORD, password: 'short', again: 'short' })
  assert.equal(weak.status, 400)
  const { location } = await post('/account', { current_password: PASSWORD, password: next, again: next })
  assert.equal(location, '/sign-in')
  assert.equal((await get('/')).status, 303)
  assert.equal((await dashboard.visitor().post('/sign-in', { email, password: next })).location, '/')
})
