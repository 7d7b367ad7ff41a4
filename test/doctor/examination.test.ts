/** The checklist of a running Earthflow, on a database that it has open. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { checks } from '../../src/doctor/checks.ts'
import { createExamination, type ExaminedParts } from '../../src/doctor/examination.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { createInstallation, type Installation, strong } from './installation.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let installation: Installation
  before(async () => {
    database = await open()
    installation = await createInstallation(`postgres://earthflow:${strong()}@127.0.0.1:5432/earthflow`)
  })
  after(async () => {
    installation.remove()
    await database.drop()
  })

  const examiner = (settings: Record<string, string> = {}, more: Partial<ExaminedParts> = {}) => {
    const environment = { ...installation.environment, ...settings }
    const config = readConfig(environment, { dotenv: null, provide: () => assert.fail() })
    return createExamination({ config, environment, dotenv: null, database, ...more })
  }

  test('the checks that need a database are made with the one that is open, beside all others, and no secret is told', async () => {
    const found = await examiner({ AUDIT_HASH_MODE: 'sha256' })()
    assert.deepEqual(
      found.checks.map(({ name }) => name),
      checks.map(({ name }) => name),
    )
    const names = found.findings.map(({ check }) => check)
    assert.ok(names.includes('hashes') && names.includes('owners') && names.includes('backups'), names.join())
    assert.doesNotMatch(
      JSON.stringify(found),
      new RegExp([installation.environment.EARTHFLOW_MASTER_KEY, installation.environment.EARTHFLOW_ADMIN_API_KEY].join('|')),
    )
  })

  test('whoever asks while an examination is made is told what that one finds; the next one looks again', async () => {
    const examine = examiner()
    const [one, other] = await Promise.all([examine(), examine()])
    assert.equal(one, other)
    await database.sql`insert into users (id, tenant_id, email, name, role, password_hash, active) values ('usr_1', null, 'ada@example.com', 'Ada', 'owner', 'scrypt', true)`
    const later = await examine()
    assert.ok(one.findings.some(({ check }) => check === 'owners'))
    assert.ok(!later.findings.some(({ check }) => check === 'owners'))
  })

  test('a database that fails is a finding of each check that asks it, in our words', async () => {
    const away = { ...database, sql: (() => Promise.reject(Object.assign(new Error('secret-host refused'), { code: 'ECONNREFUSED' }))) as never }
    const { findings } = await examiner({}, { database: away })()
    const unchecked = findings.filter(({ sentence }) => sentence.startsWith('This could not be checked (ECONNREFUSED)')).map(({ check }) => check)
    for (const name of ['clock', 'data-keys', 'limits', 'owners', 'webhooks']) assert.ok(unchecked.includes(name), name)
    assert.doesNotMatch(JSON.stringify(findings), /secret-host/)
  })
})
