/** What a person does with a browser, from signing in to replaying a webhook; and what no page may have. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { canaries } from '../harness/canaries.ts'
import { request } from '../harness/client.ts'
import { chat, until } from '../harness/earthflow.ts'
import { findChromium } from '../services/chromium.ts'
import { openBrowser, overflow, seriousFaults, signIn } from './browser.ts'
import { openScene, type Scene } from './scene.ts'

const missing = await findChromium().then(
  () => false as const,
  (error: unknown) => `no browser can be had on this machine: ${error instanceof Error ? error.message.split('\n')[0] : ''}`,
)

let scene: Scene
let browser: Awaited<ReturnType<typeof openBrowser>>
before(async () => {
  if (missing) return
  scene = await openScene()
  browser = await openBrowser(scene.dashboard)
})
after(async () => {
  if (missing) return
  await browser.close()
  await scene.close()
})

test('a person signs in, creates a tenant and a rule, sees a blocked call appear, approves what waits, and replays a webhook', { skip: missing }, async () => {
  const { page, complaints, context } = await browser.look({ scheme: 'light', width: 'wide' })
  const { owner, earthflow } = scene
  await signIn(page, owner)

  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Tenants' }).click()
  await page.getByRole('link', { name: 'Create a tenant' }).first().click()
  await page.getByLabel('Name', { exact: false }).first().fill('Beta Works')
  await page.getByRole('button', { name: 'Create the tenant' }).click()
  await page.getByRole('heading', { level: 1, name: /Beta Works/ }).waitFor()
  const key = (await page.locator('[data-secret]').first().textContent()) ?? ''
  assert.match(key, /^ef_(?:live|test)_/)
  canaries.secret('the key of a tenant', key)

  await page.goto('/rules')
  await page.getByLabel('Tenant').selectOption({ label: 'Beta Works' })
  await page.waitForURL(/tenant_id=/)
  await page.getByRole('link', { name: 'New rule' }).click()
  await page.getByLabel('Name').fill('No falcons')
  await page.getByLabel('Value').first().fill('project falcon')
  await page.getByLabel('What the user says').fill('Tell me about Project Falcon.')
  await page.getByRole('button', { name: 'Try this rule' }).click()
  assert.equal(await page.locator('.tester mark').textContent(), 'Project Falcon')
  await page.getByRole('button', { name: 'Add the rule' }).click()
  await page.getByText('The rule “No falcons” is in force.').waitFor()

  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Overview' }).click()
  const newest = page.getByRole('region', { name: 'Newest calls' })
  assert.equal(await newest.count(), 0)
  await until(async () => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    return (await request(earthflow.origin, 'POST', '/v1/chat/completions', chat('about project falcon'), headers)).status === 403
  }, 'the rule to be in force')
  await newest.getByText('Blocked').first().waitFor()

  await page.goto('/escalations')
  await page
    .getByRole('link', { name: /^Decide/ })
    .first()
    .click()
  await page.getByRole('button', { name: 'Read what it says' }).click()
  await page.getByText('Write the discharge letter of today.').first().waitFor()
  await page.getByLabel('Comment').fill('Seen by me')
  await page.getByRole('button', { name: 'Approve it' }).click()
  await page.getByText('Seen by me').first().waitFor()

  await page.goto(scene.paths.find((path) => path.startsWith('/webhooks/')) ?? '')
  const before = scene.receiver.received.length
  const dead = page.getByRole('row', { name: /dead/ })
  await dead
    .getByRole('button', { name: /^Replay/ })
    .first() // on a slow machine more than one has been given up by now
    .click()
  await until(() => scene.receiver.received.length > before, 'the replayed delivery')
  await context.close()
  assert.deepEqual(complaints, [])
})

test('no page has a serious fault of accessibility, asks anything of anybody else, breaks the policy or sticks out of a narrow screen', {
  skip: missing,
}, async () => {
  // The proof `dashboard` looks at every page in all four ways.
  for (const look of [
    { scheme: 'light', width: 'wide' },
    { scheme: 'dark', width: 'narrow' },
  ] as const) {
    const { page, complaints, context } = await browser.look(look)
    await page.goto('/sign-in')
    assert.deepEqual(await seriousFaults(page), [], '/sign-in')
    await signIn(page, scene.owner)
    for (const path of scene.paths) {
      const answer = await page.goto(path)
      assert.equal(answer?.status(), path === '/nowhere' ? 404 : 200, path)
      assert.deepEqual(await seriousFaults(page), [], `${path} ${JSON.stringify(look)}`)
      assert.equal(await overflow(page), 0, `${path} ${JSON.stringify(look)}`)
    }
    await context.close()
    assert.deepEqual(complaints, [], JSON.stringify(look))
  }
})

test('one long name does not push what stands beside it out of sight', { skip: missing }, async () => {
  await scene.earthflow.newTenant({ name: 'x'.repeat(200) })
  const { page, context } = await browser.look({ scheme: 'light', width: 'wide' })
  await signIn(page, scene.owner)
  for (const path of ['/tenants', '/keys', '/exchanges?period=all']) {
    await page.goto(path)
    assert.equal(await page.evaluate(`(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.table-box'))`), 0, path)
  }
  await context.close()
})

test('a part whose answer takes long is asked for more rarely, so that many who watch do not keep a slow server busy', { skip: missing }, async () => {
  const { page, context } = await browser.look({ scheme: 'light', width: 'wide' })
  await page.clock.install()
  await signIn(page, scene.owner)
  let asked = 0
  let isSlow = true
  await page.route('**/?part=figures', async (route) => {
    asked++
    if (isSlow) await page.clock.runFor(4_000)
    await route.fulfill({ status: 200, contentType: 'text/html', body: `<p>answer ${asked}</p>` })
  })
  await page.clock.runFor(2_000)
  await page.getByText('answer 1').waitFor()
  isSlow = false
  await page.clock.runFor(60_000)
  assert.equal(asked, 1, 'four seconds are paid for with eighty')
  await page.clock.runFor(30_000)
  await page.getByText(/answer [2-9]/).waitFor()
  await context.close()
})

