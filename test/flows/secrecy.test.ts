import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { createCanaries, type Place } from '../harness/canaries.ts'
import { canarySecret } from '../harness/canary-word.ts'
import { ADMIN_KEY, chat, startEarthflow } from '../harness/earthflow.ts'
import { filesOf, tablesOf } from '../harness/places.ts'
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
    const prompt = canarySecret(''),
      reply = canarySecret(''),
      toolArgument = canarySecret(''),
      credential = canarySecret('sk-')
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
      const sought = createCanaries()
      for (const [name, secret] of Object.entries({ prompt, reply, toolArgument, credential, key: flow.tenant.api_key.slice(17) })) sought.secret(name, secret)
      sought.secret('master', flow.config.masterKeys[0]!)
      await flow.recorded(10_000)
      const places: Place[] = [{ name: 'the log', bytes: Buffer.from(flow.logged.join('')) }]
      if (engine === 'PostgreSQL') places.push(...(await tablesOf(flow.databaseUrl)))
      else {
        places.push({ name: 'rows', bytes: Buffer.from(JSON.stringify(await flow.database.sql`select json_agg(e) as all from audit_entries e`)) })
        await flow.stopEarly()
      }
      assert.ok(places.some(({ bytes }) => bytes.includes('prompt_hash')))
      places.push(...filesOf(flow.dataDir))
      assert.ok(places.length > (engine === 'PostgreSQL' ? 10 : 50))
      await sought.check(places)
    } finally {
      await flow.close()
    }
  })
}

test('a dump of the database holds no secret that anybody could use: no key, credential, password or token, and none of the keys that open or hash them', async () => {
  const flow = await startEarthflow({ environment: { AUDIT_HASH_MODE: 'hmac-sha256' } })
  try {
    const sought = createCanaries()
    const { tenant_id, api_key } = flow.tenant
    const made = async (path: string, body: object, status = 201): Promise<Record<string, string>> => {
      const answer = await flow.admin('POST', path, body)
      assert.equal(answer.status, status, `${path}: ${answer.text}`)
      return answer.json as Record<string, string>
    }
    const ofTenant = `?tenant_id=${tenant_id}`
    const password = canarySecret('four words and ')
    const email = 'ada@example.com'
    await made(`/v1/users${ofTenant}`, { email, role: 'operator', password })
    const login = await made('/v1/auth/login', { email, password }, 200)
    const session = await made(`/v1/sessions${ofTenant}`, {})
    const other = await made(`/v1/tenants/${tenant_id}/keys`, { name: 'another', scopes: ['proxy:write'] })
    const ofCaller = (key: string | undefined) => ({ authorization: `Bearer ${key}` })
    for (const key of [api_key, other.api_key, session.token]) {
      assert.equal((await flow.post('/v1/chat/completions', chat('who am I to you'), ofCaller(key))).status, 200)
    }
    assert.equal((await flow.admin('GET', '/v1/auth/me', undefined, ofCaller(login.token))).status, 200)
    await made('/v1/auth/login', { email, password: `${password}!` }, 401)

    const tokens = { login: login.token, session: session.token }
    for (const [kind, secret] of Object.entries({ ...tokens, password, adminKey: ADMIN_KEY, credential: flow.credential })) sought.secret(kind, String(secret))
    for (const key of [api_key, other.api_key]) sought.secret('an API key', String(key).slice(17))
    sought.secret('the master key', flow.config.masterKeys[0]!)
    const keyring = createKeyring(flow.database.db, flow.config.masterKeys)
    const dataKeys = {
      pepper: (await keyring.pepper()).key,
      sessions: (await keyring.sessionKey()).key,
      logins: (await keyring.loginKey()).key,
      seals: await keyring.sealKey(),
      checkpoints: await keyring.checkpointKey(),
      hashes: await keyring.hashKey(tenant_id),
      redaction: await keyring.redactionKey(tenant_id),
    }
    for (const [purpose, key] of Object.entries(dataKeys)) sought.secret(`the data key of ${purpose}`, key)

    await flow.recorded(10_000)
    const dump = await tablesOf(flow.databaseUrl)
    const names = dump.map(({ name }) => name)
    for (const table of ['api_keys', 'data_keys', 'users', 'logins', 'sessions', 'upstreams']) assert.ok(names.includes(`table ${table}`), table)
    await sought.check(dump)
    const [, wrapped] = /"purpose":"pepper".*?"([^"]{100,})"/.exec(String(dump.find(({ name }) => name === 'table data_keys')?.bytes)) ?? []
    assert.ok(wrapped, 'the dump holds keys, wrapped')
  } finally {
    await flow.close()
  }
})

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
