import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Api, ApiRefused } from '../../src/cli/api.ts'
import { createSecretFile } from '../../src/cli/secret-file.ts'
import { users } from '../../src/cli/users.ts'
import { managePeople, type PeopleManagement } from '../admin/people.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'

test('earthflow users', async (t) => {
  let database: TestDatabase
  let management: PeopleManagement
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-users-'))
  before(async () => {
    database = await openTestDatabase('pglite')
    management = managePeople(database)
  })
  after(async () => {
    rmSync(dir, { recursive: true, force: true })
    await database.drop()
  })

  /** As over HTTPS, without the wire. */
  const api: Api = {
    async ask(method, path, { tenant, body } = {}) {
      const { status, json } = await management.ask(method, path, { body, ...(tenant !== undefined && { tenant }) })
      if (status >= 300) throw new ApiRefused(status, json.message, json.context)
      return json
    },
  }
  const run = async (args: string[], { isTerminal = true, stdin = '', createFile = createSecretFile } = {}) => {
    const ended = { code: 0, out: '', error: '' }
    const terminal = { read: async () => stdin, out: (text: string) => void (ended.out += text), error: (text: string) => void (ended.error += text) }
    ended.code = await users(args, terminal, { api, isTerminal, createFile })
    return ended
  }
  const isLoggedIn = async (email: string, password: string): Promise<boolean> => (await management.login(email, password)).status === 200
  const create = (email: string, ...more: string[]): string[] => ['create', '--email', email, '--role', 'owner', ...more]

  await t.test('on a terminal the password that is made is shown once, and opens', async () => {
    const { code, out, error } = await run(create('first@example.com', '--name', 'First'))
    assert.deepEqual([code, error], [0, ''])
    const password = /^password, shown only now: (\S{24})$/m.exec(out)?.[1] ?? ''
    assert.equal(await isLoggedIn('first@example.com', password), true)
  })

  await t.test('where output may be kept nobody is made, and a file takes the password instead, for its owner alone', async () => {
    const refused = await run(create('piped@example.com'), { isTerminal: false })
    assert.deepEqual([refused.code, refused.out], [64, ''])
    assert.match(refused.error, /--output FILE/)
    const path = join(dir, 'password')
    const { code, out } = await run(create('piped@example.com', '--output', path), { isTerminal: false })
    assert.equal(code, 0)
    const password = readFileSync(path, 'utf8').trim()
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.ok(!out.includes(password))
    assert.equal(await isLoggedIn('piped@example.com', password), true)
  })

  await t.test('a file that is there is not written over, a link is not followed, and nobody is made', async () => {
    const [path, link] = [join(dir, 'taken'), join(dir, 'link')]
    writeFileSync(path, 'kept')
    symlinkSync(join(dir, 'elsewhere'), link)
    for (const output of [path, link]) assert.match((await run(create('late@example.com', '--output', output))).error, /is there already/)
    assert.equal(readFileSync(path, 'utf8'), 'kept')
    assert.equal(await isLoggedIn('late@example.com', 'kept'), false)
    assert.equal((await database.sql`select 1 from users where email = 'late@example.com'`).length, 0)
  })

  await t.test('what the API refuses is said, and leaves no file behind', async () => {
    const path = join(dir, 'refused')
    const { code, error } = await run(create('first@example.com', '--output', path))
    assert.equal(code, 1)
    assert.match(error, /has this e-mail address already/)
    assert.throws(() => statSync(path))
  })

  await t.test('where the file cannot be written in the end, it is said that the person was made, and what to do; the password is not said', async () => {
    let password = ''
    const createFile = async () => ({
      async append(text: string) {
        password = text.trim()
        throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
      },
      close: async () => {},
    })
    const { code, out, error } = await run(create('full@example.com', '--output', 'x'), { createFile })
    assert.equal(code, 1)
    const id = /^(usr_\w+)\tfull@/.exec(out)?.[1]
    assert.equal(
      error,
      `${id} was made, but the password could not be written to the file (ENOSPC), and nobody knows it: set another with PATCH /v1/users/${id}.\n`,
    )
    assert.ok(password !== '' && !(out + error).includes(password))
  })

  await t.test('a password comes from standard input, without the end of its line', async () => {
    const { code, out } = await run(create('typed@example.com', '--password-stdin'), { isTerminal: false, stdin: 'four words I can say\n' })
    assert.equal(code, 0)
    assert.doesNotMatch(out, /four words/)
    assert.equal(await isLoggedIn('typed@example.com', 'four words I can say'), true)
    assert.match((await run(create('short@example.com', '--password-stdin'), { stdin: 'short\n' })).error, /at least 12 characters/)
  })

  await t.test('people are listed: all, or those of a tenant', async () => {
    const { id } = await management.createTenant()
    await run(create('inside@example.com', '--tenant-id', id))
    const all = await run(['list'])
    assert.match(all.out, /\tfirst@example\.com\towner\t\*\n/)
    const [only, ...more] = (await run(['list', '--tenant-id', id])).out.trim().split('\n')
    assert.match(only, new RegExp(`^usr_\\w+\\tinside@example\\.com\\towner\\t${id}$`))
    assert.deepEqual(more, [])
    const [asJson] = JSON.parse((await run(['list', '--tenant-id', id, '--json'])).out)
    assert.equal(asJson.email, 'inside@example.com')
  })

  await t.test('arguments that make no sense print how it is used', async () => {
    for (const args of [
      [],
      ['delete'],
      ['create'],
      ['create', '--email', 'a@example.com'],
      ['list', '--role', 'owner'],
      ['list', '--tenant-id', '../x'],
      create('a@example.com', '--password-stdin', '--output', 'x'),
      create('a@example.com', '--unknown'),
    ]) {
      const { code, error } = await run(args)
      assert.equal(code, 64, args.join(' '))
      assert.match(error, /^earthflow users create --email/)
    }
  })
})
