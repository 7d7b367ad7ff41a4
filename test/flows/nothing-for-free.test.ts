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
  await flow.addUpstream({ name: 'priced', dialects: ['openai-chat', 'openai-responses', 'openai-images'], base_url: `${flow.provider.origin}/v1`, ...served })
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
  const get = (path: string) =>
    fetch(`${flow.origin}${path}`, { headers: { authorization: `Bearer ${tenant.api_key}` } }).then(async (answer) => {
      await answer.text() // its end waits for the row
      return answer
    })
  const rows = async () => {
    await flow.recorded(10_000)
    return await sql<{ user_id: string | null; usage: Record<string, number> | null; cost_usd: string | null }[]>`
      select user_id, usage, cost_usd from audit_entries where kind = 'exchange' and tenant_id = ${tenant.tenant_id} order by timestamp, audit_id`
  }
  return { ...tenant, post, get, rows }
}

const nameless = [
  '/v1/threads/t/runs',
  '/v1/threads/runs/',
  '/v1/threads/t/runs/r/submit_tool_outputs',
  '/v1/videos',
  '/v1/Videos/v/remix',
  '/v1beta/interactions',
  '/v1/batches',
  '/v1/uploads/u/parts',
  '/v1/evals/e/runs',
  '/v1/conversations/c', // Mistral's goes on with it; OpenAI's is described anew
  '/u/priced/agents/completions',
  '/v1/audio/voices',
  '/v1/dreams',
  '/u/priced/sessions/s/events',
  '/v1beta1/projects/p/locations/l/reasoningEngines/1:query',
  '/v1beta/dynamic/x:generateContent',
  '/v1/whatever/comes/next',
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
  // Half a line of a batch names no model, and the other half comes with the next part.
  const line = JSON.stringify({ custom_id: '1', method: 'POST', url: '/v1/chat/completions', body: { model: 'other-1', messages: [] } })
  for (const half of [line.slice(0, 80), line.slice(80)])
    assert.equal((await few.post('/v1/uploads/u/parts', half, { 'content-type': 'application/octet-stream' })).status, 403)
  for (const { usage, cost_usd } of await rows()) assert.deepEqual([(usage?.input_tokens ?? 0) > 0, cost_usd], [true, null])
})

test('where no model works nothing is charged, and no budget and no list of models is in the way', async () => {
  const { post, rows } = await given({ amount: 0 }, { allowed_models: ['priced-*'] })
  for (const path of [
    '/v1/threads',
    '/v1/threads/t/messages',
    '/v1/threads/t/runs/r/cancel',
    '/v1/files',
    '/v1/uploads',
    '/v1/uploads/u/complete',
    '/v1/batches/b/cancel',
    '/v1/vector_stores/',
    '/v1/vector_stores/v/file_batches',
    '/v1/conversations',
    '/v1/conversations/c/items',
    '/v1/responses/r/cancel',
    '/v1/fine_tuning/alpha/graders/validate',
    '/v1beta/fileSearchStores/f:importFile',
    '/v1beta/batches/b:cancel',
    '/upload/v1beta/files',
  ])
    assert.equal((await post(path, { name: 'x', items: [] })).status, 200, path)
  for (const { usage } of await rows()) assert.equal(usage, null)
})

const hiding: [path: string, body: object][] = [
  ['/v1/fine_tuning/alpha/graders/run', { grader: { type: 'score_model', model: 'other-1' }, model_sample: 'x' }],
  ['/v1/fine_tuning/alpha/graders/run', { grader: { type: 'multi', graders: { a: { type: 'score_model', model: 'other-1' } } }, model: 'priced-1' }],
  ['/v1/evals/e/runs', { model: 'priced-1', data_source: { type: 'completions', model: 'other-1' } }],
  ['/v1/conversations', { agent_id: 'other-1', inputs: 'x' }],
  ['/v1beta1/publishers/google/models/other-1:predict', { instances: [{ prompt: 'x' }] }],
  ['/v1/publishers/google/models/other-1:predictLongRunning', { instances: [{ prompt: 'x' }] }],
  ['/v1/publishers/anthropic/models/other-1:rawPredict', { messages: [], max_tokens: 1 }],
  ['/v1/projects/p/locations/l/publishers/anthropic/models/other-1:rawPredict', { messages: [], max_tokens: 1 }],
  ['/v1/projects/p/locations/l/endpoints/other-1:predict', { instances: [] }],
  ['/v1beta/tunedModels/other-1:generateText', { prompt: { text: 'x' } }],
  ['/v1/tunedModels/other-1:predict', { instances: [] }],
  ['/v1/chat/completions', { model: 'priced-1', models: ['priced-2', 'other-1'], messages: [] }],
  ['/v1/responses', { model: 'priced-1', input: 'x', tools: [{ type: 'image_generation', model: 'other-1' }] }],
  ['/v1/messages', { model: 'priced-1', max_tokens: 1, messages: [], tools: [{ type: 'advisor_20260301', name: 'advisor', model: 'other-1' }] }],
  ['/v1/messages', { model: 'priced-1', max_tokens: 1, messages: [], fallbacks: [{ model: 'other-1' }] }],
  [
    '/v1/publishers/anthropic/models/priced-1:rawPredict',
    { max_tokens: 1, messages: [], tools: [{ type: 'advisor_20260301', name: 'advisor', model: 'other-1' }] },
  ],
]

