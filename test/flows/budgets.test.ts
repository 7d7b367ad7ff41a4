/** Money that holds, through the whole of Earthflow: prices, costs, budgets and what a call leaves behind when it breaks off. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, test } from 'node:test'
import postgres from 'postgres'
import { chat, type Flow, startEarthflow, until, wire } from '../harness/earthflow.ts'
import { answerJson, chatEvent, DONE, SSE, startProvider } from '../harness/provider.ts'

let flow: Flow
let sql: postgres.Sql
before(async () => {
  flow = await startEarthflow()
  sql = postgres(flow.databaseUrl, { max: 1 })
  await flow.addUpstream({
    name: 'priced',
    dialects: ['openai-chat', 'openai-responses', 'anthropic-messages'],
    base_url: `${flow.provider.origin}/v1`,
    models: ['priced-*'],
    priority: 50,
    prices: [{ model: 'priced-*', input: 1_000, output: 2_000 }],
  })
})
after(async () => {
  await sql.end()
  await flow.close()
})
beforeEach(() => {
  flow.provider.script = answerJson
})

/** The answers of `answerJson` say seven tokens in and three out. */
const COST = 7 * 1_000_000 + 3 * 2_000_000
const call = (content: string, more: object = {}) => chat(content, { model: 'priced-1', ...more })
async function given(budget: Record<string, unknown> | null = null, fields: Record<string, unknown> = {}) {
  const tenant = await flow.newTenant(fields)
  const post = (body: string, headers: Record<string, string> = {}) =>
    flow.post('/v1/chat/completions', body, { authorization: `Bearer ${tenant.api_key}`, ...headers })
  const made =
    budget &&
    (await flow.admin('POST', `/v1/budgets?tenant_id=${tenant.tenant_id}`, { scope: 'tenant', unit: 'usd', window: 'month', mode: 'hard', ...budget }))
  if (made) assert.equal(made.status, 201, made.text)
  const id = made ? (made.json as { id: string }).id : ''
  const state = async () => (await flow.admin('GET', `/v1/budgets/${id}?tenant_id=${tenant.tenant_id}`)).json as { spent: number; reserved: number }
  const rows = async () => {
    await flow.recorded(10_000)
    return await sql<
      {
        audit_id: string
        status: string
        outcome: string
        reason: string
        nano: string | null
        usage: Record<string, number> | null
        budgets: { amount: number }[] | null
      }[]
    >`
      select audit_id, status, outcome, reason, (cost_usd * 1e9)::bigint as nano, usage, budgets from audit_entries
      where kind = 'exchange' and tenant_id = ${tenant.tenant_id} order by timestamp, audit_id`
  }
  return { ...tenant, post, state, rows, budgetId: id }
}

test('the row and the costs say what a call cost, to the nano-dollar, by whatever they are grouped', async () => {
  const { post, rows, tenant_id } = await given()
  for (const user of ['ann', 'bob', 'ann']) assert.equal((await post(call('x'), { 'x-earthflow-user': user })).status, 200)
  assert.deepEqual(
    (await rows()).map(({ nano, usage }) => [Number(nano), usage]),
    Array.from({ length: 3 }, () => [COST, { input_tokens: 7, output_tokens: 3 }]),
  )
  const costs = (await flow.admin('GET', `/v1/costs?tenant_id=${tenant_id}&group_by=user,model,upstream`)).json as {
    costs: Record<string, unknown>[]
    totals: Record<string, unknown>
  }
  const seen = costs.costs.map(({ user_id, model, upstream, requests, cost_usd }) => [user_id, model, upstream, requests, Number(cost_usd)])
  assert.deepEqual(seen.sort(), [
    ['ann', 'priced-1', 'priced', 2, (2 * COST) / 1e9],
    ['bob', 'priced-1', 'priced', 1, COST / 1e9],
  ])
  assert.deepEqual([costs.totals.requests, costs.totals.input_tokens, Number(costs.totals.cost_usd)], [3, 21, (3 * COST) / 1e9])
})

