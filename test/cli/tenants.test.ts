import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { KEYS_USAGE, keys } from '../../src/cli/keys.ts'
import { TENANTS_USAGE, tenants } from '../../src/cli/tenants.ts'
import { withoutServer } from '../db/engines.ts'
import { request } from '../harness/client.ts'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { type Ended, runSecretVerb } from './running.ts'

test('earthflow tenants and earthflow keys', { skip: withoutServer }, async (t) => {
  let flow: Flow
  let runTenants: (args: readonly string[], how?: { isTerminal?: boolean; key?: string }) => Promise<Ended>
  let runKeys: typeof runTenants
  before(async () => {
    flow = await startEarthflow()
    runTenants = runSecretVerb(flow, tenants)
    runKeys = runSecretVerb(flow, keys)
  })
  after(() => flow.close())
  const opens = async (key: string): Promise<number> =>
    (await request(flow.origin, 'POST', '/v1/chat/completions', chat('Hello'), { authorization: `Bearer ${key}`, 'content-type': 'application/json' })).status

  await t.test('a tenant is created, its first key is shown once and works, and the list and show tell of it', async () => {
    const { code, out, error } = await runTenants(['create', '--name', 'Clinic', '--preset', 'medical', '--requests-per-minute', '600'])
    assert.deepEqual([code, error], [0, ''])
    const id = /^(t_\w+) {2}active {2}1 keys {2}medical {2}Clinic$/m.exec(out)?.[1] ?? ''
    const key = /^its first key, shown only now: (ef_\S+)$/m.exec(out)?.[1] ?? ''
    assert.equal(await opens(key), 200)
    const listed = await runTenants(['list'])
    assert.ok(listed.out.includes(id) && !listed.out.includes(key))
    const shown = JSON.parse((await runTenants(['show', id])).out)
    assert.deepEqual([shown.tenant_id, shown.max_requests_per_minute], [id, 600])
  })

  await t.test('where output may be kept nothing is made without a file, which is then for its owner alone; JSON does not hold the key', async () => {
    const refused = await runTenants(['create', '--name', 'Piped'], { isTerminal: false })
    assert.equal(refused.code, 64)
    assert.match(refused.error, /is no terminal.*say --output FILE/)
    const path = join(flow.dataDir, 'key')
    const { code, out } = await runTenants(['create', '--name', 'Piped', '--output', path, '--json'], { isTerminal: false })
    assert.equal(code, 0)
    const key = readFileSync(path, 'utf8').trim()
    assert.deepEqual([statSync(path).mode & 0o777, out.includes(key), JSON.parse(out).name, await opens(key)], [0o600, false, 'Piped', 200])
    assert.equal(JSON.parse((await runTenants(['list', '--json'])).out).filter(({ name }: { name: string }) => name === 'Piped').length, 1)
  })

  await t.test('closing asks to be sure, and then the keys open nothing', async () => {
    const { tenant_id: id, api_key: key } = await flow.newTenant()
    const unsure = await runTenants(['close', id])
    assert.deepEqual([unsure.code, /say --yes/.test(unsure.error), await opens(key)], [64, true, 200])
    assert.equal((await runTenants(['close', id, '--yes'])).code, 0)
    assert.equal(await opens(key), 401)
  })

  await t.test('a key is issued with the rights it is given, listed by its prefix, and revoked by it', async () => {
    const { tenant_id: id } = await flow.newTenant()
    const { code, out } = await runKeys([
      'issue',
      '--tenant-id',
      id,
      '--name',
      'ci',
      '--scope',
      'proxy:write',
      '--scope',
      'audit:read',
      '--expires-at',
      '2099-01-01T00:00:00Z',
    ])
    assert.equal(code, 0)
    const key = /shown only now: (ef_\S+)/.exec(out)?.[1] ?? ''
    assert.equal(await opens(key), 200)
    const prefix = key.slice(0, 16)
    assert.match((await runKeys(['list', '--tenant-id', id])).out, new RegExp(`^${prefix} {2}until 2099-.* proxy:write,audit:read +ci$`, 'm'))
    assert.equal((await runKeys(['revoke', '--tenant-id', id, prefix])).out, `${prefix} is revoked\n`)
    assert.equal(await opens(key), 401)
    assert.match((await runKeys(['list', '--tenant-id', id])).out, new RegExp(`^${prefix} {2}revoked `, 'm'))
  })

  await t.test('what the API refuses is said, and leaves no file behind', async () => {
    const path = join(flow.dataDir, 'none')
    const { code, error } = await runKeys(['issue', '--tenant-id', flow.tenant.tenant_id, '--scope', 'nonsense', '--output', path])
    assert.equal(code, 1)
    assert.match(error, /scopes/)
    assert.throws(() => statSync(path))
    assert.equal((await runTenants(['list'], { key: 'wrong-key' })).code, 1)
  })

  await t.test('arguments that make no sense print what to write instead', async () => {
    for (const args of [
      [],
      ['rename'],
      ['list', 'more'],
      ['create'],
      ['show'],
      ['show', 'Clinic'],
      ['close', '../x', '--yes'],
      ['close', 't_1', '--yes', '--json'],
      ['create', '--name', 'x', '--requests-per-minute', 'many'],
      ['list', '--nonsense'],
    ]) {
      const { code, error } = await runTenants(args)
      assert.deepEqual([code, error.endsWith(TENANTS_USAGE)], [64, true], args.join(' '))
    }
    for (const args of [
      [],
      ['list'],
      ['issue', '--tenant-id', 'Clinic'],
      ['revoke', '--tenant-id', 't_1', 'ef_live_abc'],
      ['revoke', '--tenant-id', 't_1', 'ef_live_abcdefgh', '--json'],
      ['list', '--tenant-id', 't_1', 'more'],
    ]) {
      const { code, error } = await runKeys(args)
      assert.deepEqual([code, error.endsWith(KEYS_USAGE)], [64, true], args.join(' '))
    }
  })
})
