import assert from 'node:assert/strict'
import { test } from 'node:test'
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
