/** Upstreams that fail, and what the callers, the others and the records see of it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PROBE_EVERY_MS } from '../../src/upstreams/breaker.ts'
import { FAILURES_TILL_DOWN } from '../../src/upstreams/health.ts'
import { chat, type Flow, startEarthflow, until, wire } from '../harness/earthflow.ts'
import { answerJson, chatAnswer, chatEvent, type Provider, type Script, SSE, startProvider } from '../harness/provider.ts'

let flow: Flow
const providers: Provider[] = []
before(async () => {
  flow = await startEarthflow()
})
after(async () => {
  for (const provider of providers) provider.close()
  await flow.close()
})

const BUSY = '{"error":{"message":"busy","type":"server_error"}}'
const busyWith =
  (headers: Record<string, string> = {}): Script =>
  ({ response }) =>
    void response.writeHead(503, { 'content-type': 'application/json', 'x-odd': 'yes', ...headers }).end(BUSY)

/** An upstream of its own provider, called by its name unless a model leads to it. */
async function upstream(name: string, script: Script, fields: Record<string, unknown> = {}): Promise<Provider> {
  const provider = await startProvider(script)
  providers.push(provider)
  const { tenant_id, ...rest } = fields
  const made = { name, dialects: ['openai-chat'], base_url: `${provider.origin}/v1`, credential: flow.credential, models: [`${name}-*`], ...rest }
  const answer = await flow.admin('POST', `/v1/upstreams${tenant_id === undefined ? '' : `?tenant_id=${tenant_id}`}`, made)
  assert.equal(answer.status, 201, answer.text)
  return provider
}

const call = (name: string, headers: Record<string, string> = {}, more: object = {}) =>
  flow.post(`/u/${name}/chat/completions`, chat('Hello', { model: `${name}-1`, ...more }), headers)
const statusOf = async (name: string) => ((await flow.admin('GET', `/v1/upstreams/${name}`)).json as { status: Record<string, unknown> }).status
/** A sample of the metrics; 0 where there is none. */
async function metric(name: string): Promise<number> {
  const { text } = await flow.admin('GET', '/v1/dashboard/metrics')
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length + 1) ?? 0,
  )
}
const rowOf = async (answer: { headers: Headers }) => {
  const [row] = await flow.rows(`&request_id=${answer.headers.get('x-earthflow-request-id')}`)
  assert.ok(row)
  return row
}

