import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Agent, fetch as undiciFetch } from 'undici'
import { ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'
import { createServerDatabase } from '../db/engines.ts'
import { startRelay } from '../db/relay.ts'
import { ADMIN_KEY, chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'

test('health, readiness and information are public, name every check and no tenant; metrics need the administrator', async () => {
  const flow = await startEarthflow()
  try {
    const get = async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${flow.origin}${path}`, { headers })
      return { status: response.status, text: await response.text() }
    }
    const health = JSON.parse((await get('/health')).text) as Record<string, unknown>
    assert.deepEqual(Object.keys(health), ['status', 'version', 'uptime_seconds'])
    assert.equal(health.status, 'OK')
    assert.equal((await get('/health/live')).status, 200)
    const ready = await get('/health/ready')
    assert.equal(ready.status, 200)
    assert.deepEqual(JSON.parse(ready.text), {
      status: 'ok',
      checks: { accepting: 'ok', database: 'ok', migrations: 'ok', policies: 'ok', spool: 'ok', audit: 'ok' },
    })
    assert.equal((await get('/health/services')).status, 200)
    assert.match((await get('/info')).text, /"name":"earthflow","version":"\d/)
    assert.equal((await get('/v1/dashboard/metrics')).status, 401)
    assert.equal((await get('/v1/dashboard/metrics', { authorization: `Bearer ${flow.tenant.api_key}` })).status, 401)
    await flow.post('/v1/chat/completions', chat('x'))
    const metrics = await get('/v1/dashboard/metrics', { authorization: `Bearer ${ADMIN_KEY}` })
    assert.match(
      metrics.text,
      new RegExp(`earthflow_requests_total\\{tenant="${flow.tenant.tenant_id}",status="ALLOW",dialect="openai-chat",upstream="openai-like"\\} 1`),
    )
    const exchange = flow.logged.map((line) => JSON.parse(line) as Record<string, unknown>).find(({ logger }) => logger === 'exchange')
    assert.deepEqual(
      [exchange?.status, exchange?.http_status, exchange?.tenant_id, typeof exchange?.duration_ms],
      ['ALLOW', 200, flow.tenant.tenant_id, 'number'],
    )
  } finally {
    await flow.close()
  }
})

test('a database that is away makes readiness degraded with 200, and 503 only after EARTHFLOW_STALE_SECONDS', async () => {
  const database = await createServerDatabase()
  const relay = await startRelay(database.url)
  const flow = await startEarthflow({ environment: { DATABASE_URL: relay.url, EARTHFLOW_STALE_SECONDS: '7' } })
  try {
    relay.cut()
    const seen: string[] = []
    const state = async (): Promise<string> => {
      const response = await fetch(`${flow.origin}/health/ready`)
      const found = `${response.status} ${((await response.json()) as { status: string }).status}`
      if (seen.at(-1) !== found) seen.push(found)
      return found
    }
    await until(async () => (await state()) === '503 failed', 'readiness to fail')
    relay.restore()
    await until(async () => (await state()) === '200 ok', 'readiness to return')
    assert.deepEqual(seen, ['200 ok', '200 degraded', '503 failed', '200 ok'])
  } finally {
    await flow.close()
    await relay.close()
    await database.drop()
  }
})

test('EARTHFLOW_TLS=on serves TLS alone with the given certificate; terminated serves plain alone', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-tls-'))
  const { key, cert, caPath } = await ensureDevelopmentCertificate(dir, { hosts: ['localhost'] })
  writeFileSync(join(dir, 'tls.key'), key)
  writeFileSync(join(dir, 'tls.crt'), cert)
  const agent = new Agent({ connect: { ca: readFileSync(caPath, 'utf8') } })
  const start = (environment: Record<string, string>) =>
    startEarthflow({ environment: { EARTHFLOW_HOST: '127.0.0.1', ...environment }, databaseUrl: database.url })
  const database = await createServerDatabase()
  try {
    const secure = await start({ EARTHFLOW_TLS: 'on', TLS_CERT_PATH: join(dir, 'tls.crt'), TLS_KEY_PATH: join(dir, 'tls.key') })
    assert.equal((await undiciFetch(`https://localhost:${secure.port}/health`, { dispatcher: agent })).status, 200)
    const plain = await fetch(`http://127.0.0.1:${secure.port}/health`).then(
      ({ status }) => status,
      () => 'closed',
    )
    assert.ok(plain === 400 || plain === 'closed')
    await secure.close()
    const terminated = await start({ EARTHFLOW_TLS: 'terminated', TRUSTED_PROXIES: '127.0.0.1' })
    assert.equal((await fetch(`http://127.0.0.1:${terminated.port}/health`)).status, 200)
    await assert.rejects(undiciFetch(`https://localhost:${terminated.port}/health`, { dispatcher: agent }))
    await terminated.close()
  } finally {
    await agent.close()
    await database.drop()
    rmSync(dir, { recursive: true })
  }
})

test('a provider’s key in the environment makes that provider an upstream at once, encrypted; another key replaces it', async () => {
  const database = await createServerDatabase()
  try {
    for (const key of ['sk-first-from-environment', 'sk-second-from-environment']) {
      const flow = await startEarthflow({ environment: { OPENAI_API_KEY: key, ANTHROPIC_API_KEY: key }, databaseUrl: database.url })
      const { text, json } = await flow.admin('GET', '/v1/upstreams')
      assert.deepEqual(
        (json as { upstreams: { name: string; base_url: string }[] }).upstreams.map(({ name, base_url }) => [name, base_url]),
        [
          ['anthropic', 'https://api.anthropic.com'],
          ['openai', 'https://api.openai.com/v1'],
          ['sandbox', 'sandbox:'],
        ],
      )
      assert.ok(!text.includes('from-environment'))
      const [row] = await flow.database.sql`select credential from upstreams where name = 'openai'`
      assert.ok(!String(row.credential).includes(key))
      await flow.close()
    }
  } finally {
    await database.drop()
  }
})

test('without its key a provider made of one serves nobody any more, unless an administrator changed it since; every start that changes it leaves a record', async () => {
  const database = await createServerDatabase()
  const keys = { OPENAI_API_KEY: 'sk-from-environment', ANTHROPIC_API_KEY: 'sk-from-environment' }
  const start = (environment: Record<string, string>): Promise<Flow> => startEarthflow({ environment, databaseUrl: database.url })
  const activeIn = async (flow: Flow): Promise<string[]> => {
    const { json } = await flow.admin('GET', '/v1/upstreams?active=true')
    return (json as { upstreams: { name: string }[] }).upstreams.map(({ name }) => name)
  }
  try {
    const first = await start(keys)
    await first.admin('PATCH', '/v1/upstreams/anthropic', { credential: 'sk-of-the-administrator' })
    await first.close()
    const second = await start({})
    assert.deepEqual(await activeIn(second), ['anthropic', 'sandbox'])
    await second.close()
    const third = await start({ OPENAI_API_KEY: keys.OPENAI_API_KEY })
    assert.deepEqual(await activeIn(third), ['anthropic', 'openai', 'sandbox'])
    const { json } = await third.admin('GET', '/v1/audit?kind=change')
    const ofOpenai = (json as { entries: { reason: string; metadata: { actor: string; subject: string } }[] }).entries.filter(
      ({ metadata }) => metadata.subject === 'openai',
    )
    assert.deepEqual(
      ofOpenai.map(({ reason, metadata }) => [reason, metadata.actor]),
      [
        ['upstream.update', 'system'],
        ['upstream.update', 'system'],
        ['upstream.create', 'system'],
      ],
    )
    await third.close()
  } finally {
    await database.drop()
  }
})
