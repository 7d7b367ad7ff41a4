import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { type Checked, SMOKE_USAGE, smoke } from '../../src/cli/smoke.ts'
import { withoutServer } from '../db/engines.ts'
import { ADMIN_KEY, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { answers, type Receiver, startReceiver } from '../harness/receiver.ts'
import { freePort } from '../services/server-process.ts'
import { caOf, type Ended, keptTerminal } from './running.ts'

test('earthflow smoke', { skip: withoutServer }, async (t) => {
  let flow: Flow
  let receiver: Receiver
  before(async () => {
    flow = await startEarthflow({ preset: 'default' })
    receiver = await startReceiver()
  })
  after(async () => {
    receiver.close()
    await flow.close()
  })
  const run = async (args: readonly string[], files: Record<string, string> = {}): Promise<Ended> => {
    const { ended, terminal } = keptTerminal({ ca: caOf(flow), ...files })
    const settings = async () => ({ url: null, key: null, adminKey: null, ca: null })
    ended.code = await smoke(args, terminal, { settings })
    return ended
  }
  const here = (...more: string[]): string[] => ['--url', `https://localhost:${flow.port}`, '--ca', 'ca', '--key', flow.tenant.api_key, ...more]
  const checked = async (args: string[], files?: Record<string, string>): Promise<{ code: number; states: Record<string, string>; checks: Checked[] }> => {
    const { code, out, error } = await run([...args, '--json'], files)
    assert.equal(error, '')
    const { checks } = JSON.parse(out) as { checks: Checked[] }
    return { code, checks, states: Object.fromEntries(checks.map(({ check, state }) => [check, state])) }
  }
  const rules = async (): Promise<number> => ((await flow.admin('GET', `/v1/rules?tenant_id=${flow.tenant.tenant_id}`)).json as { total: number }).total

  await t.test('on a deployed one everything passes, by the rules in force, and nothing that is configured was touched', async () => {
    const before = await rules()
    const { code, states, checks } = await checked(here())
    assert.deepEqual(
      [code, states],
      [0, { health: 'pass', ready: 'pass', allowed: 'pass', redacted: 'pass', blocked: 'pass', streamed: 'pass', row: 'pass', webhook: 'skip' }],
      JSON.stringify(checks, null, 1),
    )
    assert.match(checks.find(({ check }) => check === 'redacted')?.why ?? '', /by the rules in force/)
    assert.match(checks.find(({ check }) => check === 'row')?.why ?? '', /SHA-256 of what was said/)
    assert.equal(await rules(), before)
  })

  await t.test('with a rule of its own it is seen at work at once, and gone afterwards', async () => {
    const before = await rules()
    const { code, states } = await checked(here('--with-rule'))
    assert.deepEqual([code, states.rule, await rules()], [0, 'pass', before])
  })

  await t.test("where the tenant's rules would let it leave, redaction and blocking are only tried, and no such call leaves", async () => {
    const { api_key: key } = await flow.newTenant({ rules_preset: null })
    const { code, checks } = await checked(['--url', `https://localhost:${flow.port}`, '--ca', 'ca', '--key-file', 'key'], { key: `${key}\n` })
    assert.equal(code, 0)
    for (const name of ['redacted', 'blocked']) assert.match(checks.find(({ check }) => check === name)?.why ?? '', /only tried/)
  })

  await t.test('a webhook takes a test event where the administrator lets it be asked; one that does not take it fails', async () => {
    const hook = { url: receiver.url, events: ['BLOCK'] }
    assert.equal((await flow.admin('POST', `/v1/webhooks?tenant_id=${flow.tenant.tenant_id}`, hook)).status, 201)
    assert.equal((await checked(here('--admin-key-file', 'admin'), { admin: ADMIN_KEY })).states.webhook, 'pass')
    assert.ok(receiver.received.length > 0)
    receiver.react = answers(500)
    const { code, states } = await checked(here('--admin-key-file', 'admin'), { admin: ADMIN_KEY })
    assert.deepEqual([code, states.webhook], [1, 'fail'])
  })

  await t.test('a model that nobody serves, and a key that is none, fail with a sentence', async () => {
    const { api_key: key } = await flow.newTenant({ allowed_models: ['sandbox'] })
    const model = await checked(['--url', `https://localhost:${flow.port}`, '--ca', 'ca', '--key', key, '--model', 'another'])
    assert.deepEqual([model.code, model.states.allowed, model.states.row], [1, 'fail', 'skip'])
    assert.match(model.checks.find(({ check }) => check === 'allowed')?.why ?? '', /\d{3}: /)
    const stranger = await run(['--url', `https://localhost:${flow.port}`, '--ca', 'ca', '--key', 'ef_live_wrong'])
    assert.equal(stranger.code, 1)
    assert.match(stranger.out, /^pass {2}health[\s\S]*^fail {2}allowed .*401/m)
  })

  await t.test('where nobody answers the other checks are not tried', async () => {
    const { code, states } = await checked(['--url', `http://127.0.0.1:${await freePort()}`, '--key', 'x'])
    assert.deepEqual([code, states.health, states.allowed], [1, 'fail', 'skip'])
  })

  await t.test('arguments that make no sense print how it is used', async () => {
    for (const args of [
      [],
      ['--url', 'localhost', '--key', 'x'],
      ['--url', 'https://x'],
      [...here(), '--key-file', 'key'],
      [...here(), 'more'],
      [...here(), '--nonsense'],
    ]) {
      const { code, error } = await run(args)
      assert.deepEqual([code, error.endsWith(SMOKE_USAGE)], [64, true], args.join(' '))
    }
  })
})

test('a server that answers nonsense, or lies, has checks that fail, whatever it says', async () => {
  const envelope = { status: 'ALLOW', audit_id: '../../x', request_id: 'r', forwarded: true, reason: null, redactions: [], response: {} }
  for (const nonsense of [{ webhooks: {} }, { webhooks: [null] }, { webhooks: [{ active: true, id: '\u0000 é' }], tenant_id: 'a\r\nb: c' }, null, [], 'x']) {
    const server = createServer((request, response) => {
      const isHealth = request.url?.startsWith('/health')
      const isList = nonsense !== null && typeof nonsense === 'object' && !Array.isArray(nonsense)
      response.end(JSON.stringify(isList ? { ...envelope, ...nonsense, ...(isHealth && { status: 'OK' }) } : nonsense))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { ended, terminal } = keptTerminal()
    const settings = async () => ({ url: null, key: null, adminKey: null, ca: null })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    ended.code = await smoke(['--url', url, '--key', 'x', '--admin-key', 'y', '--json'], terminal, { settings })
    const states = new Map((JSON.parse(ended.out).checks as Checked[]).map(({ check, state }) => [check, state]))
    assert.deepEqual([ended.code, ended.error, states.get('streamed'), states.get('webhook')], [1, '', 'fail', 'fail'], ended.out)
    assert.equal(states.get('ready'), nonsense !== null && typeof nonsense === 'object' && !Array.isArray(nonsense) ? 'pass' : 'fail')
    server.closeAllConnections()
    server.close()
  }
})
