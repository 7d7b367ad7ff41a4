import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createServerDatabase } from '../db/engines.ts'
import { startRelay } from '../db/relay.ts'
import { chat, startEarthflow, until } from '../harness/earthflow.ts'
import { answerJson } from '../harness/provider.ts'

test('with the database away a call is 503 with retry-after, never 401, and nothing is forwarded unrecorded; with it back, rows and calls are right again', async () => {
  const database = await createServerDatabase()
  const line = await startRelay(database.url)
  const flow = await startEarthflow({ environment: { DATABASE_URL: line.url } })
  try {
    assert.equal((await flow.post('/v1/chat/completions', chat('before'))).status, 200)
    const fresh = await flow.newTenant()
    const reached = flow.provider.seen.length
    line.cut()
    for (const [name, key] of [
      ['a known key', flow.tenant.api_key],
      ['a key never seen', fresh.api_key],
    ] as const) {
      for (const path of ['/v1/chat/completions', '/v1/messages']) {
        const answer = await flow.post(path, JSON.stringify({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'away' }] }), {
          authorization: `Bearer ${key}`,
        })
        assert.equal(answer.status, 503, `${name} at ${path}: ${answer.text}`)
        assert.ok(Number(answer.headers.get('retry-after')) > 0)
        assert.equal(answer.headers.get('x-earthflow-decision'), 'rejected')
      }
    }
    assert.equal((await flow.admin('GET', `/v1/tenants`)).status, 503)
    assert.equal(flow.provider.seen.length, reached)
    assert.equal(
      (await flow.post('/v1/chat/completions', chat('x'), { authorization: 'Bearer ef_live_nonsense' })).status,
      401,
      'what is no key at all needs no database',
    )
    assert.equal((await fetch(`${flow.origin}/health/live`)).status, 200)
    line.restore()
    await until(async () => (await flow.post('/v1/chat/completions', chat('after'))).status === 200, 'calls to pass again')
    const rows = await flow.rows()
    assert.equal(rows.filter(({ status, outcome }) => status === 'ALLOW' && outcome === 'completed').length, 2)
    await until(
      async () => (await flow.rows()).filter(({ reason }) => reason === 'unavailable').length >= 2,
      'the refused calls of the known key to be recorded as well',
    )
    assert.equal(new Set(rows.map(({ audit_id }) => audit_id)).size, rows.length)
  } finally {
    await flow.close()
    await line.close()
    await database.drop()
  }
})

test('a database that goes away in the middle of a stream leaves no clean end', async () => {
  const database = await createServerDatabase()
  const line = await startRelay(database.url)
  const flow = await startEarthflow({
    environment: { DATABASE_URL: line.url },
    script: ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      line.cut()
      response.end('data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n')
    },
  })
  try {
    const answer = await flow.post('/v1/chat/completions', chat('x', { stream: true }))
    assert.ok(!answer.text.includes('[DONE]'), 'the last event waits for the row')
    assert.match(answer.text, /data: \{"error":/)
    line.restore()
    await until(async () => (await flow.rows().catch(() => [])).length === 1, 'its row')
    assert.equal((await flow.rows())[0].outcome, 'failed')
  } finally {
    await flow.close()
    await line.close()
    await database.drop()
  }
})

test('a database that goes away before a plain reply is recorded makes it a real 503, and the row says so', async () => {
  const database = await createServerDatabase()
  const line = await startRelay(database.url)
  const flow = await startEarthflow({
    environment: { DATABASE_URL: line.url },
    script: (seen) => {
      line.cut()
      answerJson(seen)
    },
  })
  try {
    const answer = await flow.post('/v1/chat/completions', chat('x'))
    assert.equal(answer.status, 503)
    assert.ok(Number(answer.headers.get('retry-after')) > 0)
    line.restore()
    await until(async () => (await flow.rows().catch(() => [])).length === 1, 'its row')
    const [row] = await flow.rows()
    assert.deepEqual([row.outcome, row.reason, row.http_status], ['failed', 'unavailable', 503])
  } finally {
    await flow.close()
    await line.close()
    await database.drop()
  }
})
