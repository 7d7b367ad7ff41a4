import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createApi } from '../../src/cli/api.ts'
import { AUDIT_EXPORT_USAGE, type AuditExportParts, exportAudit } from '../../src/cli/audit-export.ts'
import { withoutServer } from '../db/engines.ts'
import { ADMIN_KEY, chat, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { apiOf, type Ended, keptTerminal } from './running.ts'

test('earthflow audit export', { skip: withoutServer }, async (t) => {
  let flow: Flow
  before(async () => {
    flow = await startEarthflow()
    await flow.rule({ name: 'no', condition: { operator: 'contains', value: 'forbidden', target: 'prompt' }, action: 'BLOCK' })
    for (const text of ['Hello', 'forbidden', 'Hello']) await flow.post('/v1/chat/completions', chat(text))
    await flow.rowsOf(3)
  })
  after(() => flow.close())
  const run = async (args: readonly string[], more: Partial<AuditExportParts> = {}): Promise<Ended & { drawn: string }> => {
    const { ended, terminal } = keptTerminal()
    let drawn = ''
    ended.code = await exportAudit(args, terminal, {
      api: () => apiOf(flow),
      screen: { write: (text) => void (drawn += text), isTerminal: true },
      print: async (bytes) => void (ended.out += Buffer.from(bytes).toString()),
      ...more,
    })
    return { ...ended, drawn }
  }
  const path = (name: string): string => join(flow.dataDir, name)

  await t.test('entries go to standard output, all or those that are asked for', async () => {
    const all = await run([])
    assert.equal(all.code, 0)
    assert.deepEqual(
      all.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).status),
      ['ALLOW', 'BLOCK', 'ALLOW'],
    )
    const tenant = ['--tenant-id', flow.tenant.tenant_id]
    assert.equal((await run(['--status', 'BLOCK', ...tenant])).out.trim().split('\n').length, 1)
    assert.equal((await run(['--to', '2020-01-01'])).out, '')
    assert.equal(JSON.parse((await run(['--no-proofs', '--status', 'BLOCK'])).out).chain, undefined)
    const csv = await run(['--format', 'csv'])
    assert.match(csv.out, /^audit_id,/)
    assert.equal(csv.out.trim().split('\r\n').length, 4)
  })

  await t.test('into a file it comes whole, for its owner alone, with a bar on a terminal; one that is there is not replaced', async () => {
    const { code, out, error, drawn } = await run(['--output', path('log.jsonl')])
    assert.deepEqual([code, out, error], [0, '', `3 lines in ${path('log.jsonl')}\n`])
    assert.match(drawn, /entries/)
    assert.equal(statSync(path('log.jsonl')).mode & 0o777, 0o600)
    assert.match((await run(['--output', path('log.jsonl')])).error, /is there already, and is not replaced/)
  })

  await t.test('the complete log is what audit verify reads', async () => {
    assert.equal((await run(['--complete', '--output', path('complete.jsonl')])).code, 0)
    const lines = readFileSync(path('complete.jsonl'), 'utf8').trim().split('\n')
    assert.deepEqual([JSON.parse(lines[0]).kind, JSON.parse(lines.at(-1) ?? '').kind], ['log', 'end'])
  })

  await t.test('one that is cut off leaves no file behind, and says so', async () => {
    const server = createServer((request, response) => {
      response.writeHead(200, { 'x-earthflow-request-id': 'req_x' })
      if (!request.url?.startsWith('/v1/audit/export')) return void response.end('{"total":2}')
      response.write('{"audit_id":"a"}\n', () => response.socket?.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { code, error } = await run(['--output', path('cut.jsonl')], { api: () => createApi({ url, key: ADMIN_KEY, ca: null }) })
    server.close()
    assert.deepEqual([code, /cannot be reached/.test(error)], [1, true], error)
    assert.deepEqual(
      readdirSync(flow.dataDir).filter((name) => name.startsWith('cut')),
      [],
    )
  })

  await t.test('what the API refuses is said', async () => {
    assert.match((await run(['--from', 'yesterday'])).error, /^from: /)
    assert.match((await run([], { api: () => apiOf(flow, 'wrong-key') })).error, /^A valid API key/)
  })

  await t.test('arguments that make no sense print how it is used', async () => {
    for (const args of [
      ['more'],
      ['--format', 'xml'],
      ['--complete', '--status', 'BLOCK'],
      ['--complete', '--format', 'csv'],
      ['--tenant-id', 'Clinic'],
      ['--nonsense'],
    ]) {
      const { code, error } = await run(args)
      assert.deepEqual([code, error.endsWith(AUDIT_EXPORT_USAGE)], [64, true], args.join(' '))
    }
  })
})