test('of 50 calls at once on a budget for five, five pass; what was spent is the sum of the rows, and nothing stays reserved', async () => {
  // Each is expected to cost seven tokens in and two out at most, one less than it says it took.
  const expected = 7 * 1_000_000 + 2 * 2_000_000
  const { post, state, rows, tenant_id } = await given({ amount: (5 * expected) / 1e9 })
  let refused = 0
  // None of the five ends before the others were answered, however slow the machine.
  flow.provider.script = async (seen) => {
    await until(() => refused === 45, 'the others to be refused')
    answerJson(seen)
  }
  const one = async () => {
    const answer = await post(call('fifteen letters', { max_tokens: 2 }))
    if (answer.status !== 200) refused++
    return answer
  }
  const answers = await Promise.all(Array.from({ length: 50 }, one))
  assert.equal(answers.filter(({ status }) => status === 200).length, 5)
  for (const answer of answers.filter(({ status }) => status !== 200)) {
    assert.deepEqual([answer.status, answer.headers.get('x-should-retry')], [429, 'false'])
    assert.equal((answer.json as { error: { code: string } }).error.code, 'insufficient_quota')
  }
  const { spent, reserved } = await state()
  const sum = (await rows()).reduce((total, { nano }) => total + Number(nano ?? 0), 0)
  assert.deepEqual([spent, reserved, sum], [(5 * COST) / 1e9, 0, 5 * COST])
  await flow.recorded(10_000)
  const [ledger] = await sql<
    { nano: string; requests: string }[]
  >`select sum(cost_nano) as nano, sum(requests) as requests from cost_ledger where tenant_id = ${tenant_id}`
  assert.deepEqual([Number(ledger?.nano), Number(ledger?.requests)], [sum, 5])
  assert.ok(5 * COST - 5 * expected <= 5 * (COST - expected), 'over by what the reservations were wrong, and no more')
})

test('a call that a rule blocks, that a provider refuses or that never reached one costs nothing, and gives back what it reserved', async () => {
  const { post, state, rows, tenant_id } = await given({ amount: 1 })
  await flow.admin('POST', `/v1/rules?tenant_id=${tenant_id}`, { name: 'no', action: 'BLOCK', condition: { operator: 'contains', value: 'falcon' } })
  assert.equal((await post(call('falcon', { max_tokens: 10 }))).status, 403)
  flow.provider.script = ({ response }) => response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"no"}}')
  assert.equal((await post(call('x', { max_tokens: 10 }))).status, 400)
  flow.provider.script = ({ response }) => response.writeHead(529, { 'content-type': 'application/json' }).end('{"error":{"message":"busy"}}')
  assert.equal((await post(call('x', { max_tokens: 10 }))).status, 529)
  const gone = await startProvider()
  gone.close()
  const prices = [{ model: '*', input: 1_000, output: 2_000 }]
  await flow.addUpstream({ name: 'away', dialects: ['openai-chat'], models: ['away-*'], base_url: `${gone.origin}/v1`, prices })
  assert.equal((await post(call('x', { model: 'away-1', max_tokens: 10 }))).status, 502)
  assert.deepEqual(await state().then(({ spent, reserved }) => [spent, reserved]), [0, 0])
  assert.deepEqual(
    (await rows()).map(({ nano, usage, budgets }) => [nano, usage, budgets]),
    Array.from({ length: 4 }, () => [null, null, []]),
  )
})

test('a stream whose client hangs up is charged for its input and for all that was relayed', async () => {
  const { api_key, state, rows } = await given({ amount: 100 })
  flow.provider.script = ({ response }) => {
    response.writeHead(200, SSE)
    for (let i = 0; i < 50; i++) response.write(chatEvent('twelve bytes'))
  }
  const socket = flow.open()
  let got = ''
  socket.on('data', (chunk) => {
    got += String(chunk)
    if (got.split('twelve bytes').length > 50) socket.destroy()
  })
  socket.write(wire('/v1/chat/completions', api_key, call('eight ch', { stream: true })))
  await once(socket, 'close')
  await until(async () => (await rows()).length === 1, 'its row')
  const [row] = await rows()
  assert.deepEqual([row?.outcome, row?.usage], ['cancelled', { input_tokens: 5, output_tokens: 150, estimated: true }])
  const cost = 5 * 1_000_000 + 150 * 2_000_000
  assert.equal(Number(row?.nano), cost)
  assert.deepEqual(await state().then(({ spent, reserved }) => [spent, reserved]), [cost / 1e9, 0])
})

