/** `POST /v1/proxy`: one envelope for every provider, in which the rules' decision is part of the answer. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'
import { answerJson, chatEvent, DONE, type Script, SSE } from '../harness/provider.ts'

const CARD = '4111 1111 1111 1111'
let flow: Flow

before(async () => {
  flow = await startEarthflow()
  await flow.addUpstream({ name: 'gemini-like', dialects: ['gemini'], base_url: flow.provider.origin, models: ['gemini-*'], priority: 5 })
  await flow.addUpstream({ name: 'claude-only', dialects: ['anthropic-messages'], base_url: flow.provider.origin, models: ['claude-*'], priority: 5 })
  await flow.rule({ name: 'no fruit', action: 'BLOCK', condition: { operator: 'contains', value: 'forbidden fruit' } })
  await flow.rule({ name: 'ask first', action: 'ESCALATE', condition: { operator: 'contains', value: 'wire the money' } })
  await flow.rule({ name: 'cards', action: 'REDACT', condition: { operator: 'detects', value: 'credit_card' } })
  await flow.rule({ name: 'look', action: 'WARN', condition: { operator: 'contains', value: 'odd' } })
  await flow.rule({ name: 'hush', action: 'BLOCK', condition: { operator: 'contains', value: 'say no more', target: 'response' } })
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.seen.length = 0
  flow.provider.script = answerJson
})

interface Envelope {
  status: string
  request_id: string
  audit_id: string
  forwarded: boolean
  response: unknown
  reason: string | null
  triggered_rules: { rule_id: string; name: string; action: string; matched_field: string | null }[]
  redactions: { field: string; pattern: string; replacement: string }[]
  rules_evaluated: number
  latency_ms: number
}
const ask = (content: string, more: object = {}) => flow.post('/v1/proxy', JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content }], ...more }))
const rowOf = async ({ audit_id }: Envelope) => (await flow.rows()).find((row) => row.audit_id === audit_id)
const eventsOf = (text: string): unknown[] => text.split('\n\n').flatMap((event) => (event === '' ? [] : [JSON.parse(event.slice('data: '.length))]))

test('an allowed call is answered with the provider’s own answer inside the envelope, and one row', async () => {
  const answer = await ask('Hello', { metadata: { team: 'blue' } })
  assert.equal(answer.status, 200)
  const envelope = answer.json as Envelope
  assert.deepEqual(Object.keys(envelope).sort(), [
    'audit_id',
    'forwarded',
    'latency_ms',
    'reason',
    'redactions',
    'request_id',
    'response',
    'rules_evaluated',
    'status',
    'triggered_rules',
  ])
  assert.deepEqual([envelope.status, envelope.forwarded, envelope.reason, envelope.triggered_rules], ['ALLOW', true, null, []])
  assert.equal((envelope.response as { choices: { message: { content: string } }[] }).choices[0].message.content, 'Hi')
  assert.equal(answer.headers.get('x-earthflow-decision'), 'allow')
  assert.equal(answer.headers.get('x-earthflow-audit-id'), envelope.audit_id)
  const [sent] = flow.provider.seen
  assert.deepEqual([sent.url, JSON.parse(sent.body.toString())], ['/v1/chat/completions', { model: 'gpt-5', messages: [{ role: 'user', content: 'Hello' }] }])
  const row = await rowOf(envelope)
  assert.deepEqual(
    [row?.dialect, row?.endpoint, row?.status, row?.http_status, row?.prompt_hash, row?.metadata.team, row?.usage?.input_tokens],
    ['earthflow-proxy', '/v1/proxy', 'ALLOW', 200, `sha256:${createHash('sha256').update('Hello').digest('hex')}`, 'blue', 7],
  )
  assert.equal(row?.forwarded_hash, `sha256:${createHash('sha256').update(sent.body).digest('hex')}`)
})

test('what the rules decide is an answer with status 200 and no error: blocked, escalated, redacted, warned of', async () => {
  const blocked = (await ask('A forbidden fruit')).json as Envelope
  assert.deepEqual([blocked.status, blocked.forwarded, blocked.response], ['BLOCK', false, null])
  assert.deepEqual(
    blocked.triggered_rules.map(({ name, action, matched_field }) => [name, action, matched_field]),
    [['no fruit', 'BLOCK', 'messages[0].content']],
  )
  const escalated = (await ask('wire the money')).json as Envelope
  assert.deepEqual([escalated.status, escalated.forwarded], ['ESCALATE', false])
  assert.equal(flow.provider.seen.length, 0)
  const redacted = await ask(`Card ${CARD}!`)
  assert.equal(redacted.status, 200)
  const { status, redactions, forwarded } = redacted.json as Envelope
  assert.deepEqual([status, forwarded, redactions], ['REDACT', true, [{ field: 'messages[0].content', pattern: 'cards', replacement: '[CREDIT_CARD]' }]])
  assert.equal(JSON.parse(flow.provider.seen[0].body.toString()).messages[0].content, 'Card [CREDIT_CARD]!')
  assert.doesNotMatch(redacted.text, /4111/)
  assert.equal(((await ask('an odd thing')).json as Envelope).status, 'WARN')
  assert.deepEqual([(await rowOf(blocked))?.status, (await rowOf(blocked))?.http_status, (await rowOf(escalated))?.status], ['BLOCK', 200, 'ESCALATE'])
})

test('a reply that a rule stops is told as blocked after it was forwarded, and nothing of it is told', async () => {
  flow.provider.script = ({ response }) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[{"index":0,"message":{"role":"assistant","content":"I say no more"}}]}')
  const answer = await ask('Hello')
  const envelope = answer.json as Envelope
  assert.deepEqual(
    [answer.status, envelope.status, envelope.forwarded, envelope.response, envelope.triggered_rules[0].matched_field],
    [200, 'BLOCK', true, null, 'response'],
  )
  assert.doesNotMatch(answer.text, /I say/)
})

const streams: Record<string, { model: string; url: string; script: Script }> = {
  'openai-chat': {
    model: 'gpt-5',
    url: '/v1/chat/completions',
    script: ({ response }) => response.writeHead(200, SSE).end(chatEvent('One ') + chatEvent('two') + DONE),
  },
  'anthropic-messages': {
    model: 'claude-5',
    url: '/v1/messages',
    script: ({ response }) =>
      response
        .writeHead(200, SSE)
        .end(
          `${['One ', 'two']
            .map(
              (text) =>
                `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })}\n\n`,
            )
            .join('')}event: message_stop\ndata: {"type":"message_stop"}\n\n`,
        ),
  },
  gemini: {
    model: 'gemini-5',
    url: '/v1beta/models/gemini-5:streamGenerateContent?alt=sse',
    script: ({ response }) =>
      response
        .writeHead(200, SSE)
        .end(
          ['One ', 'two']
            .map(
              (text, i) =>
                `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }], role: 'model' }, ...(i === 1 && { finishReason: 'STOP' }) }] })}\n\n`,
            )
            .join(''),
        ),
  },
}
for (const [name, { model, url, script }] of Object.entries(streams)) {
  test(`streamed through ${name}: deltas, and the envelope as the last event`, async () => {
    flow.provider.script = script
    const answer = await ask('Hello', { model, stream: true })
    const events = eventsOf(answer.text) as Record<string, unknown>[]
    assert.equal(
      events
        .slice(0, -1)
        .map(({ delta }) => delta)
        .join(''),
      'One two',
    )
    const last = events.at(-1) as unknown as Envelope
    assert.deepEqual([last.status, last.forwarded, last.response], ['ALLOW', true, null])
    assert.equal(flow.provider.seen[0].url, url)
    assert.match(flow.provider.seen[0].body.toString(), /Hello/)
    assert.equal((await rowOf(last))?.outcome, 'completed')
  })
}

test('a stream that a rule stops ends with the envelope, and nothing of what was stopped', async () => {
  flow.provider.script = ({ response }) =>
    response.writeHead(200, SSE).end(chatEvent('One two three. ') + chatEvent('I say no more') + chatEvent('four') + DONE)
  const answer = await ask('Hello', { stream: true })
  const events = eventsOf(answer.text) as Record<string, unknown>[]
  assert.deepEqual(events[0], { delta: 'One two three. ' })
  assert.equal(events.at(-1)?.status, 'BLOCK')
  assert.doesNotMatch(answer.text, /four|no more/)
})

test('blocked before anything was streamed, a stream is the envelope alone', async () => {
  const answer = await ask('A forbidden fruit', { stream: true })
  assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/)
  const events = eventsOf(answer.text) as Record<string, unknown>[]
  assert.deepEqual([events.length, events[0].status], [1, 'BLOCK'])
})

test('a provider that only speaks another format is asked in that one, system messages in their place', async () => {
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"content":[{"type":"text","text":"Hi"}]}')
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
    { role: 'assistant', content: 'Yes?' },
    { role: 'user', content: 'Go on' },
  ]
  await ask('', { model: 'claude-5', messages, max_tokens: 9 })
  await ask('', { model: 'gemini-5', messages, temperature: 0.5 })
  const [claude, gemini] = flow.provider.seen
  assert.equal(claude.request.headers['anthropic-version'], '2023-06-01')
  assert.deepEqual(JSON.parse(claude.body.toString()), {
    model: 'claude-5',
    max_tokens: 9,
    system: 'Be brief.',
    messages: [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Yes?' },
      { role: 'user', content: 'Go on' },
    ],
  })
  assert.equal(gemini.url, '/v1beta/models/gemini-5:generateContent')
  assert.deepEqual(JSON.parse(gemini.body.toString()), {
    systemInstruction: { parts: [{ text: 'Be brief.' }] },
    contents: [
      { role: 'user', parts: [{ text: 'Hello' }] },
      { role: 'model', parts: [{ text: 'Yes?' }] },
      { role: 'user', parts: [{ text: 'Go on' }] },
    ],
    generationConfig: { temperature: 0.5 },
  })
})

test('what is no envelope is refused in the management API’s words, naming the member; so are identity and outages', async () => {
  const wrong: [object, string][] = [
    [{ model: 'm', messages: [{ role: 'user', content: 'x' }], tools: [] }, 'tools'],
    [{ messages: [{ role: 'user', content: 'x' }] }, 'model'],
    [{ model: 'm', messages: [] }, 'messages'],
    [{ model: 'm', messages: 'x' }, 'messages'],
    [{ model: 'm', messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role'],
    [{ model: 'm', messages: [{ role: 'user', content: 7 }] }, 'messages[0].content'],
    [{ model: 'm', messages: [{ role: 'user', content: 'x', name: 'y' }] }, 'messages[0]'],
    [{ model: 'm', messages: [{ role: 'user', content: 'x' }], stream: 'yes' }, 'stream'],
    [{ model: 'm', messages: [{ role: 'user', content: 'x' }], metadata: 1 }, 'metadata'],
    [{ model: 'm', messages: [{ role: 'user', content: 'x' }], temperature: 'hot' }, 'temperature'],
  ]
  for (const [body, param] of wrong) {
    const answer = await flow.post('/v1/proxy', JSON.stringify(body))
    const { error, context } = answer.json as { error: string; context: { param: string } }
    assert.deepEqual([answer.status, error, context.param], [400, 'VALIDATION_ERROR', param])
  }
  const stranger = await flow.post('/v1/proxy', '{}', { authorization: 'Bearer ef_test_nobody' })
  assert.deepEqual([stranger.status, (stranger.json as { error: string }).error], [401, 'AUTH_ERROR'])
  const unserved = await ask('Hello', { model: 'x'.repeat(10) })
  assert.equal(unserved.status, 200, 'the OpenAI-like upstream serves every model')
  flow.provider.script = ({ response }) => response.writeHead(429, { 'content-type': 'application/json' }).end('{"error":{"message":"secret words"}}')
  const failed = await ask('Hello')
  assert.deepEqual(
    [failed.status, (failed.json as { error: string }).error, (failed.json as { context: object }).context],
    [502, 'UPSTREAM_ERROR', { upstream_status: 429 }],
  )
  assert.doesNotMatch(failed.text, /secret words/)
  const row = (await flow.rows()).find(({ audit_id }) => audit_id === failed.headers.get('x-earthflow-audit-id'))
  assert.deepEqual([row?.status, row?.outcome, row?.reason, row?.http_status], ['ALLOW', 'failed', 'upstream_unreachable', 502])
})

test('a provider’s answer that no envelope can hold is an error, and its row says so: nothing, no JSON, a stream that ends with an error', async () => {
  const answers: [script: Script, stream: boolean, reason: string, status: number][] = [
    [({ response }) => response.writeHead(204).end(), false, 'reply_unreadable', 502],
    [({ response }) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>Hi'), false, 'reply_unreadable', 502],
    [
      ({ response }) => response.writeHead(200, SSE).end(`${chatEvent('One')}data: {"error":{"message":"secret words"}}\n\n`),
      true,
      'upstream_unreachable',
      200,
    ],
    [({ response }) => response.writeHead(200, SSE).write(chatEvent('One'), () => response.destroy()), true, 'upstream_unreachable', 200],
  ]
  for (const [script, stream, reason, status] of answers) {
    flow.provider.script = script
    const answer = await ask('Hello', { stream })
    const row = (await flow.rows()).find(({ audit_id }) => audit_id === answer.headers.get('x-earthflow-audit-id'))
    const told = stream ? eventsOf(answer.text).at(-1) : answer.json
    assert.deepEqual(
      [answer.status, (told as { error: string }).error, row?.status, row?.outcome, row?.reason, row?.http_status],
      [status, 'UPSTREAM_ERROR', 'ALLOW', 'failed', reason, status],
    )
    assert.doesNotMatch(answer.text, /secret words/)
  }
})

test('an upstream that speaks no format of an envelope serves none: 404, not a failure', async () => {
  await flow.addUpstream({ name: 'vectors', dialects: ['openai-embeddings'], base_url: `${flow.provider.origin}/v1` })
  const answer = await flow.post('/u/vectors/v1/proxy', JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hello' }] }))
  assert.deepEqual([answer.status, (answer.json as { error: string }).error, flow.provider.seen.length], [404, 'NOT_FOUND', 0])
})

test('every error of an envelope’s path is in the management API’s words, also for a method it has not', async () => {
  const answer = await fetch(`${flow.origin}/v1/proxy`, { headers: { authorization: `Bearer ${flow.tenant.api_key}` } })
  assert.deepEqual([answer.status, ((await answer.json()) as { error: string }).error], [405, 'METHOD_NOT_ALLOWED'])
})
