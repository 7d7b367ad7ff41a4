import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AdminParts } from '../../src/admin/parts.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type DashboardUnderTest, openDashboard } from './dashboard-people.ts'
import { assertAccessible } from './form-in.ts'

let database: TestDatabase
let dashboard: DashboardUnderTest
type Examined = Awaited<ReturnType<AdminParts['doctor']['examine']>>
const checks = [
  { name: 'hashes', about: 'prompts are hashed so that nobody guesses them' },
  { name: 'limits', about: 'every tenant has limits of its own' },
]
let findings: Examined['findings'] = []
let services: Awaited<ReturnType<AdminParts['doctor']['services']>> = null
before(async () => {
  database = await openTestDatabase('pglite')
  dashboard = await openDashboard(database, {
    doctor: { examine: async () => ({ checks, findings }), services: async () => services },
    settings: [
      { name: 'EARTHFLOW_LOG_LEVEL', value: '<DEBUG>', default: 'INFO', secret: false, source: 'environment' },
      { name: 'EARTHFLOW_ADMIN_API_KEY', value: '***', default: null, secret: true, source: 'file' },
      { name: 'REDIS_URL', value: null, default: null, secret: true, source: 'default' },
    ],
  })
})
after(async () => {
  await dashboard.close()
  await database.drop()
})

test('what the doctor finds is told by its weight, with what is in order, and with the health of the process', async () => {
  const { get } = await dashboard.signedIn('owner')
  const clean = await get('/doctor')
  assert.match(clean.text, /Nothing was found: 2 checks\./)
  assert.match(clean.text, /This process takes no calls/)
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  findings = [
    { check: 'limits', level: 'warn', sentence: `1 tenant without a limit of their own (${id}): set one.` },
    { check: 'files', level: 'fail', sentence: 'The folder <data> is open to everybody: chmod 700.' },
  ]
  services = { accepting: { state: 'ok' }, database: { state: 'degraded', detail: 'not reached for 12 s' } }
  const { text } = await get('/doctor')
  assertAccessible(text, 'the doctor')
  assert.match(text, /To be mended[\s\S]*The folder &lt;data&gt; is open[\s\S]*To be decided[\s\S]*without a limit/)
  assert.ok(text.includes(`href="/tenants/${id}"`))
  assert.match(text, /degraded[\s\S]*not reached for 12 s/)
  assert.match(text, /In order[\s\S]*hashes/)
  assert.doesNotMatch(text.slice(text.indexOf('In order')), /every tenant has limits/)
})

test('settings are listed with where they come from, and of secrets nothing but that they are set', async () => {
  const { get } = await dashboard.signedIn('auditor')
  const { text } = await get('/settings')
  assertAccessible(text, 'settings')
  assert.match(text, /&lt;DEBUG&gt;[\s\S]*the environment[\s\S]*INFO/)
  assert.match(text, /\*\*\*[\s\S]*a file/)
  assert.match(text, /not set/)
})

test('the doctor is for owners of the installation, and settings for who runs it', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  for (const [role, tenantId, doctor, settings] of [
    ['owner', id, 403, 403],
    ['operator', null, 403, 200],
    ['viewer', null, 403, 403],
  ] as const) {
    const { get } = await dashboard.signedIn(role, tenantId)
    assert.deepEqual([(await get('/doctor')).status, (await get('/settings')).status], [doctor, settings], role)
    assert.doesNotMatch((await get('/agents')).text, /href="\/doctor/)
  }
})
