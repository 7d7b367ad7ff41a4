import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createCheckpointer } from '../../src/audit/chain/checkpointer.ts'
import { createLogKey } from '../../src/audit/chain/note.ts'
import { createChainWriter } from '../../src/audit/chain/writer.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { seal, write } from '../audit/chain/chains.ts'
import { entryOf, insertEntries } from '../audit/entries.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type DashboardUnderTest, openDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

let database: TestDatabase
let dashboard: DashboardUnderTest
let tenant: { id: string }
before(async () => {
  database = await openTestDatabase('pglite')
  dashboard = await openDashboard(database)
  tenant = await dashboard.api.createTenant({ name: 'Logged', rules_preset: null })
})
after(async () => {
  await dashboard.close()
  await database.drop()
})

test('checkpoints are listed with the key that verifies them; before the first the page says how there comes to be one', async () => {
  const { get, post } = await dashboard.signedIn('auditor', tenant.id)
  assert.match((await get('/checkpoints')).text, /There is no checkpoint yet/)
  await database.sql`truncate audit_entries`
  const keyring = createKeyring(database.db, [Buffer.alloc(32, 7)])
  const logKey = createLogKey({ db: database.db, checkpointKey: () => keyring.checkpointKey() })
  const writer = createChainWriter({ origin: (await logKey()).origin, processId: 'p_1', version: '1' })
  const entries = Array.from({ length: 3 }, () => entryOf({ tenant_id: tenant.id }))
  await write(database, writer, entries)
  await createCheckpointer({
    database,
    processId: 'p_1',
    version: '1',
    logKey,
    seal,
    sink: null,
    everyMs: 0,
    report: () => assert.fail('nothing is to be reported'),
  }).run()

  const { text } = await get('/checkpoints')
  assertAccessible(text, 'checkpoints')
  const { checkpoints, public_key: key } = (await dashboard.api.ask('GET', '/v1/audit/checkpoints')).json
  assert.ok(text.includes(key.replaceAll('"', '&quot;')))
  assert.ok(text.includes(checkpoints[0].root))
  const verified = await post('/checkpoints/verify')
  assert.equal(verified.status, 200)
  assert.match(verified.text, /Verified: the newest 3 entries say what was logged/)

  await database.sql`update audit_entries set model = 'another' where audit_id = ${entries[1]!.audit_id}`
  const changed = await post('/checkpoints/verify')
  assert.match(changed.text, /Not verified: something was changed, or is missing/)
  assert.ok(changed.text.includes(`/exchanges/${entries[1]!.audit_id}`))
})

test('entries are exported as files, and the complete log to whoever stands for the installation', async () => {
  const { get } = await dashboard.signedIn('auditor', tenant.id)
  const page = (await get('/checkpoints')).text
  assert.doesNotMatch(page, /complete=true/)
  const csv = await get('/checkpoints/export?format=csv')
  assert.equal(csv.status, 200)
  assert.match(csv.headers.get('content-type') ?? '', /^text\/csv/)
  assert.match(csv.headers.get('content-disposition') ?? '', /^attachment; filename="earthflow-audit-[\d-]+\.csv"$/)
  assert.ok(csv.text.split('\n').length >= 4)
  assert.equal((await get('/checkpoints/export?complete=true')).status, 403)
  const owner = await dashboard.signedIn('owner')
  assert.match((await owner.get('/checkpoints')).text, /complete=true/)
  assert.equal((await owner.get('/checkpoints/export?complete=true')).status, 200)
})

test('a person is erased by who owns the tenant, where the name is typed twice alike', async () => {
  await insertEntries(database.db, [{ tenantId: tenant.id, userId: 'ann <b>' }])
  const { get, post } = await dashboard.signedIn('owner', tenant.id)
  assert.match((await get('/checkpoints')).text, /href="\/checkpoints\/erase"/)
  const blank = await get('/checkpoints/erase')
  assertAccessible(blank.text, 'erasing')
  const form = formIn(blank.text, '/checkpoints/erase')
  form.set('user_id', 'ann <b>')
  form.set('again', 'anne')
  const wrong = await post('/checkpoints/erase', form)
  assert.equal(wrong.status, 422)
  assert.doesNotMatch(wrong.text, /ann <b>/)
  form.set('again', 'ann <b>')
  const { status, text } = await post('/checkpoints/erase', form)
  assert.equal(status, 200)
  assert.match(text, /\d+ entr(?:y|ies) no longer say/)
  const auditor = await dashboard.signedIn('auditor', tenant.id)
  assert.doesNotMatch((await auditor.get('/checkpoints')).text, /checkpoints\/erase/)
  assert.deepEqual([(await auditor.get('/checkpoints/erase')).status, (await auditor.post('/checkpoints/erase', form)).status], [403, 403])
})

test('whoever may not read the audit log sees no checkpoints', async () => {
  const { get, post } = await dashboard.signedIn('viewer', tenant.id)
  for (const answer of [await get('/checkpoints'), await post('/checkpoints/verify'), await get('/checkpoints/export')]) assert.equal(answer.status, 403)
})
