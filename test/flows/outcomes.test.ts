import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { leaveAtEveryMoment } from '../harness/leaving.ts'
import { answerJson } from '../harness/provider.ts'

const SSN = '536-90-4399'
let flow: Flow
before(async () => {
  flow = await startEarthflow({ preset: 'medical' })
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.script = answerJson
})
const sha256 = (text: string | Buffer): string => `sha256:${hash('sha256', text)}`
const rowOf = async (answer: { headers: Headers }) => {
  const rows = await flow.rows(`&request_id=${answer.headers.get('x-earthflow-request-id')}`)
  assert.equal(rows.length, 1, 'one row')
  return rows[0]
}

test('an allowed call: one row with the hash of the text, of the bytes that left, the tokens and the policy version', async () => {
  const body = chat('Hello', { user: 'ann' })
  const answer = await flow.post('/v1/chat/completions', body, {
    'x-earthflow-user': 'ann',
    'x-earthflow-conversation': 'c1',
    'x-earthflow-metadata': '{"team":"blue"}',
  })
  const row = await rowOf(answer)
  assert.deepEqual(
    {
      status: row.status,
      outcome: row.outcome,
      reason: row.reason,
      http: row.http_status,
      prompt: row.prompt_hash,
      forwarded: row.forwarded_hash,
      usage: row.usage,
      user: row.user_id,
      metadata: row.metadata,
    },
    {
      status: 'ALLOW',
      outcome: 'completed',
      reason: null,
      http: 200,
      prompt: sha256('Hello'),
      forwarded: sha256(body),
      usage: { input_tokens: 7, output_tokens: 3 },
      user: 'ann',
      metadata: { conversation: 'c1', team: 'blue' },
    },
  )
  assert.equal(row.policy_version, 1)
  assert.equal(row.key_prefix, flow.tenant.api_key.slice(0, 16))
  assert.ok(row.rules_evaluated > 5)
})

test('a blocked call is 403 in the dialect, never retried, nothing leaves; its row carries hash, rule and version', async () => {
  const seen = flow.provider.seen.length
  const text = 'Deploy with AKIAIOSFODNN7EXAMPLE'
  const answer = await flow.post('/v1/chat/completions', chat(text))
  assert.equal(answer.status, 403)
  assert.equal((answer.json as { error: { code: string } }).error.code, 'content_policy_violation')
  assert.equal(answer.headers.get('x-should-retry'), 'false')
  assert.equal(answer.headers.get('x-earthflow-decision'), 'block')
  assert.equal(flow.provider.seen.length, seen)
  const row = await rowOf(answer)
  assert.deepEqual([row.status, row.outcome, row.http_status, row.prompt_hash, row.forwarded_hash], ['BLOCK', 'refused', 403, sha256(text), null])
  assert.equal(row.rules_triggered.length, 1)
  assert.deepEqual(row.findings[0].where, ['messages[0].content'])
  assert.ok(!JSON.stringify(row).includes('AKIA'))
})

test('a redacted call: the provider never sees the number, in a tool result either, and every other byte is identical', async () => {
  const body = `{"model":"m","n":1.0, "big":12345678901234567890,\n"messages":[{"role":"user","content":"look \\u00e9 up"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"find","arguments":"{\\"id\\":7}"}}]},{"role":"tool","tool_call_id":"c1","content":"found: ${SSN}, \\ud83d\\ude00 ok"}],"unknown_field":{"a":[1E2]}}`
  const answer = await flow.post('/v1/chat/completions', body)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('x-earthflow-decision'), 'redact')
  const sent = flow.provider.seen.at(-1)!.body.toString()
  assert.equal(sent, body.replace(SSN, '[SSN]'))
  const row = await rowOf(answer)
  assert.deepEqual([row.status, row.outcome, row.forwarded_hash], ['REDACT', 'completed', sha256(sent)])
  assert.equal(row.prompt_hash, sha256(`look é up\nfound: ${SSN}, 😀 ok`), 'the hash is of the text as it came')
  assert.deepEqual(
    row.findings.flatMap(({ where }) => where),
    ['messages[2].content'],
  )
  const anthropic = JSON.stringify({
    model: 'm',
    max_tokens: 5,
    messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: `is ${SSN}` }] }] }],
  })
  assert.equal((await flow.post('/v1/messages', anthropic)).status, 200)
  assert.equal(flow.provider.seen.at(-1)!.body.toString(), anthropic.replace(SSN, '[SSN]'))
})

