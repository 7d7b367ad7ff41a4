import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createApi } from '../../src/cli/api.ts'
import { rotateKeys } from '../../src/cli/rotate-keys.ts'
import { createSecretFile } from '../../src/cli/secret-file.ts'
import { withoutServer } from '../db/engines.ts'
import { chat } from '../harness/client.ts'
import { ADMIN_KEY, startEarthflow } from '../harness/earthflow.ts'

test('rotated keys serve calls at once, beside the old ones for as long as is said', { skip: withoutServer }, async () => {
  const flow = await startEarthflow()
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-rotated-'))
  try {
    await flow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${flow.provider.origin}/v1` })
    const { tenant_id, api_key } = await flow.newTenant()
    const ca = readFileSync(join(flow.dataDir, 'certs', 'ca.pem'), 'utf8')
    const rotate = async (...args: string[]): Promise<string> => {
      const file = join(dir, String(Math.random()))
      let said = ''
      const say = (text: string): void => void (said += text)
      const code = await rotateKeys(
        [...args, '--tenant-id', tenant_id, '--output', file],
        { read: async () => '', out: say, error: say },
        {
          isTerminal: false,
          createFile: createSecretFile,
          api: () => createApi({ url: `https://localhost:${flow.port}`, key: ADMIN_KEY, ca }),
          open: () => Promise.reject(new Error('The database is not needed.')),
          sentenceFor: String,
        },
      )
      assert.equal(code, 0, said)
      const [line, ...others] = readFileSync(file, 'utf8').trimEnd().split('\n')
      assert.deepEqual(others, [])
      return (JSON.parse(line!) as { api_key: string }).api_key
    }
    const status = async (key: string): Promise<number> => (await flow.post('/v1/chat/completions', chat('x'), { authorization: `Bearer ${key}` })).status
    assert.equal(await status(api_key), 200)
    const second = await rotate()
    assert.deepEqual([await status(api_key), await status(second)], [200, 200])
    const [newest] = await flow.database.sql`select prefix from api_keys where tenant_id = ${tenant_id} and successor is null`
    const made = await flow.admin('POST', `/v1/budgets?tenant_id=${tenant_id}`, {
      scope: 'key',
      scope_id: newest!.prefix,
      amount: 1,
      unit: 'tokens',
      window: 'day',
      mode: 'hard',
    })
    assert.equal(made.status, 201, made.text)
    assert.deepEqual([await status(api_key), await status(second)], [429, 429], 'a budget that names the successor holds for the old key too')
    const { id } = made.json as { id: string }
    assert.equal((await flow.admin('DELETE', `/v1/budgets/${id}?tenant_id=${tenant_id}`)).status, 204)
    const third = await rotate('--revoke-after', '0')
    assert.deepEqual([await status(api_key), await status(second), await status(third)], [401, 401, 200], 'also what was replaced before')
  } finally {
    rmSync(dir, { recursive: true, force: true })
    await flow.close()
  }
})