test('an upstream answering only 503: sent again within bounds, then left alone, its callers told at once; others are untouched; a probe finds it well again', async () => {
  const broken = await upstream('broken', busyWith())
  const other = await flow.newTenant()
  const theirs = await upstream('broken', answerJson, { tenant_id: other.tenant_id })
  const first = await call('broken')
  assert.deepEqual([first.status, first.text, first.headers.get('x-odd'), broken.seen.length], [503, BUSY, 'yes', 3], 'the last answer passes as it came')
  assert.deepEqual(
    (await rowOf(first)).attempts.map(({ upstream, status }) => [upstream, status]),
    [1, 2, 3].map(() => ['broken', 503]),
  )
  assert.deepEqual((await statusOf('broken')).state, 'closed')
  const opened = performance.now()
  assert.equal((await call('broken')).status, 503)
  assert.equal(broken.seen.length, FAILURES_TILL_DOWN, 'and not once more when it is open')

  const many = await Promise.all(Array.from({ length: 60 }, () => call('broken')))
  assert.ok(many.every(({ status }) => status === 503))
  const probes = Math.floor((performance.now() - opened) / PROBE_EVERY_MS)
  assert.ok(broken.seen.length <= FAILURES_TILL_DOWN + probes, `${broken.seen.length} requests, ${probes} probes`)
  const refused = many.filter(({ headers }) => headers.get('x-odd') === null)
  assert.ok(refused.length >= 60 - probes)
  for (const answer of refused) {
    assert.equal(answer.headers.get('retry-after'), '1')
    assert.equal((answer.json as { error: { code: string } }).error.code, 'unavailable')
  }
  const row = await rowOf(refused[0] as (typeof refused)[0])
  assert.deepEqual(
    [row.outcome, row.reason, row.http_status, row.upstream, row.attempts, row.forwarded_hash, row.usage],
    ['failed', 'unavailable', 503, null, [], null, null],
  )
  assert.deepEqual([row.status, refused[0]?.headers.get('x-earthflow-decision')], ['REJECTED', 'rejected'], 'nothing left')
  const shown = await statusOf('broken')
  assert.ok(shown.state !== 'closed' && typeof shown.next_probe_at === 'string', JSON.stringify(shown))
  assert.equal(await metric('earthflow_upstream_breaker_open{upstream="broken"}'), 1)

  assert.equal((await call('broken', { authorization: `Bearer ${other.api_key}` })).text, chatAnswer, 'another tenant’s of the same name')
  assert.equal(theirs.seen.length, 1)
  assert.equal((await flow.post('/v1/chat/completions', chat('Hello'))).status, 200, 'another upstream')

  broken.script = answerJson
  await until(async () => (await call('broken')).status === 200, 'a probe to find it well')
  assert.deepEqual([(await statusOf('broken')).state, (await call('broken')).status], ['closed', 200])
  assert.equal(await metric('earthflow_upstream_breaker_open{upstream="broken"}'), 0)
  assert.equal(await metric('earthflow_upstream_breaker_openings_total{upstream="broken"}'), 1)
  assert.equal(await metric('earthflow_upstream_retries_total{upstream="broken"}'), 3, 'two of the first call, one of the second')
  const asked = async (result: string) => metric(`earthflow_upstream_attempts_total{upstream="broken",result="${result}"}`)
  assert.equal((await asked('server_error')) + (await asked('ok')), broken.seen.length + theirs.seen.length, 'every attempt is counted')
  assert.equal(await flow.openExchanges(), 0)
})

test('a caller with one call at a time is refused by the breaker as often as it likes, and goes on when it closes: nothing is kept', async () => {
  const { tenant_id, api_key } = await flow.newTenant({ max_concurrency: 1 })
  const key = { authorization: `Bearer ${api_key}` }
  const budget = await flow.admin('POST', `/v1/budgets?tenant_id=${tenant_id}`, { scope: 'tenant', unit: 'usd', amount: 5, mode: 'hard', window: 'month' })
  assert.equal(budget.status, 201, budget.text)
  const { id } = budget.json as { id: string }
  const shaky = await upstream('shaky', ({ response }) => response.destroy(), { prices: [{ model: '*', input: 1, output: 1 }] })
  while ((await statusOf('shaky')).state === 'closed') assert.equal((await call('shaky', key)).status >= 502, true)
  for (let i = 0; i < 5; i++) assert.ok((await call('shaky', key)).status >= 502)
  shaky.script = answerJson
  await until(async () => (await call('shaky', key)).status === 200, 'a probe to find it well')
  assert.equal((await call('shaky', key)).status, 200)
  assert.equal(((await flow.admin('GET', `/v1/budgets/${id}?tenant_id=${tenant_id}`)).json as { reserved: number }).reserved, 0)
})

test('another candidate is asked only within the dialect, and after the first byte nobody is', async () => {
  const models = { models: ['fall-*'] }
  const down = await upstream('fall-a', ({ response }) => response.destroy(), { ...models, priority: 9 })
  const stranger = await upstream('fall-b', answerJson, { ...models, priority: 8, dialects: ['anthropic-messages'] })
  const up = await upstream('fall-c', answerJson, { ...models, priority: 7 })
  const answer = await flow.post('/v1/chat/completions', chat('Hello', { model: 'fall-1' }))
  assert.deepEqual([answer.status, down.seen.length, stranger.seen.length, up.seen.length], [200, 1, 0, 1])
  down.script = ({ response }) => {
    response.writeHead(200, SSE)
    response.write(chatEvent('one'), () => response.destroy())
  }
  const stream = await flow.post('/v1/chat/completions', chat('Hello', { model: 'fall-1', stream: true }))
  assert.ok(stream.text.startsWith(chatEvent('one')) && stream.text.includes('"error"'))
  assert.deepEqual([down.seen.length, up.seen.length, (await rowOf(stream)).attempts.length], [2, 1, 1])
})

