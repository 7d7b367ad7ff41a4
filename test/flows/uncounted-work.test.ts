/** Work of a provider that it did not get to count, or that nobody could read: none of it is free, and none runs past a hard budget. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import postgres from 'postgres'
import { chat, type Flow, startEarthflow, until, wire } from '../harness/earthflow.ts'
import { answerJson, chatAnswer, chatEvent, DONE, type Provider, SSE, startProvider } from '../harness/provider.ts'

let flow: Flow
let sql: postgres.Sql
let second: Provider
const INPUT = 1_000
const OUTPUT = 2_000
const prices = [{ model: '*', input: INPUT, output: OUTPUT }]
before(async () => {
  flow = await startEarthflow()
  sql = postgres(flow.databaseUrl, { max: 1 })
  second = await startProvider()
  await flow.admin('DELETE', '/v1/upstreams/openai-like') // it would be asked after the others
  const one = { dialects: ['openai-chat', 'openai-audio', 'openai-images'], base_url: `${flow.provider.origin}/v1`, prices }
  await flow.addUpstream({ ...one, name: 'priced', models: ['*'], priority: 40 })
  await flow.addUpstream({ name: 'google', dialects: ['gemini'], base_url: flow.provider.origin, models: ['*'], prices })
  await flow.addUpstream({ ...one, name: 'first', models: ['two-*'], priority: 60, timeouts: { first_byte_seconds: 1 } })
  await flow.addUpstream({ ...one, name: 'second', models: ['two-*'], priority: 50, base_url: `${second.origin}/v1` })
})
after(async () => {
  second.close()
  await sql.end()
  await flow.close()
})
beforeEach(() => {
  flow.provider.script = answerJson
})

const call = (content: string, more: object = {}) => chat(content, { model: 'priced-1', ...more })
async function given(amount: number | null = null) {
  const tenant = await flow.newTenant()
  const headers = { authorization: `Bearer ${tenant.api_key}` }
  const budget = { scope: 'tenant', unit: 'usd', window: 'month', mode: 'hard', amount }
  if (amount !== null) assert.equal((await flow.admin('POST', `/v1/budgets?tenant_id=${tenant.tenant_id}`, budget)).status, 201)
  const rows = async () => {
    await flow.recorded(10_000)
    return await sql<{ outcome: string; reason: string | null; nano: string | null; usage: Record<string, number> | null }[]>`
      select outcome, reason, (cost_usd * 1e9)::bigint as nano, usage from audit_entries
      where kind = 'exchange' and tenant_id = ${tenant.tenant_id} order by timestamp, audit_id`
  }
  return { ...tenant, rows, post: (body: string, path = '/v1/chat/completions') => flow.post(path, body, headers) }
}
const nanoOf = (input: number, output: number): number => input * INPUT * 1_000 + output * OUTPUT * 1_000

for (const closes of [false, true]) {
  test(`a stream that comes all at once ${closes ? 'and is closed by its provider ' : ''}is stopped by a hard budget before more of it goes out than was reserved`, async () => {
    const { post, rows } = await given(0.5)
    const said = 'abcd'.repeat(1_000)
    flow.provider.script = ({ response }) => {
      response.writeHead(200, closes ? { ...SSE, connection: 'close' } : SSE)
      response.end(chatEvent(said).repeat(closes ? 10 : 300) + DONE)
    }
    const { text } = await post(call('x', { stream: true, max_tokens: 10 }))
    assert.equal(text.split(said).length - 1, 0)
    assert.match(text, /"code":"insufficient_quota"/)
    assert.doesNotMatch(text, /\[DONE\]/)
    const [row] = await rows()
    assert.deepEqual([row?.outcome, row?.reason], ['refused', 'budget'])
  })

  test(`a stream that comes all at once ${closes ? 'and is closed by its provider ' : ''}arrives whole while its budget has enough`, async () => {
    const { post, rows } = await given(1_000)
    const events = Array.from({ length: closes ? 10 : 300 }, (_, i) => chatEvent(`${i} ${'abcd'.repeat(1_000)}`)).join('') + DONE
    flow.provider.script = ({ response }) => {
      response.writeHead(200, closes ? { ...SSE, connection: 'close' } : SSE)
      response.end(events)
    }
    assert.equal((await post(call('x', { stream: true, max_tokens: 10 }))).text, events)
    assert.equal((await rows())[0]?.outcome, 'completed')
  })
}

test('a stream that comes as one list of its events is ended by an error that is its last item', async () => {
  const { post, rows } = await given(0.5)
  const item = (text: string) => JSON.stringify({ candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0 }] })
  flow.provider.script = async ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(`[${item('a ] in a text, and a \\" too')}\n,\r`)
    await new Promise(setImmediate)
    for (let i = 0; i < 300; i++) response.write(`\n${item('abcd'.repeat(1_000))}\n,\r`)
    response.end(`\n${item('the end')}]`)
  }
  const call = { contents: [{ parts: [{ text: 'x' }] }], generationConfig: { maxOutputTokens: 60 } }
  const { status, text } = await post(JSON.stringify(call), '/v1beta/models/priced-1:streamGenerateContent')
  const items = JSON.parse(text) as { error?: { code: number; status: string } }[]
  assert.deepEqual([status, items.length, items.at(-1)?.error?.status], [200, 2, 'RESOURCE_EXHAUSTED'], text.slice(0, 500))
  const [row] = await rows()
  assert.deepEqual([row?.outcome, row?.reason], ['refused', 'budget'])
})

test('a client that leaves while the database is asked is let go at once', async () => {
  const { api_key, rows, tenant_id } = await given(1_000)
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).flushHeaders()
  const socket = flow.open()
  socket.write(wire('/v1/chat/completions', api_key, call('x', { stream: true, max_tokens: 10 })))
  await once(socket, 'data')
  // The budget's row is taken: whoever asks for more of it waits.
  await sql.begin(async (tx) => {
    await tx`select 1 from budgets where tenant_id = ${tenant_id} for update`
    flow.provider.seen.at(-1)?.response.write(chatEvent('abcd'.repeat(1_000)))
    socket.destroy()
    await until(() => flow.provider.seen.at(-1)?.closed === true, 'the provider to be told')
  })
  await until(async () => (await rows()).length === 1, 'its row')
  assert.equal((await rows())[0]?.outcome, 'cancelled')
})

test('a provider that takes the call and closes the connection has had its input', async () => {
  const { post, rows } = await given()
  flow.provider.script = ({ response }) => response.destroy()
  assert.equal((await post(call('eight ch'))).status, 502)
  flow.provider.script = ({ request }) => request.socket.resetAndDestroy()
  assert.equal((await post(call('eight ch'))).status, 502)
  const row = { usage: { input_tokens: 5, output_tokens: 0, estimated: true }, nano: nanoOf(5, 0) }
  assert.deepEqual(
    (await rows()).map(({ usage, nano }) => ({ usage, nano: Number(nano) })),
    [row, row],
  )
})

test('an attempt that was given up for another is paid as well as the one that answered', async () => {
  const { post, rows } = await given()
  for (const script of [() => {}, ({ response }) => response.destroy()] satisfies Provider['script'][]) {
    flow.provider.script = script
    assert.equal((await post(call('eight ch', { model: 'two-1' }))).text, chatAnswer)
  }
  const usage = { input_tokens: 5 + 7, output_tokens: 3, estimated: true }
  const row = { usage, nano: nanoOf(12, 3) }
  assert.deepEqual(
    (await rows()).map(({ usage, nano }) => ({ usage, nano: Number(nano) })),
    [row, row],
  )
})

test('what is compressed although it was not to be is charged what it was expected to take, and a quarter of its bytes where that is more', async () => {
  const { post, rows } = await given()
  const zipped = gzipSync(chatAnswer)
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(zipped)
  assert.equal((await post(call('eight ch', { max_tokens: 500 }))).text, chatAnswer)
  await post(call('eight ch', { max_tokens: 1 }))
  assert.deepEqual(
    (await rows()).map(({ usage }) => usage),
    [500, Math.ceil(zipped.length / 4)].map((output_tokens) => ({ input_tokens: 5, output_tokens, estimated: true })),
  )
})

test('sound and pictures that tell no usage are charged what they were expected to take, whatever they are wrapped in', async () => {
  const { post, rows } = await given()
  const speech = JSON.stringify({ model: 'priced-tts', voice: 'alloy', input: 'a'.repeat(4_000) })
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'audio/mpeg' }).end(Buffer.alloc(100_000, 0x22))
  assert.equal((await post(speech, '/v1/audio/speech')).status, 200)
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).end('data: {"type":"speech.audio.delta","audio":"AAAA"}\n\n')
  await post(speech, '/v1/audio/speech')
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[{"b64_json":"AAAA"}]}')
  await post(JSON.stringify({ model: 'priced-image', prompt: 'a cat' }), '/v1/images/generations')
  for (const { usage, nano } of await rows()) {
    assert.deepEqual([usage?.output_tokens, usage?.estimated], [4_096, true])
    assert.equal(Number(nano), nanoOf(usage?.input_tokens ?? 0, 4_096))
  }
  assert.equal((await rows()).length, 3)
})

test('files that are fetched ask no model and cost nothing', async () => {
  const { api_key, rows } = await given()
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(Buffer.alloc(10_000))
  const answer = await fetch(`${flow.origin}/v1/files/file-1/content`, { headers: { authorization: `Bearer ${api_key}` } })
  assert.equal((await answer.arrayBuffer()).byteLength, 10_000)
  assert.deepEqual(
    (await rows()).map(({ usage, nano }) => [usage, nano]),
    [[null, null]],
  )
})
