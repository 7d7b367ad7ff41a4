import assert from 'node:assert/strict'
import { chmodSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from '../../src/db/connect.ts'
import { checks } from '../../src/doctor/checks.ts'
import { USAGE } from '../../src/doctor/doctor.ts'
import { createBareServerDatabase, createEmbeddedDatabase, openTestDatabase, type TestDatabase, withoutServer } from '../db/engines.ts'
import { freePort } from '../services/server-process.ts'
import { createInstallation, type Installation, strong, walk } from './installation.ts'

/** Of the embedded database, which needs no server: what a clean installation with it still has. */
const embedded = { DATABASE_URL: '', EARTHFLOW_EMBEDDED_DB: 'true' }
let installation: Installation
before(async () => {
  installation = await createInstallation(`postgres://earthflow:${strong()}@127.0.0.1:1/earthflow`)
})
after(() => installation.remove())

const askingNames = checks.flatMap((check) => ('ask' in check ? [check.name] : []))

test('every check has a name of its own and says what it looks at', () => {
  assert.equal(new Set(checks.map(({ name }) => name)).size, checks.length)
  for (const { about } of checks) assert.match(about, /^\S.{10,120}[^.]$/)
})

test('settings that cannot be used are findings, each problem one, and no secret among them', async () => {
  const { code, findings } = await walk({ EARTHFLOW_ADMIN_API_KEY: 'hunter2', EARTHFLOW_PORT: 'x' })
  assert.equal(code, 78)
  assert.ok(findings.length >= 5 && findings.every(({ level, check }) => level === 'fail' && check === 'settings'))
  assert.ok(findings.some(({ sentence }) => /^EARTHFLOW_PORT must be/.test(sentence)))
  assert.doesNotMatch(JSON.stringify(findings), /hunter2/)
  const development = await walk({ EARTHFLOW_ENV: 'development', EARTHFLOW_DATA_DIR: join(installation.dir, 'none') })
  assert.equal(development.code, 78)
  assert.match(development.findings[0]?.sentence ?? '', /^EARTHFLOW_MASTER_KEY could not be taken from .*: nothing was started there yet$/)
})

test('a database that does not answer is a finding that names the checks it keeps from being made', async () => {
  const password = strong()
  const {
    code,
    findings,
    checks: made,
  } = await walk({ ...installation.environment, DATABASE_URL: `postgres://role:${password}@127.0.0.1:${await freePort()}/x` })
  assert.deepEqual([code, findings.length, made], [1, 1, checks.length - askingNames.length])
  assert.match(findings[0]?.sentence ?? '', /^The database does not answer: .* Not checked: clock, pool, backups, /)
  assert.doesNotMatch(JSON.stringify(findings), new RegExp(password))
})

test('with the embedded database: none yet, one that is in use, and one that is free, whose folder’s mode is told as it was', async () => {
  const environment = { ...installation.environment, ...embedded }
  const dir = join(installation.dir, 'data', 'database')
  assert.match((await walk(environment)).findings[0]?.sentence ?? '', /^There is no database in .* yet/)
  await createEmbeddedDatabase(dir)
  const inUse = await connect({ kind: 'embedded', dir })
  const { code, findings } = await walk(environment)
  assert.deepEqual([code, findings.map(({ level, check }) => [level, check])], [1, [['warn', 'database']]])
  assert.match(findings[0]?.sentence ?? '', /in use by Earthflow itself/)
  await inUse.close()
  chmodSync(dir, 0o755)
  const free = await walk(environment, { now: Date.now })
  assert.deepEqual(
    free.findings.map(({ check }) => check),
    ['files', 'backups', 'owners'],
  )
  assert.equal(free.checks, checks.length)
  rmSync(dir, { recursive: true })
})

test('what is printed for people is a line each and a sum; wrong arguments are told', async () => {
  const { out, code } = await walk({ ...installation.environment, AUDIT_HASH_MODE: 'sha256' }, { args: [] })
  const lines = out.trimEnd().split('\n')
  assert.deepEqual([code, lines.length], [1, 3])
  assert.match(lines[0] ?? '', /^warn {2}hashes {4}AUDIT_HASH_MODE=sha256: /)
  assert.match(lines[1] ?? '', /^fail {2}database {2}The database does not answer/)
  assert.match(lines[2] ?? '', /^\d+ checks: 1 failure, 1 warning\.$/)
  assert.deepEqual([(await walk({}, { args: ['--help'] })).out, (await walk({}, { args: ['--help'] })).code], [USAGE, 0])
  const wrong = await walk({}, { args: ['--fix'] })
  assert.deepEqual([wrong.code, wrong.out], [64, ''])
  assert.match(wrong.error, /not understood/)
})

test('on PostgreSQL', { skip: withoutServer }, async (t) => {
  let database: TestDatabase
  /** A role that may read, and nothing else: so nothing is written. */
  let reader: Record<string, string>
  const password = strong()
  before(async () => {
    database = await openTestDatabase('postgres')
    const url = new URL(database.url ?? '')
    const role = url.pathname.slice(1).replace('earthflow', 'reader').toLowerCase()
    await database.sql.unsafe(`create role "${role}" login password '${password}'`)
    for (const schema of ['public', 'drizzle'])
      await database.sql.unsafe(`grant usage on schema ${schema} to "${role}"; grant select on all tables in schema ${schema} to "${role}"`)
    url.username = role
    url.password = password
    reader = { ...installation.environment, DATABASE_URL: url.href }
    await database.sql`insert into tenants (id, name, max_concurrency) values ('t_1', 'T', 9)`
    await database.sql`insert into rules (id, tenant_id, name, condition, action) values ('r_1', 't_1', 'r', '{}', 'BLOCK')`
    await database.sql`insert into budgets (id, tenant_id, scope, scope_id, amount, unit, "window", mode) values ('b_1', 't_1', 'tenant', 't_1', 1, 'usd', 'day', 'hard')`
    await database.sql`insert into users (id, email, name, role, password_hash) values ('u_1', 'a@b', 'A', 'owner', 'scrypt')`
  })
  after(async () => {
    const role = decodeURIComponent(new URL(reader.DATABASE_URL ?? '').username)
    await database.sql.unsafe(`drop owned by "${role}"; drop role "${role}"`)
    await database.drop()
  })

  await t.test('a production installation as it should be has nothing found but that its backups cannot be seen, by a role that may only read', async () => {
    const { code, findings, checks: made } = await walk(reader, { now: Date.now })
    assert.deepEqual([code, made, findings.map(({ level, check }) => [level, check])], [1, checks.length, [['warn', 'backups']]])
    const [row] = await database.sql<{ archives: boolean }[]>`select current_setting('archive_mode') <> 'off' as archives`
    assert.equal(row?.archives, false)
  })

  await t.test('a database of an older version is left as it is, and told', async () => {
    const bare = await createBareServerDatabase()
    const { findings } = await walk({ ...reader, DATABASE_URL: bare.url }, { now: Date.now })
    const told = findings.find(({ check }) => check === 'database')
    assert.match(told?.sentence ?? '', /^The database lacks \d+ migrations? of this version/)
    const look = await connect({ kind: 'postgres', url: bare.url })
    assert.equal((await look.sql`select 1 from information_schema.tables where table_schema in ('public', 'drizzle')`).length, 0)
    await look.close()
    await bare.drop()
  })

  await t.test('a role that is refused, and a table that may not be read, are told without the password', async () => {
    const refused = new URL(reader.DATABASE_URL ?? '')
    refused.password = strong()
    const { findings } = await walk({ ...reader, DATABASE_URL: refused.href })
    assert.match(findings[0]?.sentence ?? '', /^The database refuses the role or its password/)
    const role = decodeURIComponent(refused.username)
    await database.sql.unsafe(`revoke select on users from "${role}"`)
    const { findings: without } = await walk(reader, { now: Date.now })
    assert.deepEqual(
      without.map(({ level, check }) => [level, check]),
      [
        ['warn', 'backups'],
        ['warn', 'owners'],
        ['warn', 'arbiters'],
      ],
    )
    assert.match(without[1]?.sentence ?? '', /^This could not be checked \(42501\)/)
    assert.ok(!JSON.stringify([findings, without]).includes(password))
  })
})