test('times are those of the reader, and everything can be reached and done by keyboard alone', { skip: missing }, async () => {
  const { page, context } = await browser.look({ scheme: 'light', width: 'wide' })
  await page.goto('/sign-in')
  await page.keyboard.press('Tab')
  await page.keyboard.type(scene.owner.email)
  await page.keyboard.press('Tab')
  await page.keyboard.type(scene.owner.password)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  assert.equal(await page.evaluate('document.activeElement.id'), 'main')
  await page.goto('/rules/versions?tenant_id='.concat(scene.tenant.tenant_id))
  const [iso, shown, title] = (await page.evaluate(
    `(({ dateTime, textContent, title }) => [dateTime, textContent, title])(document.querySelector('main time'))`,
  )) as [string, string, string]
  const zone = new Intl.DateTimeFormat('en-GB', { timeZone: 'America/New_York', dateStyle: 'medium', timeStyle: 'medium' })
  assert.equal(shown, zone.format(new Date(iso)))
  assert.match(title, /UTC$/)
  await context.close()
})

test('over TLS the login is a cookie for this host alone, over plain HTTP one that a browser takes there, and neither is seen by scripts', {
  skip: missing,
}, async () => {
  for (const [origin, expected] of [
    [scene.dashboard.replace('http:', 'https:'), { name: '__Host-earthflow-login', secure: true }],
    [scene.dashboard, { name: 'earthflow-login', secure: false }],
  ] as const) {
    const { page, context } = await browser.look({ scheme: 'light', width: 'wide' })
    await signIn(page, scene.owner, origin)
    const [{ name, secure, httpOnly, sameSite }] = await context.cookies()
    assert.deepEqual({ name, secure, httpOnly, sameSite }, { ...expected, httpOnly: true, sameSite: 'Strict' })
    assert.equal(await page.evaluate('document.cookie'), '')
    await context.close()
  }
})

test('without JavaScript one signs in, writes a rule and tries it all the same', { skip: missing }, async () => {
  const { page, context } = await browser.look({ scheme: 'light', width: 'wide' })
  await context.route(/\.js$/, (route) => route.abort())
  await signIn(page, scene.owner)
  await page.goto(`/rules/new?tenant_id=${scene.tenant.tenant_id}`)
  await page.getByLabel('Name').fill('By hand')
  await page.getByLabel('Value').first().fill('by hand')
  await page.getByLabel('What the user says').fill('Done by hand.')
  await page.getByRole('button', { name: 'Try this rule' }).click()
  assert.equal(await page.locator('mark').textContent(), 'by hand')
  await page.getByRole('button', { name: 'Add the rule' }).click()
  await page.getByText('The rule “By hand” is in force.').waitFor()
  await page.getByRole('button', { name: 'Delete By hand' }).click()
  await page.getByText('The rule is removed.').waitFor()
  await context.close()
})