test('a stream that never says its usage is charged by what it said', async () => {
  const { post, rows } = await given()
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).end(`${chatEvent('sixteen letters!')}${chatEvent('and as many more')}${DONE}`)
  assert.equal((await post(call('eight ch', { stream: true }))).status, 200)
  assert.deepEqual((await rows())[0]?.usage, { input_tokens: 5, output_tokens: 8, estimated: true })
})

test('a provider that counts no input, or no output of a text that came, has not counted', async () => {
  const { post, rows } = await given()
  const text = 'sixteen letters!'
  for (const usage of [
    { prompt_tokens: 0, completion_tokens: 0 },
    { prompt_tokens: 7 },
    { prompt_tokens: 7, completion_tokens: '3' },
    { completion_tokens: 3 },
  ]) {
    const body = JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }], usage })
    flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end(body)
    await post(call('eight ch'))
  }
  assert.deepEqual(
    (await rows()).map(({ usage }) => [usage?.input_tokens, usage?.output_tokens, usage?.estimated]),
    [
      [5, 4, true],
      [7, 4, true],
      [7, 4, true],
      [5, 4, true],
    ],
  )
})

test('what a provider counted is found in front of whatever it repeats of the call', async () => {
  const { api_key, rows } = await given()
  const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`name ${i}`, 'm'.repeat(512)]))
  const usage = { input_tokens: 200_000, output_tokens: 3_000 }
  const response = { id: 'r', object: 'response', instructions: 'i'.repeat(4_096), output: [], usage, metadata }
  const event = `event: response.completed\ndata: ${JSON.stringify({ type: 'response.completed', response })}\n\n`
  const headers = { authorization: `Bearer ${api_key}` }
  for (const stream of [false, true]) {
    flow.provider.script = (seen) =>
      stream ? seen.response.writeHead(200, SSE).end(event) : seen.response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(response))
    await flow.post('/v1/responses', JSON.stringify({ model: 'priced-1', input: 'x', previous_response_id: 'r0', metadata, stream }), headers)
  }
  assert.deepEqual(
    (await rows()).map((row) => row.usage),
    [usage, usage],
  )
})

test('a stream that ends without its totals is charged by what it said, not by the count it began with', async () => {
  const { api_key, rows } = await given()
  const start = { type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', content: [], usage: { input_tokens: 10, output_tokens: 1 } } }
  const delta = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'sixteen letters!' } }
  const events = [start, delta, delta].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).end(events.join(''))
  await flow.post('/v1/messages', call('x', { stream: true, max_tokens: 50 }), { authorization: `Bearer ${api_key}`, 'anthropic-version': '2023-06-01' })
  assert.deepEqual((await rows())[0]?.usage, { input_tokens: 10, output_tokens: 8, estimated: true })
})

test('who did not answer in time may have worked for the call, and is paid, even where the next one could not be reached', async () => {
  const { post, state } = await given({ amount: 100 })
  const gone = await startProvider()
  gone.close()
  const prices = [{ model: '*', input: 1_000, output: 2_000 }]
  const slow = { name: 'slow', dialects: ['openai-chat'], models: ['late-*'], prices, timeouts: { first_byte_seconds: 1 } }
  await flow.addUpstream({ ...slow, priority: 2, base_url: `${flow.provider.origin}/v1` })
  await flow.addUpstream({ ...slow, priority: 1, name: 'gone', base_url: `${gone.origin}/v1` })
  flow.provider.script = () => {}
  assert.equal((await post(call('eight ch', { model: 'late-1' }))).status, 502)
  assert.deepEqual(await state().then(({ spent, reserved }) => [spent, reserved]), [0.005, 0])
})