test('a redaction that would break the call is refused instead', async () => {
  const body = JSON.stringify({
    model: 'm',
    messages: [{ role: 'assistant', content: null, tool_calls: [{ id: SSN, type: 'function', function: { name: 'f', arguments: '{}' } }] }],
  })
  const answer = await flow.post('/v1/chat/completions', body)
  assert.equal(answer.status, 403)
  assert.equal((answer.json as { error: { code: string } }).error.code, 'cannot_redact')
  const row = await rowOf(answer)
  assert.deepEqual([row.status, row.reason], ['BLOCK', 'cannot_redact'])
})

test('over the limit: 429 in each dialect, truthful headers, one row each with the hash, nothing charged for the refusal', async () => {
  const { tenant_id, api_key } = await flow.newTenant({ max_requests_per_minute: 2 })
  const key = { authorization: `Bearer ${api_key}` }
  for (let i = 0; i < 3; i++) assert.equal((await flow.post('/v1/chat/completions', chat(`n${i}`), key)).status, 200, 'ceil(2 × 1.5) calls make the burst')
  const openai = await flow.post('/v1/chat/completions', chat('Hello'), key)
  assert.equal(openai.status, 429)
  assert.equal((openai.json as { error: { type: string; code: string } }).error.code, 'rate_limit_exceeded')
  assert.ok(Number(openai.headers.get('retry-after')) >= 1 && Number(openai.headers.get('retry-after')) <= 30)
  assert.equal(openai.headers.get('x-ratelimit-limit'), '2')
  assert.equal(openai.headers.get('x-ratelimit-remaining'), '0')
  const anthropic = await flow.post('/v1/messages', JSON.stringify({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'Hello' }] }), key)
  assert.equal(anthropic.status, 429)
  assert.equal((anthropic.json as { error: { type: string } }).error.type, 'rate_limit_error')
  assert.ok(anthropic.headers.get('anthropic-ratelimit-requests-limit'))
  const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${tenant_id}`)).json as {
    entries: { status: string; reason: string; prompt_hash: string }[]
  }
  assert.equal(entries.length, 5)
  for (const entry of entries.slice(0, 2)) assert.deepEqual([entry.status, entry.reason, entry.prompt_hash], ['REJECTED', 'rate_limit', sha256('Hello')])
})

test('a failed upstream: one row with what was tried', async () => {
  flow.provider.script = ({ response }) => response.destroy()
  const row = await rowOf(await flow.post('/v1/chat/completions', chat('Hello')))
  assert.deepEqual([row.status, row.outcome, row.reason, row.http_status, row.prompt_hash], ['ALLOW', 'failed', 'upstream_unreachable', 502, sha256('Hello')])
  assert.equal(row.attempts[0].upstream, 'openai-like')
  assert.ok(row.attempts[0].error)
  assert.equal(row.forwarded_hash, sha256(chat('Hello')), 'it has seen the call')
})

test('clients that leave at five moments: one row each as cancelled, every upstream call closed, the process alive', async () => {
  for (const path of ['/v1/chat/completions', '/v1/proxy', '/v1/some/native/path'])
    for (const { moment, left, rows, upstreamClosed } of await leaveAtEveryMoment(flow, path.endsWith('completions') ? 6 : 2, path)) {
      const outcomes = [...new Set(rows.map(({ outcome }) => outcome))]
      assert.deepEqual({ path, moment, rows: rows.length, outcomes }, { path, moment, rows: left, outcomes: ['cancelled'] })
      assert.ok(upstreamClosed, moment)
      const hashes = rows.map(({ prompt_hash }) => prompt_hash)
      if (moment !== 'while its body arrives' && !path.includes('native')) assert.deepEqual([...new Set(hashes)], [sha256('I am leaving')], moment)
    }
  flow.provider.script = answerJson
  assert.equal((await flow.post('/v1/chat/completions', chat('still alive'))).status, 200)
})

test('what travels beside the body is judged too: query and unusual headers; the ones libraries send by themselves are not', async () => {
  const secret = 'AKIAIOSFODNN7EXAMPLE'
  const seen = flow.provider.seen.length
  for (const [path, headers, place] of [
    [`/v1/chat/completions?note=${secret}`, {}, 'query'],
    ['/v1/chat/completions', { 'x-note': secret }, 'header'],
    [`/v1/chat/completions?${secret.replace('A', '%41')}`, {}, 'query'],
  ] as const) {
    const answer = await flow.post(path, chat('x'), headers)
    assert.equal(answer.status, 403, place)
    const row = await rowOf(answer)
    assert.deepEqual([row.status, row.findings[0].where], ['BLOCK', [place]])
  }
  const cut = await flow.post(`/v1/chat/completions?ssn=${SSN}`, chat('x'))
  assert.equal((cut.json as { error: { code: string } }).error.code, 'cannot_redact')
  assert.equal(flow.provider.seen.length, seen)
  const usual = await flow.post('/v1/chat/completions?beta=true', chat('x'), { 'user-agent': 'OpenAI/JS 7.55', 'x-stainless-lang': 'js', 'x-title': 'my app' })
  assert.equal(usual.status, 200)
  assert.equal(flow.provider.seen.at(-1)?.request.headers['x-title'], 'my app')
})

test('what the caller says about a call is in the row, unless a rule found something in it', async () => {
  const said = await rowOf(await flow.post('/v1/chat/completions', chat('x', { metadata: { team: 'blue' }, user: 'ann' })))
  assert.deepEqual([said.metadata, said.user_id], [{ team: 'blue' }, 'ann'])
  const found = await rowOf(await flow.post('/v1/chat/completions', chat('x', { metadata: { note: SSN }, user: 'ann' })))
  assert.deepEqual([found.metadata, found.user_id], [{}, null])
  const named = await rowOf(await flow.post('/v1/chat/completions', chat('x', { model: `m-${SSN}` })))
  assert.ok(!JSON.stringify(named).includes(SSN))
})

test('a redirect of a provider is not handed to a library that would follow it with the body as it was', async () => {
  for (const status of [301, 302, 307, 308]) {
    flow.provider.script = ({ response }) => response.writeHead(status, { location: 'http://169.254.169.254/' }).end()
    const answer = await flow.post('/v1/chat/completions', chat('x'))
    assert.deepEqual([answer.status, answer.headers.get('location')], [502, null])
  }
})

test('tool arguments are judged as whoever parses them will read them, and stay JSON when they are cut', async () => {
  const call = (args: string): string =>
    JSON.stringify({
      model: 'm',
      messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: args } }] }],
    })
  const seen = flow.provider.seen.length
  const hidden = await flow.post('/v1/chat/completions', call('{"q":"\\u0035\\u0033\\u0036-90-4399"}'))
  assert.equal(hidden.status, 403)
  assert.equal((hidden.json as { error: { code: string } }).error.code, 'cannot_redact')
  assert.equal(flow.provider.seen.length, seen)
  for (const [args, cut] of [
    ['{"card":4111111111111111,"n":1}', { card: '[CREDIT_CARD]', n: 1 }],
    ['{"list":[ 4111111111111111 ]}', { list: ['[CREDIT_CARD]'] }],
    [`{"q":"caf\\u00e9 ${SSN}\\n"}`, { q: 'café [SSN]\n' }],
    ['{"q":"4111111111111111"}', { q: '[CREDIT_CARD]' }],
    // As Go and .NET write it, to be safe in HTML.
    [`{"q":"\\u003cb\\u003e ${SSN} \\u0026 ${SSN}"}`, { q: '<b> [SSN] & [SSN]' }],
  ] as const) {
    assert.equal((await flow.post('/v1/chat/completions', call(args))).status, 200)
    const sent = JSON.parse(flow.provider.seen.at(-1)!.body.toString()) as { messages: [{ tool_calls: [{ function: { arguments: string } }] }] }
    assert.deepEqual(JSON.parse(sent.messages[0].tool_calls[0].function.arguments), cut)
  }
})

test('a blocked call says where, a call whose own metadata cannot be read says what to change', async () => {
  const blocked = await flow.post(
    '/v1/chat/completions',
    JSON.stringify({
      model: 'm',
      messages: [
        { role: 'user', content: 'x' },
        { role: 'user', content: 'AKIAIOSFODNN7EXAMPLE' },
      ],
    }),
  )
  assert.equal((blocked.json as { error: { param: string } }).error.param, 'messages[1].content')
  const unreadable = await flow.post('/v1/chat/completions', chat('x'), { 'x-earthflow-metadata': '{bad' })
  assert.equal(unreadable.status, 400)
})
