/** Traces as a collector gets them: what belongs to what, and that nothing of what was said is in them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { buildPipeline } from '../../src/pipeline/pipeline.ts'
import { type CollectedSpan, type Collector, startCollector } from '../harness/collector.ts'
import { chat, type Flow, MASTER_KEY, startEarthflow, until } from '../harness/earthflow.ts'
import { answerJson, chatEvent, SSE } from '../harness/provider.ts'

const CANARY = 'the quick brown canary'
const STAGES = buildPipeline({ bounds: {}, fingerprints: {} } as never).steps.map(({ name }) => name)
const PARENT = '00f067aa0ba902b7'
const STATE = 'congo=t61rcWkgMzE'

let collector: Collector
let flow: Flow
before(async () => {
  collector = await startCollector()
  flow = await startEarthflow({
    engine: 'pglite',
    environment: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.origin, OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=collected%20here' },
  })
})
after(async () => {
  await flow.close()
  collector.close()
})

let traces = 0
const newTraceId = (): string => `4bf92f3577b34da6a3ce${String(++traces).padStart(12, '0')}`
const traceparent = (traceId: string, flags = '01'): string => `00-${traceId}-${PARENT}-${flags}`

/** The whole trace, once its server span has come, which ends last. */
async function traceOf(traceId: string): Promise<{ root: CollectedSpan; stages: CollectedSpan[]; attempts: CollectedSpan[] }> {
  await until(() => collector.of(traceId).some(({ kind }) => kind === 2), 'the trace to arrive')
  const spans = collector.of(traceId)
  const [root] = spans.filter(({ kind }) => kind === 2)
  return { root: root!, stages: spans.filter(({ kind }) => kind === 1), attempts: spans.filter(({ kind }) => kind === 3) }
}

test('a call is one server span with a child for each stage, and continues the trace of its caller', async () => {
  const traceId = newTraceId()
  const answer = await flow.post('/v1/chat/completions', chat(CANARY, { model: 'gpt-traced' }), { traceparent: traceparent(traceId), tracestate: STATE })
  assert.equal(answer.status, 200)
  const { root, stages, attempts } = await traceOf(traceId)
  assert.equal(root.parentSpanId, PARENT)
  assert.equal(root.name, 'POST /v1/chat/completions')
  assert.deepEqual(
    stages.map(({ name }) => name),
    [...STAGES, 'settle'],
  )
  assert.ok(stages.every(({ parentSpanId, start, end }) => parentSpanId === root.spanId && start >= root.start && end <= root.end && end >= start))
  assert.equal(attempts.length, 1)
  assert.equal(attempts[0]!.parentSpanId, stages.find(({ name }) => name === 'forward')?.spanId)
  assert.deepEqual(
    [root, ...stages, ...attempts].map(({ status }) => status),
    Array.from({ length: STAGES.length + 3 }, () => 0),
    'nothing failed',
  )
  const { 'earthflow.overhead_ms': overhead, 'earthflow.policy_version': version, ...said } = root.attributes
  assert.ok(typeof overhead === 'number' && typeof version === 'number')
  assert.deepEqual(said, {
    'http.request.method': 'POST',
    'http.route': '/v1/chat/completions',
    'http.response.status_code': 200,
    'earthflow.tenant': flow.tenant.tenant_id,
    'earthflow.request_id': answer.headers.get('x-earthflow-request-id'),
    'earthflow.audit_id': answer.headers.get('x-earthflow-audit-id'),
    'earthflow.dialect': 'openai-chat',
    'earthflow.verdict': 'ALLOW',
    'earthflow.outcome': 'completed',
    'earthflow.stream': false,
    'earthflow.attempts': 1,
  })
  const { port } = new URL(flow.provider.origin)
  const { 'gen_ai.usage.input_tokens': input, 'gen_ai.usage.output_tokens': output, ...asked } = attempts[0]!.attributes
  assert.ok(Number(input) > 0 && Number(output) > 0)
  assert.deepEqual(asked, {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'gen_ai.request.model': 'gpt-traced',
    'gen_ai.response.finish_reasons': ['stop'],
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'server.address': '127.0.0.1',
    'server.port': Number(port),
    'earthflow.upstream': 'openai-like',
  })
  const { headers } = flow.provider.seen.at(-1)!.request
  assert.equal(headers.traceparent, `00-${traceId}-${attempts[0]!.spanId}-01`)
  assert.equal(headers.tracestate, STATE)
  assert.ok(flow.logged.some((line) => line.includes(`"trace_id":"${traceId}"`) && line.includes('exchange ended')))
})

