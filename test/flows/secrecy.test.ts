import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import postgres from 'postgres'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { chat, startEarthflow } from '../harness/earthflow.ts'
import { chatEvent, DONE, SSE } from '../harness/provider.ts'

test("printf 'Hello' | sha256sum equals the prompt_hash of a call that said Hello", async () => {
  const flow = await startEarthflow()
  try {
    await flow.post('/v1/chat/completions', chat('Hello'))
    const printed = execFileSync('sh', ['-c', "printf 'Hello' | sha256sum"]).toString().split(' ')[0]
    assert.equal((await flow.rows())[0].prompt_hash, `sha256:${printed}`)
  } finally {
    await flow.close()
  }
})

test('AUDIT_HASH_PROMPTS=false keeps no hash', async () => {
  const flow = await startEarthflow({ environment: { AUDIT_HASH_PROMPTS: 'false' } })
  try {
    await flow.post('/v1/chat/completions', chat('Hello'))
    assert.equal((await flow.rows())[0].prompt_hash, null)
  } finally {
    await flow.close()
  }
})

test('AUDIT_HASH_MODE=hmac-sha256 keeps what nobody can guess without the key of the tenant, of the prompt and of the bytes that left', async () => {
  const flow = await startEarthflow({ environment: { AUDIT_HASH_MODE: 'hmac-sha256' } })
  try {
    const other = await flow.newTenant()
    await flow.post('/v1/chat/completions', chat('Hello'))
    await flow.post('/v1/chat/completions', chat('Hello'), { authorization: `Bearer ${other.api_key}` })
    const { entries } = (await flow.admin('GET', '/v1/audit')).json as { entries: AuditEntry[] }
    const hashes = entries.flatMap(({ prompt_hash, forwarded_hash }) => [String(prompt_hash), String(forwarded_hash)])
    assert.equal(new Set(hashes).size, 4)
    for (const one of hashes) assert.match(one, /^hmac-sha256:[0-9a-f]{64}$/)
    const body = flow.provider.seen[0]!.body
    for (const guess of ['Hello', body]) assert.ok(hashes.every((one) => !one.endsWith(hash('sha256', guess))))
  } finally {
    await flow.close()
  }
})

for (const engine of ['PostgreSQL', 'the embedded database'] as const) {
  test(`markers in prompt, reply, key and credential are found nowhere at rest on ${engine}: data folder, logs, database`, async () => {
    const marker = (): string => `mk${randomBytes(6).toString('hex')}`
    const prompt = marker(),
      reply = marker(),
      toolArgument = marker(),
      credential = `sk-${marker()}`
    const flow = await startEarthflow({
      environment: { EARTHFLOW_LOG_LEVEL: 'DEBUG' },
      engine: engine === 'PostgreSQL' ? 'postgres' : 'pglite',
      preset: 'medical',
      script: ({ response, body }) =>
        body.includes('"stream":true')
          ? response.writeHead(200, SSE).end(chatEvent(reply) + DONE)
          : response
              .writeHead(body.includes('fail') ? 500 : 200, { 'content-type': 'application/json' })
              .end(JSON.stringify({ error: { message: `${reply} ${prompt}` } })),
    })
    try {
      await flow.addUpstream({ name: 'marked', dialects: ['openai-chat'], base_url: `${flow.provider.origin}/v1`, models: ['marked'], priority: 9, credential })
      const tools = {
        tools: [{ type: 'function', function: { name: 'f', parameters: {} } }],
        messages: [
          { role: 'user', content: prompt },
          { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: JSON.stringify({ a: toolArgument }) } }] },
        ],
      }
      const bodies = [
        chat(prompt),
        chat(prompt, { stream: true }),
        chat(`${prompt} fail`),
        chat(`${prompt} 536-90-4399`),
        chat(`${prompt} AKIAIOSFODNN7EXAMPLE`),
        JSON.stringify({ model: 'marked', ...tools }),
        chat(prompt, { model: 7 }),
        `{"model":"m","model":"${prompt}"}`,
        `{"broken ${prompt}`,
        chat(prompt, { model: `unknown model ${prompt}` }),
        chat(prompt, { [prompt]: { [`${prompt} 536-90-4399`]: prompt } }),
      ]
      for (const body of bodies) await flow.post('/v1/chat/completions', body)
      await flow.post(`/v1/chat/completions?key=${flow.tenant.api_key}`, chat(prompt), { authorization: '' })
      await flow.post('/v1/rules/test', JSON.stringify({ text: prompt }))
      await flow.post('/v1/rules/test', JSON.stringify({ text: prompt, nonsense: prompt }))
      await flow.rowsOf(bodies.length + 1)
      const secrets = {
        prompt,
        reply,
        toolArgument,
        credential,
        key: flow.tenant.api_key.slice(17),
        master: flow.config.masterKeys[0].toString('base64url'),
        pepper: '"pepper":"',
      }
      const places: Record<string, string> = { logs: flow.logged.join('\n') }
      await flow.recorded(10_000)
      if (engine === 'PostgreSQL') places.database = await dumpOf(flow.databaseUrl)
      else {
        const rows = await flow.database.sql`select json_agg(e) as all from audit_entries e`
        places.rows = JSON.stringify(rows)
        await flow.stopEarly()
      }
      for (const [path, content] of contentsOf(flow.dataDir)) if (!path.endsWith('/secrets')) places[path] = content
      assert.ok(Object.keys(places).length > (engine === 'PostgreSQL' ? 3 : 50))
      for (const [name, secret] of Object.entries(secrets))
        for (const [place, content] of Object.entries(places)) assert.ok(!content.includes(secret), `${name} in ${place}`)
    } finally {
      await flow.close()
    }
  })
}

/** Every value of every table as text: what a dump would hold. */
async function dumpOf(url: string): Promise<string> {
  const sql = postgres(url, { max: 1 })
  try {
    const tables = await sql<{ name: string }[]>`select tablename as name from pg_tables where schemaname = 'public'`
    const contents = await Promise.all(tables.map(({ name }) => sql.unsafe(`select coalesce(json_agg(t)::text, '') as all from "${name}" t`)))
    assert.ok(
      contents
        .flat()
        .map(({ all }) => all)
        .join('')
        .includes('prompt_hash'),
    )
    return contents
      .flat()
      .map(({ all }) => all)
      .join('\n')
  } finally {
    await sql.end()
  }
}

function contentsOf(dir: string): [string, string][] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry): [string, string] => [join(entry.parentPath, entry.name), readFileSync(join(entry.parentPath, entry.name), 'latin1')])
}

test('the data folder can be read by its owner alone', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-modes-'))
  const { provideSecret } = await import('../../src/first-run.ts')
  provideSecret('EARTHFLOW_MASTER_KEY', join(dir, 'data'))
  const [master, again] = [provideSecret('EARTHFLOW_MASTER_KEY', join(dir, 'data')), provideSecret('EARTHFLOW_MASTER_KEY', join(dir, 'data'))]
  assert.equal(master, again)
  assert.equal(
    execFileSync('stat', ['-c', '%a', join(dir, 'data', 'secrets')])
      .toString()
      .trim(),
    '600',
  )
  assert.equal(hash('sha256', provideSecret('EARTHFLOW_ADMIN_API_KEY', join(dir, 'data'))).length, 64)
  rmSync(dir, { recursive: true })
})