test('Retry-After passes to the client as it came; who asks for long is not asked again by this call, and after the others by the next', async () => {
  const models = { models: ['rest-*'], dialects: ['openai-responses'] }
  const ask = () => flow.post('/v1/responses', JSON.stringify({ model: 'rest-1', input: 'Hello' }))
  const resting = await upstream('rest-a', busyWith({ 'retry-after': '999999999' }), { ...models, priority: 9 })
  const alone = await call('rest-a', {}, { model: 'rest-1' })
  assert.deepEqual([alone.status, alone.headers.get('retry-after'), alone.text, resting.seen.length], [503, '999999999', BUSY, 1])
  const { rests_until } = await statusOf('rest-a')
  const ms = Date.parse(String(rests_until)) - Date.now()
  assert.ok(ms > 0 && ms <= 60_000, `for a minute at most: ${rests_until}`)
  const rested = await upstream('rest-b', answerJson, { ...models, priority: 1 })
  assert.equal((await ask()).status, 200)
  assert.deepEqual([resting.seen.length, rested.seen.length], [1, 1], 'the other one comes first while it rests')
  rested.script = ({ response }) => response.destroy()
  const both = await ask()
  assert.deepEqual([both.status, both.text, resting.seen.length], [503, BUSY, 2], 'it is asked where the other one fails')
})

test('a client that leaves while its call waits to be sent again: cancelled, and nothing more is sent', async () => {
  const slow = await upstream('slow', busyWith({ 'retry-after': '4' }))
  const known = (await flow.rows()).length
  const socket = flow.open()
  socket.write(wire('/u/slow/chat/completions', flow.tenant.api_key, chat('Hello', { model: 'slow-1' })))
  await until(async () => (await statusOf('slow')).rests_until !== null, 'the answer to have come')
  socket.destroy()
  const [row] = await flow.rowsOf(known + 1)
  assert.deepEqual([row?.outcome, row?.attempts.map(({ status }) => status), slow.seen.length], ['cancelled', [503], 1])
  assert.equal(await flow.openExchanges(), 0)
})

test('an upstream that is switched off while a call waits to be sent there again is not asked: the client gets the answer there was', async () => {
  const going = await upstream('going', busyWith({ 'retry-after': '3' }))
  const waiting = call('going')
  await until(async () => (await statusOf('going'))?.rests_until != null, 'the answer to have come')
  assert.equal((await flow.admin('PATCH', '/v1/upstreams/going', { active: false })).status, 200)
  const { status, text } = await waiting
  assert.deepEqual([status, text, going.seen.length], [503, BUSY, 1])
  assert.equal(await statusOf('going'), null)
})

test('total_seconds ends an answer that drips for ever, with an error in its dialect', async () => {
  let closed = false
  await upstream(
    'drips',
    ({ response }) => {
      response.writeHead(200, SSE)
      const timer = setInterval(() => response.write(chatEvent('x')), 5)
      response.on('close', () => {
        clearInterval(timer)
        closed = true
      })
    },
    { timeouts: { total_seconds: 0.3 } },
  )
  const stream = await call('drips', {}, { stream: true })
  assert.match(stream.text.slice(stream.text.lastIndexOf('data:')), /"error"/)
  assert.equal((await rowOf(stream)).reason, 'upstream_timeout')
  await until(() => closed, 'the upstream to be let go')
})

test('what nobody could be told has not left: a refused connection leaves no hash of it', async () => {
  const gone = await upstream('gone', answerJson)
  gone.close()
  const row = await rowOf(await call('gone'))
  assert.deepEqual([row.outcome, row.http_status, row.upstream, row.forwarded_hash], ['failed', 502, 'gone', null])
  assert.ok(row.prompt_hash?.startsWith('sha256:'))
  assert.deepEqual([...new Set(row.attempts.map(({ error }) => error))], ['ECONNREFUSED'])
})
