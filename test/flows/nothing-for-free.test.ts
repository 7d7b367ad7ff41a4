/** Ways to have a model work without anybody counting it. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import postgres from 'postgres'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { answerJson, SSE } from '../harness/provider.ts'

let flow: Flow
let sql: postgres.Sql
before(async () => {
  flow = await startEarthflow()
  sql = postgres(flow.databaseUrl, { max: 1 })
  const served = { models: ['*'], priority: 50, prices: [{ model: '*', input: 1_000, output: 2_000 }] }
  await flow.addUpstream({ name: 'priced', dialects: ['openai-chat', 'openai-responses'], base_url: `${flow.provider.origin}/v1`, ...served })
  await flow.addUpstream({ name: 'google', dialects: ['gemini'], base_url: flow.provider.origin, ...served })
})
after(async () => {
  await sql.end()
  await flow.close()
})
beforeEach(() => {
  flow.provider.script = answerJson
})

async function given(budget: Record<string, unknown> | null = null, fields: Record<string, unknown> = {}) {
  const tenant = await flow.newTenant(fields)
  const post = (path: string, body: object | string, headers: Record<string, string> = {}) =>
    flow.post(path, typeof body === 'string' ? body : JSON.stringify(body), { authorization: `Bearer ${tenant.api_key}`, ...headers })
  if (budget) {
    const asked = { scope: 'tenant', unit: 'usd', window: 'month', mode: 'hard', ...budget }
    assert.equal((await flow.admin('POST', `/v1/budgets?tenant_id=${tenant.tenant_id}`, asked)).status, 201)
  }
  const rows = async () =>
    await sql<{ user_id: string | null; usage: Record<string, number> | null; cost_usd: string | null }[]>`
      select user_id, usage, cost_usd from audit_entries where kind = 'exchange' and tenant_id = ${tenant.tenant_id} order by timestamp, audit_id`
  return { ...tenant, post, rows }
}

const nameless = [
  '/v1/threads/t/runs',
  '/v1/threads/runs/',
  '/v1/threads/t/runs/r/submit_tool_outputs',
  '/v1/videos',
  '/v1/Videos/v/remix',
  '/v1beta/interactions',
]

test('a model that works without being named has no known price: it is marked, and no hard budget in dollars lets it pass', async () => {
  const { post, rows } = await given()
  const hard = await given({ amount: 100 })
  const few = await given(null, { allowed_models: ['priced-*'] })
  for (const path of nameless) {
    assert.equal((await post(path, { assistant_id: 'a', input: 'eight ch' })).status, 200, path)
    const refused = await hard.post(path, { assistant_id: 'a', input: 'x' })
    assert.deepEqual([refused.status, /No price is known/.test(refused.text)], [403, true], path)
    assert.equal((await few.post(path, { assistant_id: 'a', input: 'x' })).status, 403, path)
  }
  for (const { usage, cost_usd } of await rows()) assert.deepEqual([(usage?.input_tokens ?? 0) > 0, usage?.estimated, cost_usd], [true, true, null])
  assert.equal((await hard.post('/v1/threads', { messages: [] })).status, 200, 'where no model works, nothing is charged')
})

test('a response in the background is charged what it may take at most, for another call fetches it', async () => {
  const { post, rows } = await given()
  const response = { id: 'r', object: 'response', status: 'queued', background: true, output: [], usage: null }
  const call = { model: 'priced-1', input: 'x', background: true, max_output_tokens: 500 }
  flow.provider.script = ({ response: answer }) => answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(response))
  await post('/v1/responses', call)
  const created = `event: response.created\ndata: ${JSON.stringify({ type: 'response.created', response })}\n\n`
  flow.provider.script = ({ response: answer }) => answer.writeHead(200, SSE).end(created)
  await post('/v1/responses', { ...call, stream: true })
  const usage = { input_tokens: 7, output_tokens: 3 }
  flow.provider.script = ({ response: answer }) =>
    answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...response, status: 'completed', usage }))
  await post('/v1/responses', call)
  assert.deepEqual(
    (await rows()).map((row) => row.usage?.output_tokens),
    [500, 500, 3],
  )
})

test('a path is free where the provider charges nothing, and not because of how it ends', async () => {
  const { post } = await given({ amount: 0 })
  const body = { model: 'priced-1', input: 'x', messages: [{ role: 'user', content: 'x' }], contents: [{ parts: [{ text: 'x' }] }] }
  for (const path of ['/v1/responses/input_tokens', '/v1beta/models/gemini-x:countTokens', '/u/priced/v1/responses/input_tokens/'])
    assert.equal((await post(path, body)).status, 200, path)
  for (const path of ['/v1/chat/completions/moderations', '/u/priced/chat/responses/input_tokens', '/v1/complete/count_tokens'])
    assert.notEqual((await post(path, body)).status, 200, path)
  assert.notEqual((await post('/v1beta/models/gemini-x:generateContent:countTokens', body)).status, 200)
})

test('Google’s answers must tell what they cost', async () => {
  const { post } = await given()
  const body = { contents: [{ role: 'user', parts: [{ text: 'x' }] }] }
  const asked = (query: string, headers = {}) => post(`/v1beta/models/gemini-x:generateContent${query}`, body, headers).then(({ status }) => status)
  for (const query of ['?alt=proto', '?%24alt=proto', '?alt=json&alt=media', '?fields=candidates.content', '?$fields=candidates', '?callback=f'])
    assert.equal(await asked(query), 400, query)
  assert.equal(await asked('', { 'x-goog-fieldmask': 'candidates' }), 400)
  for (const query of ['', '?alt=json', '?$alt=json;enum-encoding=int', '?prettyPrint=false']) assert.equal(await asked(query), 200, query)
})

test('a user is the same in a header and in a body, whatever letters the name has', async () => {
  const { post, rows } = await given({ amount: 0, scope: 'user', scope_id: 'Zoë' })
  const call = (more: object = {}) => chat('x', { model: 'priced-1', ...more })
  const path = '/v1/chat/completions'
  const inUtf8 = Buffer.from('Zoë').toString('latin1') // as the bytes of a header are given to fetch
  const statuses = [
    await post(path, call({ user: 'Zoë' })),
    await post(path, call(), { 'x-earthflow-user': inUtf8 }),
    await post(path, call(), { 'x-earthflow-user': 'Zoë' }),
    await post(path, call({ metadata: { user: 5, user_id: 'Zoë' } })),
  ].map(({ status }) => status)
  assert.deepEqual(statuses, [429, 429, 429, 429])
  assert.deepEqual(
    (await rows()).map(({ user_id }) => user_id),
    ['Zoë', 'Zoë', 'Zoë', 'Zoë'],
  )
})
