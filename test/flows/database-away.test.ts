import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createServerDatabase } from '../db/engines.ts'
import { startRelay } from '../db/relay.ts'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { answerJson } from '../harness/provider.ts'

let database: Awaited<ReturnType<typeof createServerDatabase>>
let line: Awaited<ReturnType<typeof startRelay>>
let flow: Flow
/** Cuts the line to the database in the middle of a call. */
let cutsWhenCalled = false
before(async () => {
  database = await createServerDatabase()
  line = await startRelay(database.url)
  flow = await startEarthflow({
    environment: { DATABASE_URL: line.url },
    script(seen) {
      if (cutsWhenCalled) line.cut()
      if (!seen.body.toString().includes('"stream":true')) return answerJson(seen)
      seen.response.writeHead(200, { 'content-type': 'text/event-stream' })
      seen.response.end('data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n')
    },
  })
})
after(async () => {
  await flow.close()
  await line.close()
  await database.drop()
})

const asKey = (key: string) => ({ authorization: `Bearer ${key}` })
const back = async (): Promise<void> => {
  cutsWhenCalled = false
  line.restore()
  await until(async () => (await flow.admin('GET', '/v1/tenants')).status === 200, 'the database to be back')
  await flow.recorded(20_000)
}

test('with the database away loaded keys go on, their rows say so and follow; strict tenants, hard budgets and new keys get 503, and nothing of theirs leaves', async () => {
  const strict = await flow.newTenant({ audit_durability: 'strict' })
  const budgeted = await flow.newTenant()
  const budget = { scope: 'tenant', scope_id: budgeted.tenant_id, amount: 1_000_000, unit: 'tokens', window: 'day', mode: 'hard' }
  assert.equal((await flow.admin('POST', `/v1/budgets?tenant_id=${budgeted.tenant_id}`, budget)).status, 201)
  const fresh = await flow.newTenant()
  for (const { api_key } of [flow.tenant, strict, budgeted]) assert.equal((await flow.post('/v1/chat/completions', chat('before'), asKey(api_key))).status, 200)
  const reached = flow.provider.seen.length

  line.cut()
  assert.equal((await flow.post('/v1/chat/completions', chat('first'))).status, 200)
  for (const path of ['/v1/chat/completions', '/v1/messages']) {
    for (const [name, { api_key }] of Object.entries({ strict, budgeted, fresh })) {
      const answer = await flow.post(path, JSON.stringify({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'away' }] }), asKey(api_key))
      assert.equal(answer.status, 503, `${name} at ${path}: ${answer.text}`)
      assert.ok(Number(answer.headers.get('retry-after')) > 0)
      assert.equal(answer.headers.get('x-earthflow-decision'), 'rejected')
    }
  }
  for (let i = 0; i < 20; i++) assert.equal((await flow.post('/v1/chat/completions', chat(`away ${i}`))).status, 200)
  assert.equal(flow.provider.seen.length, reached + 21)
  assert.equal((await flow.admin('GET', '/v1/tenants')).status, 503)
  assert.equal((await flow.post('/v1/chat/completions', chat('x'), asKey('ef_live_nonsense'))).status, 401, 'what is no key at all needs no database')
  assert.equal((await fetch(`${flow.origin}/health/live`)).status, 200)
  await until(async () => ((await (await fetch(`${flow.origin}/health/ready`)).json()) as { status: string }).status === 'degraded', 'readiness to notice')
  assert.equal((await fetch(`${flow.origin}/health/ready`)).status, 200)

  await back()
  const rows = await flow.rows()
  assert.deepEqual(
    rows.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'completed'),
    [],
  )
  assert.equal(rows.length, 22)
  assert.ok(rows.filter(({ degraded }) => degraded === 'database_away').length >= 20)
  assert.equal(new Set(rows.map(({ audit_id }) => audit_id)).size, rows.length)
  for (const { api_key } of [strict, budgeted, fresh]) assert.equal((await flow.post('/v1/chat/completions', chat('after'), asKey(api_key))).status, 200)
})

test('a database that goes away in the middle of a call is no concern of its client, plain or streamed', async () => {
  const known = (await flow.rows()).length
  cutsWhenCalled = true
  const answer = await flow.post('/v1/chat/completions', chat('x', { stream: true }))
  assert.match(answer.text, /\[DONE\]/)
  assert.equal((await flow.post('/v1/chat/completions', chat('x'))).status, 200)
  await back()
  const rows = await flow.rows()
  assert.deepEqual([rows.length, rows[0].outcome, rows[1].outcome], [known + 2, 'completed', 'completed'])
})

test('a strict call whose database goes away has left already: its client has the answer, and its row follows', async () => {
  const strict = await flow.newTenant({ audit_durability: 'strict' })
  cutsWhenCalled = true
  assert.equal((await flow.post('/v1/chat/completions', chat('x'), asKey(strict.api_key))).status, 200)
  await back()
  const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${strict.tenant_id}`)).json as { entries: { outcome: string }[] }
  assert.deepEqual(
    entries.map(({ outcome }) => outcome),
    ['completed'],
  )
})