test('each attempt is a span of its own, with what came of it', async () => {
  const traceId = newTraceId()
  let asked = 0
  flow.provider.script = (seen) => {
    if (++asked === 1) seen.response.writeHead(503, { 'content-type': 'application/json' }).end('{"error":{"message":"busy"}}')
    else answerJson(seen)
  }
  const answer = await flow.post('/v1/chat/completions', chat(CANARY), { traceparent: traceparent(traceId) })
  flow.provider.script = answerJson
  assert.equal(answer.status, 200)
  const { attempts, root } = await traceOf(traceId)
  assert.deepEqual(
    attempts.map(({ attributes, status }) => [
      attributes['http.response.status_code'],
      attributes['error.type'],
      attributes['http.request.resend_count'],
      status,
    ]),
    [
      [503, '503', undefined, 2],
      [200, undefined, 1, 0],
    ],
  )
  assert.equal(root.status, 0)
  const told = flow.provider.seen.slice(-2).map(({ request }) => request.headers.traceparent)
  assert.deepEqual(
    told,
    attempts.map(({ spanId }) => `00-${traceId}-${spanId}-01`),
  )
})

test('what fails is marked where it failed, and what a rule stops is no failure', async () => {
  const traceId = newTraceId()
  flow.provider.script = ({ response }) => void response.destroy()
  const answer = await flow.post('/v1/chat/completions', chat(CANARY, { max_tokens: 3 }), { traceparent: traceparent(traceId) })
  flow.provider.script = answerJson
  assert.equal(answer.status, 502)
  const { root, stages, attempts } = await traceOf(traceId)
  assert.deepEqual([root.status, root.attributes['error.type'], root.attributes['earthflow.verdict']], [2, 'upstream_unreachable', 'ALLOW'])
  assert.deepEqual(
    stages.filter(({ status }) => status === 2).map(({ name }) => name),
    ['forward'],
  )
  assert.ok(attempts.length >= 1 && attempts.every(({ status, attributes }) => status === 2 && attributes['error.type'] !== undefined))

  await flow.rule({ name: 'no', condition: { operator: 'contains', value: 'forbidden canary', target: 'prompt' }, action: 'BLOCK', priority: 50 })
  const blockedId = newTraceId()
  const blocked = await flow.post('/v1/chat/completions', chat(`a forbidden canary, ${CANARY}`), { traceparent: traceparent(blockedId) })
  assert.equal(blocked.status, 403)
  const stopped = await traceOf(blockedId)
  assert.deepEqual([stopped.root.status, stopped.root.attributes['earthflow.verdict'], stopped.root.attributes['earthflow.reason']], [0, 'BLOCK', 'rule'])
  assert.deepEqual([stopped.attempts.length, stopped.stages.at(-1)?.name, stopped.root.attributes['earthflow.rules_triggered']], [0, 'settle', 1])
})

test('a stream is traced to its end', async () => {
  const traceId = newTraceId()
  flow.provider.script = ({ response }) => {
    response.writeHead(200, SSE)
    response.end(`${chatEvent('Hello')}data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n`)
  }
  const answer = await flow.post('/v1/chat/completions', chat(CANARY, { stream: true }), { traceparent: traceparent(traceId) })
  flow.provider.script = answerJson
  assert.match(answer.text, /\[DONE\]/)
  const { root, attempts } = await traceOf(traceId)
  assert.equal(root.attributes['earthflow.stream'], true)
  assert.deepEqual(attempts[0]?.attributes['gen_ai.response.finish_reasons'], ['length'])
})

test('a trace that its caller does not record is recorded by nobody, and goes on as such; one that cannot be read begins anew', async () => {
  const traceId = newTraceId()
  const seenBefore = flow.provider.seen.length
  await flow.post('/v1/chat/completions', chat(CANARY), { traceparent: traceparent(traceId, '00'), tracestate: STATE })
  for (const malformed of [
    `00-${traceId}-${PARENT}-01-more`,
    `ff-${traceId}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${PARENT}-01`,
    CANARY,
  ])
    await flow.post('/v1/chat/completions', chat(CANARY), { traceparent: malformed, tracestate: STATE })
  const [unrecorded, ...anew] = flow.provider.seen.slice(seenBefore).map(({ request }) => request.headers)
  assert.match(unrecorded?.traceparent as string, new RegExp(`^00-${traceId}-(?!${PARENT})[0-9a-f]{16}-00$`))
  assert.equal(unrecorded?.tracestate, STATE)
  assert.equal(anew.length, 6)
  for (const headers of anew) {
    assert.match(headers.traceparent as string, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    assert.ok(!String(headers.traceparent).includes(traceId))
    assert.equal(headers.tracestate, undefined, 'what stood beside what cannot be read says nothing')
  }
  for (const headers of anew) await traceOf(String(headers.traceparent).split('-')[1]!)
  assert.deepEqual(collector.of(traceId), [])
})

test('who has no key makes no trace, and the list of models asks each upstream in a span', async () => {
  const strangerId = newTraceId()
  const answer = await flow.post('/v1/chat/completions', chat(CANARY), { authorization: 'Bearer sk-nobody', traceparent: traceparent(strangerId) })
  assert.equal(answer.status, 401)
  const traceId = newTraceId()
  flow.provider.script = ({ response }) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[{"id":"gpt-x"}]}')
  await fetch(`${flow.origin}/v1/models`, { headers: { authorization: `Bearer ${flow.tenant.api_key}`, traceparent: traceparent(traceId) } })
  flow.provider.script = answerJson
  const { root, attempts } = await traceOf(traceId)
  assert.equal(root.name, 'GET /v1/models')
  assert.deepEqual(attempts.map(({ name, attributes }) => [name, attributes['earthflow.upstream']]).sort(), [
    ['GET /v1/models', 'openai-like'],
    ['GET /v1/models', 'sandbox'],
  ])
  assert.deepEqual(collector.of(strangerId), [])
})

