import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { createEgress } from '../../src/egress/dispatcher.ts'
import { Refusal } from '../../src/errors.ts'
import { createUpstreamCheck } from '../../src/upstreams/check.ts'
import type { UpstreamRow } from '../../src/upstreams/store.ts'
import { SANDBOX_URL } from '../../src/upstreams/upstream.ts'
import { until } from '../harness/client.ts'
import { type Script, startProvider } from '../harness/provider.ts'
import { freePort } from '../services/server-process.ts'

const SECRET = 'sk-marked-credential'
const open = createEgress({ allow: parseEgressAllow('loopback') })
const closed = createEgress({ allow: parseEgressAllow('') })
const provider = await startProvider()
after(() => provider.close())

const rowOf = (fields: Partial<UpstreamRow>): UpstreamRow => ({
  id: 'up_1',
  name: 'u',
  tenantId: null,
  dialects: ['openai-chat'],
  baseUrl: `${provider.origin}/v1`,
  credential: 'sealed',
  credentialMode: 'stored',
  models: ['*'],
  priority: 0,
  weight: 1,
  region: null,
  timeouts: {},
  prices: [],
  active: true,
  createdAt: new Date(0),
  ...fields,
})
const check = createUpstreamCheck({ credentialOf: async ({ credential }) => (credential === null ? null : SECRET), pool: open.pool, sandbox: null })
const answering =
  (status: number, body: unknown, headers: Record<string, string> = {}): Script =>
  ({ response }) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(typeof body === 'string' ? body : JSON.stringify(body))

test('each vendor is asked for its models at its own path, with the stored credential in its own header', async () => {
  const two = { data: [{ id: 'a' }, { id: 'b' }] }
  for (const [dialect, base, body, url, header, value] of [
    ['openai-chat', '/v1', two, '/v1/models', 'authorization', `Bearer ${SECRET}`],
    ['anthropic-messages', '', two, '/v1/models?limit=1000', 'x-api-key', SECRET],
  ] as const) {
    provider.script = answering(200, body)
    const { latency_ms, ...rest } = await check(rowOf({ dialects: [dialect], baseUrl: provider.origin + base }))
    assert.deepEqual(rest, { ok: true, status: 200, models: 2, problem: null })
    assert.ok(latency_ms >= 0)
    const { request, url: asked } = provider.seen.at(-1) ?? assert.fail()
    assert.deepEqual([request.method, asked, request.headers[header]], ['GET', url, value])
    assert.equal(request.headers['anthropic-version'], dialect === 'anthropic-messages' ? '2023-06-01' : undefined)
  }
})

test('what is wrong is said in our words, never in those of the provider, which may repeat the credential', async () => {
  const loud = `Incorrect API key provided: ${SECRET}`
  for (const [status, problem] of [
    [302, /redirect/],
    [400, /refuses the request/],
    [401, /refuses the credential/],
    [403, /refuses the credential/],
    [404, /no list of models/],
    [429, /enough requests/],
    [500, /in trouble/],
  ] as const) {
    provider.script = answering(status, { error: { message: loud } }, { location: 'http://127.0.0.1:1/' })
    const seen = provider.seen.length
    const answer = await check(rowOf({}))
    assert.deepEqual([answer.ok, answer.status, answer.models], [false, status, null])
    assert.match(answer.problem ?? '', problem)
    assert.equal(JSON.stringify(answer).includes(SECRET), false)
    assert.equal(provider.seen.length, seen + 1, 'no redirect is followed')
  }
})

test('an answer that is no list of models is an answer all the same, and one without end is none', async () => {
  provider.script = answering(200, '<html>')
  assert.deepEqual([(await check(rowOf({}))).ok, (await check(rowOf({}))).models], [true, null])
  provider.script = ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const chunk = 'x'.repeat(1 << 20)
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  }
  const { ok, problem } = await check(rowOf({}))
  assert.deepEqual([ok, problem], [false, 'The answer was too long.'])
})

test('an upstream to which callers bring their own credential is well when it asks for one', async () => {
  provider.script = answering(401, {})
  const { ok, problem } = await check(rowOf({ credentialMode: 'passthrough', credential: null }))
  assert.deepEqual([ok, problem], [true, null])
  assert.equal(provider.seen.at(-1)?.request.headers.authorization, undefined)
})

test('an address that no call may go to is not asked either, and one where nothing listens is told apart', async () => {
  const seen = provider.seen.length
  const guarded = createUpstreamCheck({ credentialOf: async () => SECRET, pool: closed.pool, sandbox: null })
  assert.match((await guarded(rowOf({}))).problem ?? '', /may not be called/)
  assert.equal(provider.seen.length, seen)
  assert.match((await check(rowOf({ baseUrl: `http://127.0.0.1:${await freePort()}/v1` }))).problem ?? '', /Nothing listens/)
  assert.match((await check(rowOf({ baseUrl: provider.origin.replace('http:', 'https:') }))).problem ?? '', /no TLS|cut/)
  assert.match((await check(rowOf({ baseUrl: SANDBOX_URL }))).problem ?? '', /development/)
})

test('an upstream that EARTHFLOW_LOCALITY closes is not asked, and the answer says so', async () => {
  const seen = provider.seen.length
  const bound = createUpstreamCheck({ credentialOf: async () => SECRET, pool: open.pool, sandbox: null, regions: ['eu'] })
  assert.match((await bound(rowOf({ region: 'us' }))).problem ?? '', /^EARTHFLOW_LOCALITY wants every upstream in eu, .* not asked\.$/)
  assert.equal(provider.seen.length, seen)
  provider.script = answering(200, { data: [] })
  assert.equal((await bound(rowOf({ region: 'eu' }))).ok, true)
  const local = createEgress({ allow: parseEgressAllow(''), internetClosedBy: 'EARTHFLOW_LOCALITY=local-only' })
  const localCheck = createUpstreamCheck({ credentialOf: async () => SECRET, pool: local.pool, sandbox: null })
  assert.match((await localCheck(rowOf({ baseUrl: 'https://203.0.112.7/v1' }))).problem ?? '', /on the internet, which EARTHFLOW_LOCALITY closes/)
})

test('eight checks at once are the most; the ninth is told to come back', async () => {
  const waiting: (() => void)[] = []
  provider.script = (seen) => void waiting.push(() => answering(200, { data: [] })(seen))
  const under = Array.from({ length: 8 }, () => check(rowOf({})))
  await until(() => waiting.length === 8, 'eight checks to arrive')
  await assert.rejects(check(rowOf({})), (error) => error instanceof Refusal && error.reason === 'unavailable')
  for (const answer of waiting) answer()
  assert.ok((await Promise.all(under)).every(({ ok }) => ok))
  provider.script = answering(200, { data: [] })
  assert.equal((await check(rowOf({}))).ok, true)
})