test('a call costs what it costs where it was served, though another upstream has the same name', async () => {
  const { post, rows, tenant_id } = await given()
  const named = { name: 'twice', dialects: ['openai-chat'], models: ['twice-*'], base_url: `${flow.provider.origin}/v1` }
  await flow.addUpstream({ ...named, priority: 2, prices: [{ model: '*', input: 1, output: 1 }] })
  await flow.admin('POST', `/v1/upstreams?tenant_id=${tenant_id}`, { ...named, priority: 1, prices: [{ model: '*', input: 1_000, output: 2_000 }] })
  let calls = 0
  flow.provider.script = (seen) => (calls++ === 0 ? seen.response.writeHead(503).end() : answerJson(seen))
  assert.equal((await post(call('x', { model: 'twice-1' }))).status, 200)
  assert.deepEqual([calls, Number((await rows())[0]?.nano)], [2, COST])
})

for (const [dialect, path, event, isStopped] of [
  ['openai-chat', '/v1/chat/completions', chatEvent('x'.repeat(400)), /"code":"insufficient_quota"/],
  [
    'anthropic-messages',
    '/v1/messages',
    `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"${'x'.repeat(400)}"}}\n\n`,
    /event: error\ndata: \{"type":"error","error":\{"type":"rate_limit_error"/,
  ],
] as const) {
  test(`${dialect}: a stream that outgrows a hard budget is stopped in its dialect, and charged`, async () => {
    // For a hundred tokens it said it would need, and some more: 0.5 dollars are 250 tokens.
    const { api_key, state, rows } = await given({ amount: 0.5 })
    let written = 0
    let isOver = false
    flow.provider.script = ({ response }) => {
      response.writeHead(200, SSE)
      const timer = setInterval(() => {
        written++
        response.write(event)
      }, 5)
      response.on('close', () => {
        isOver = true
        clearInterval(timer)
      })
    }
    const answer = await flow.post(path, call('x', { stream: true, max_tokens: 100 }), {
      authorization: `Bearer ${api_key}`,
      'anthropic-version': '2023-06-01',
    })
    assert.equal(answer.status, 200)
    assert.match(answer.text, isStopped)
    await until(() => isOver, 'the provider to be told to stop')
    const relayed = answer.text.split('x'.repeat(400)).length - 1
    assert.ok(relayed < 10, `stopped after ${relayed} events`)
    const [row] = await rows()
    assert.deepEqual([row?.outcome, row?.reason], ['refused', 'budget'])
    assert.ok(Number(row?.nano) >= relayed * 100 * 2_000_000)
    assert.deepEqual(await state().then(({ spent, reserved }) => [spent, reserved]), [Number(row?.nano) / 1e9, 0])
    assert.ok(written > 0)
  })
}

test('a stream that needs more than it was expected to goes on while its budget has more', async () => {
  const { post, state } = await given({ amount: 100 })
  flow.provider.script = async ({ response }) => {
    response.writeHead(200, SSE)
    for (let i = 0; i < 100; i++) {
      response.write(chatEvent('x'.repeat(400)))
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    response.end(DONE)
  }
  const answer = await post(call('x', { stream: true, max_tokens: 100 }))
  assert.equal(answer.text.split('x'.repeat(400)).length - 1, 100)
  assert.match(answer.text, /\[DONE\]/)
  assert.equal((await state()).reserved, 0)
})

test('a soft budget lets everything through and counts; thresholds are noted once each', async () => {
  const { post, state, tenant_id, budgetId } = await given({ amount: (2 * COST) / 1e9, mode: 'soft' })
  for (let i = 0; i < 4; i++) assert.equal((await post(call('x'))).status, 200)
  assert.equal((await state()).spent, (4 * COST) / 1e9)
  await flow.recorded(10_000)
  const noted = await sql<{ reason: string; percent: number }[]>`
    select reason, (metadata->>'percent')::int as percent from audit_entries
    where kind = 'change' and tenant_id = ${tenant_id} and metadata->>'subject' = ${budgetId} and reason <> 'budget.create' order by percent`
  assert.deepEqual(
    noted.map(({ reason, percent }) => [reason, percent]),
    [
      ['budget.threshold', 50],
      ['budget.threshold', 80],
      ['budget.exceeded', 100],
    ],
  )
  assert.match(
    (await flow.admin('GET', '/v1/dashboard/metrics')).text,
    new RegExp(`earthflow_budget_crossings_total\\{tenant="${tenant_id}",percent="100"\\} 1`),
  )
})

test('a model without a price is marked, not free: its row has usage and no cost, the costs say so, and a hard budget in dollars refuses it', async () => {
  const { post, rows, tenant_id } = await given()
  assert.equal((await post(chat('x', { model: 'nobody-knows' }))).status, 200)
  const [row] = await rows()
  assert.deepEqual([row?.nano, row?.usage, row?.budgets], [null, { input_tokens: 7, output_tokens: 3 }, []])
  const { totals } = (await flow.admin('GET', `/v1/costs?tenant_id=${tenant_id}`)).json as { totals: Record<string, unknown> }
  assert.deepEqual([totals.requests, totals.unpriced_requests, Number(totals.cost_usd)], [1, 1, 0])
  const hard = await given({ amount: 100 })
  const refused = await hard.post(chat('x', { model: 'nobody-knows' }))
  assert.equal(refused.status, 403)
  assert.match(refused.text, /No price is known/)
  const tokens = await given({ amount: 100_000, unit: 'tokens' })
  assert.equal((await tokens.post(chat('x', { model: 'nobody-knows' }))).status, 200)
  assert.equal((await tokens.state()).spent, 10)
})

test('models of the catalogue have a price without anybody setting one', async () => {
  const { post, rows } = await given()
  assert.equal((await post(chat('x', { model: 'gpt-4o-mini' }))).status, 200)
  assert.ok(Number((await rows())[0]?.nano) > 0)
})

test('counting tokens and asking for models costs nothing', async () => {
  const { api_key, state } = await given({ amount: 0 })
  const headers = { authorization: `Bearer ${api_key}`, 'anthropic-version': '2023-06-01' }
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"input_tokens":14}')
  assert.equal((await flow.post('/v1/messages/count_tokens', call('x'), headers)).status, 200)
  assert.equal((await flow.post('/v1/chat/completions', call('x'), headers)).status, 429)
  assert.equal((await state()).spent, 0)
})

test('a budget of a user holds for that user alone, however the caller names it', async () => {
  const { post } = await given({ amount: 0, scope: 'user', scope_id: 'ann' })
  assert.equal((await post(call('x'), { 'x-earthflow-user': 'ann' })).status, 429)
  assert.equal((await post(call('x', { user: 'ann' }))).status, 429)
  assert.equal((await post(call('x', { metadata: { user_id: 'ann' } }))).status, 429)
  assert.equal((await post(call('x'), { 'x-earthflow-user': 'bob' })).status, 200)
  assert.equal((await post(call('x'))).status, 200)
})

test('a hard budget pays for every provider that may have read the call before another was asked, and for no more than it holds', async () => {
  const { tenant_id, api_key } = await flow.newTenant()
  const made = await flow.admin('POST', `/v1/budgets?tenant_id=${tenant_id}`, { scope: 'tenant', unit: 'tokens', amount: 200, mode: 'hard', window: 'month' })
  const { id } = made.json as { id: string }
  const hangingUp = await startProvider(({ response }) => void response.destroy())
  const well = await startProvider(answerJson)
  for (const [i, { origin }] of [hangingUp, hangingUp, hangingUp, well].entries())
    await flow.addUpstream({ name: `reads-${i}`, dialects: ['openai-chat'], base_url: `${origin}/v1`, models: ['read-by-many'], priority: 9 - i })
  const answer = await flow.post('/v1/chat/completions', chat('x'.repeat(400), { model: 'read-by-many', max_tokens: 50 }), {
    authorization: `Bearer ${api_key}`,
  })
  hangingUp.close()
  well.close()
  assert.equal((answer.json as { error: { code: string } }).error.code, 'insufficient_quota', answer.text)
  assert.equal(well.seen.length, 0)
  const { spent } = (await flow.admin('GET', `/v1/budgets/${id}?tenant_id=${tenant_id}`)).json as { spent: number }
  assert.ok(spent > 0 && spent <= 200, String(spent))
})