test('no text, no key and nothing else that was said reaches the collector; what asks for it does', () => {
  const { bytes, requests, resources } = collector
  assert.ok(bytes.length > 1_000)
  for (const secret of ['canary', flow.tenant.api_key, flow.credential, 'sk-nobody', STATE, 'Hello', 'busy'])
    assert.ok(!bytes.includes(secret), `found: ${secret.slice(0, 6)}`)
  assert.ok(requests.every(({ path, headers }) => path === '/v1/traces' && headers['x-collector-key'] === 'collected here'))
  const { 'service.name': name, 'service.instance.id': instance, 'deployment.environment.name': environment } = resources[0]!
  assert.deepEqual([name, environment], ['earthflow', 'development'])
  assert.match(String(instance), /^proc_/)
})

test('a collector that refuses, or is away, costs spans and nothing else; what waits at the end is sent', async () => {
  const own = await startCollector()
  const other = await startEarthflow({ engine: 'pglite', environment: { OTEL_EXPORTER_OTLP_ENDPOINT: `${own.origin}/` } })
  const counted = async (result: string): Promise<number> =>
    Number(new RegExp(`^earthflow_trace_spans_total\\{result="${result}"\\} (\\d+)$`, 'm').exec((await other.admin('GET', '/v1/dashboard/metrics')).text)?.[1])
  try {
    own.status = 503
    assert.equal((await other.post('/v1/chat/completions', chat(CANARY))).status, 200)
    await until(async () => (await counted('failed')) >= STAGES.length + 3, 'spans that were not taken to be counted')
    own.status = 200
    assert.equal((await other.post('/v1/chat/completions', chat(CANARY))).status, 200)
    await until(async () => (await counted('sent')) >= STAGES.length + 3, 'spans to be taken again')
    const sent = own.spans.length
    assert.equal((await other.post('/v1/chat/completions', chat(CANARY))).status, 200)
    await other.stopEarly()
    assert.equal(own.spans.length, sent + STAGES.length + 3, 'nothing that waited was left behind')
    assert.ok(other.logged.some((line) => /"status":503.*traces do not reach the collector/.test(line)))
  } finally {
    own.close()
    await other.close()
  }
  const away = await startEarthflow({ engine: 'pglite', environment: { OTEL_EXPORTER_OTLP_ENDPOINT: own.origin } })
  try {
    for (let i = 0; i < 3; i++) assert.equal((await away.post('/v1/chat/completions', chat(CANARY))).status, 200)
  } finally {
    await away.close()
  }
})

test('a collector that may not be reached is told at the start', async () => {
  await assert.rejects(
    startEarthflow({ engine: 'pglite', environment: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://10.1.2.3:4318' } }),
    /OTEL_EXPORTER_OTLP_ENDPOINT cannot be reached: .*EGRESS_ALLOW/,
  )
})

test('where no collector is set nothing of OpenTelemetry is loaded, and a trace of the caller passes as it came', async () => {
  const seen = join(tmpdir(), `earthflow-loaded-${process.pid}`)
  const hook = `import { registerHooks } from 'node:module'; import { appendFileSync } from 'node:fs'
    registerHooks({ load(url, context, next) { appendFileSync(${JSON.stringify(seen)}, url + '\\n'); return next(url, context) } })`
  const program = `const { readConfig } = await import('./src/config.ts'); await import('./src/start.ts')
    const { createTraceService } = await import('./src/trace-service.ts')
    const { traces, env } = readConfig({ EARTHFLOW_ENV: 'development' }, { dotenv: null, provide: (name) => name.endsWith('MASTER_KEY') ? ${JSON.stringify(MASTER_KEY)} : 'k9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3Pe5' })
    if (await createTraceService({ config: { traces, env } }) !== null) process.exit(1)`
  try {
    execFileSync(process.execPath, ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, '--input-type=module', '-e', program])
    const loaded = readFileSync(seen, 'utf8').split('\n')
    assert.ok(
      loaded.some((url) => url.endsWith('/src/services.ts')),
      'what was loaded was seen',
    )
    // The metrics library brings the interfaces along, and no more.
    assert.deepEqual(
      loaded.filter((url) => /@opentelemetry\/(?!api\/)/.test(url)),
      [],
    )
  } finally {
    rmSync(seen, { force: true })
  }
  const plain = await startEarthflow({ engine: 'pglite' })
  try {
    await plain.post('/v1/chat/completions', chat(CANARY), { traceparent: traceparent('4bf92f3577b34da6a3ce929d0e0e4736'), tracestate: STATE })
    const { headers } = plain.provider.seen.at(-1)!.request
    assert.deepEqual([headers.traceparent, headers.tracestate], [traceparent('4bf92f3577b34da6a3ce929d0e0e4736'), STATE])
    assert.ok(!plain.logged.some((line) => line.includes('trace_id')))
  } finally {
    await plain.close()
  }
})