test('a model counts wherever it is named: in a path, in a grader, in a tool, in a list of those that take over', async () => {
  await flow.addUpstream({
    name: 'claude',
    dialects: ['anthropic-messages'],
    base_url: flow.provider.origin,
    models: ['*'],
    priority: 50,
    prices: [{ model: 'priced-*', input: 1, output: 1 }],
  })
  const few = await given(null, { allowed_models: ['priced-*'] })
  const none = await given({ amount: 0 })
  for (const [path, body] of hiding) {
    const refused = await few.post(path, body)
    assert.deepEqual([refused.status, /may not use this model/.test(refused.text)], [403, true], `${path} ${JSON.stringify(body)}`)
    assert.notEqual((await none.post(path, body)).status, 200, path)
    const allowed = JSON.stringify(body).replaceAll('other-1', 'priced-3')
    assert.equal((await few.post(path.replace('other-1', 'priced-3'), allowed, { 'content-type': 'application/json' })).status, 200, `${path} ${allowed}`)
  }
})

test('what a provider counted is charged at a path that no dialect describes, and not once more where it is only told', async () => {
  const { post, get, rows } = await given()
  const answers: [path: string, usage: object, told: [input: number, output: number]][] = [
    ['/v1beta/openai/chat/completions', { usage: { prompt_tokens: 4000, completion_tokens: 6000 } }, [4000, 6000]],
    ['/v1/fim/completions', { usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 } }, [5, 7]],
    [
      '/v1/publishers/anthropic/models/priced-1:rawPredict',
      { type: 'message', usage: { input_tokens: 2, output_tokens: 3, cache_read_input_tokens: 40, cache_creation_input_tokens: 500 } },
      [542, 3],
    ],
    ['/v1beta/dynamic/x:generateContent', { usageMetadata: { promptTokenCount: 8, candidatesTokenCount: 9, thoughtsTokenCount: 10 } }, [8, 19]],
  ]
  for (const [path, answer] of answers) {
    flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    assert.equal((await post(path, { model: 'priced-1', prompt: 'x' })).status, 200, path)
    assert.equal((await get('/v1/responses/r')).status, 200)
    assert.equal((await post('/v1/responses/r/cancel', {})).status, 200)
  }
  assert.deepEqual(
    (await rows()).map(({ usage }) => usage && [usage.input_tokens, usage.output_tokens, usage.estimated]),
    answers.flatMap(([, , told]) => [[...told, undefined], null, null]),
  )
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
  const { post, rows, api_key } = await given({ amount: 0, scope: 'user', scope_id: 'Zoë' })
  const call = (more: object = {}) => chat('x', { model: 'priced-1', ...more })
  const path = '/v1/chat/completions'
  const inUtf8 = Buffer.from('Zoë').toString('latin1') // as the bytes of a header are given to fetch
  const statuses = [
    await post(path, call({ user: 'Zoë' })),
    await post(path, call(), { 'x-earthflow-user': inUtf8 }),
    await post(path, call(), { 'x-earthflow-user': 'Zoë' }),
    await post(path, call({ metadata: { user: 5, user_id: 'Zoë' } })),
    await post(path, call({ metadata: { user: '', user_id: 'Zoë' } })),
    await post(path, call({ user: 'Zoë', metadata: { user: '' } })),
    await post(path, call({ safety_identifier: 'Zoë' })),
  ].map(({ status }) => status)
  assert.deepEqual(
    statuses,
    statuses.map(() => 429),
  )
  const form = new FormData()
  for (const [name, value] of Object.entries({ model: 'priced-1', prompt: 'x', user: 'Zoë' })) form.set(name, value)
  form.set('image', new Blob(['x'], { type: 'image/png' }), 'image.png')
  const answer = await fetch(`${flow.origin}/v1/images/edits`, { method: 'POST', body: form, headers: { authorization: `Bearer ${api_key}` } })
  await answer.text()
  assert.equal(answer.status, 429)
  assert.deepEqual(
    (await rows()).map(({ user_id }) => user_id),
    [...statuses, 429].map(() => 'Zoë'),
  )
})

test('a user in whom a rule found something is in no row, whichever member named it', async () => {
  const { post, rows, tenant_id, api_key } = await given()
  const rule = { name: 'cards', action: 'WARN', condition: { operator: 'detects', value: 'credit_card' } }
  assert.equal((await flow.admin('POST', `/v1/rules?tenant_id=${tenant_id}`, rule)).status, 201)
  const card = '4111 1111 1111 1111'
  for (const named of [{ user: card }, { safety_identifier: card }, { metadata: { user_id: card } }])
    assert.equal((await post('/v1/chat/completions', chat('x', { model: 'priced-1', ...named }))).status, 200)
  for (const member of ['user', 'safety_identifier']) {
    const form = new FormData()
    for (const [name, value] of Object.entries({ model: 'priced-1', prompt: 'x', [member]: card })) form.set(name, value)
    await (await fetch(`${flow.origin}/v1/images/edits`, { method: 'POST', body: form, headers: { authorization: `Bearer ${api_key}` } })).text()
  }
  assert.deepEqual(
    (await rows()).map(({ user_id }) => user_id),
    [null, null, null, null, null],
  )
})

test('what a call may take at most is what it asks for: of several answers all, of two bounds the larger', async () => {
  const small = await given({ amount: 9 }) // a default answer of 4,096 tokens is 8.2 USD
  const path = '/v1/chat/completions'
  assert.equal((await small.post(path, chat('x', { model: 'priced-1' }))).status, 200)
  assert.equal((await small.post(path, chat('x', { model: 'priced-1', n: 2 }))).status, 429)
  assert.equal((await small.post('/v1/images/generations', { model: 'priced-1', prompt: 'x', n: 10 })).status, 429)
  assert.equal((await small.post(path, chat('x', { model: 'priced-1', max_completion_tokens: 1, max_tokens: 100_000 }))).status, 429)
  assert.equal((await small.post(path, chat('x', { model: 'priced-1', max_completion_tokens: 1, n: 2 }))).status, 200)
})
