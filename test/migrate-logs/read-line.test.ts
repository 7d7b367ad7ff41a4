import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLineIds } from '../../src/migrate-logs/line-ids.ts'
import { type Converted, contentOf, createLineReader } from '../../src/migrate-logs/read-line.ts'
import { readDuration, readMoment } from '../../src/migrate-logs/read-values.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const v1 = {
  ts: '2024-03-01T12:00:00.250Z',
  action: 'Block',
  rule: 'No numbers',
  prompt: 'My number is 536-90-4399',
  tenant: 'acme',
  model: 'gpt-4',
  user_id: 'u1',
  session_id: 's1',
  latency: 12.6,
}
const read = (fields: object | string): Converted | string => {
  const line = Buffer.from(typeof fields === 'string' ? fields : JSON.stringify(fields))
  return createLineReader({ idsOf: createLineIds(), now: NOW })(line, 1)
}
const entryOf = (fields: object | string) => {
  const converted = read(fields)
  assert.ok(typeof converted === 'object', String(converted))
  return converted.entry
}

test('every field of version 1 goes to its place, under ids that are the same on every machine', () => {
  const converted = read(v1)
  assert.deepEqual(converted, {
    prompt: v1.prompt,
    entry: {
      audit_id: 'aud_01hqwy5cqth7r9zpr2w9r50ckw',
      timestamp: '2024-03-01T12:00:00.250Z',
      kind: 'exchange',
      tenant_id: 'acme',
      request_id: 'req_01hqwy5cqtkqfjfy8mwp8bnpz9',
      agent_id: null,
      key_prefix: null,
      user_id: 'u1',
      status: 'BLOCK',
      outcome: 'refused',
      reason: null,
      dialect: null,
      endpoint: null,
      model: 'gpt-4',
      upstream: null,
      attempts: [],
      stream: false,
      rules_evaluated: 0,
      rules_triggered: ['No numbers'],
      findings: [],
      policy_version: null,
      metadata: { migrated_from_version: 1, session_id: 's1' },
      prompt_hash: null,
      forwarded_hash: null,
      uninspected_bytes: 0,
      degraded: null,
      usage: null,
      cost_usd: null,
      budgets: [],
      latency_ms: 13,
      upstream_ms: null,
      first_byte_ms: null,
      overhead_ms: null,
      http_status: null,
      escalation_id: null,
      approved_by: null,
      held_audit_id: null,
    },
  })
})

test('times are read in the ways logs write them, and the same on every machine', () => {
  const at = Date.UTC(2024, 2, 1, 12)
  for (const [written, moment] of [
    ['2024-03-01T12:00:00Z', at],
    ['2024-03-01T12:00Z', at],
    ['2024-03-01t12:00:00.123456789z', at + 123],
    ['2024-03-01 12:00:00,5', at + 500],
    ['2024-03-01T12:00:00', at],
    ['2024-03-01T14:00:00+02:00', at],
    ['2024-03-01T06:30:00 -0530', at],
    [' 2024-03-01T13:00:00+01 ', at],
    [at, at],
    [at / 1000, at],
    [at / 1000 + 0.25, at + 250],
    [String(at / 1000), at],
    [String(at), at],
  ] as const)
    assert.equal(readMoment(written), moment, String(written))
  for (const no of [
    '2024-02-30T12:00:00Z',
    '2024-03-01',
    '2024-03-01T25:00:00Z',
    'yesterday',
    '',
    '-5',
    '1e9',
    -5,
    null,
    true,
    {},
    [at],
    Number.POSITIVE_INFINITY,
  ])
    assert.equal(readMoment(no), null, String(no))
})

test('durations are milliseconds where no unit is said', () => {
  for (const [written, ms] of [
    [12, 12],
    [12.5, 13],
    ['12', 12],
    ['12.4 ms', 12],
    ['1.5s', 1500],
    ['800 µs', 1],
    ['900us', 1],
    [0, 0],
  ] as const)
    assert.equal(readDuration(written), ms, String(written))
  for (const no of ['fast', '12 h', '', '-1', -1, 2 ** 31, null, undefined, true, {}]) assert.equal(readDuration(no), null, String(no))
})

test('only a time and an action are needed', () => {
  const { tenant_id, user_id, model, prompt_hash, latency_ms, rules_triggered, metadata, status, outcome } = entryOf({ ts: 1_709_294_400, action: ' allow ' })
  assert.deepEqual([tenant_id, user_id, model, prompt_hash, latency_ms, rules_triggered], [null, null, null, null, null, []])
  assert.deepEqual([metadata, status, outcome], [{ migrated_from_version: 1 }, 'ALLOW', 'unknown'])
  assert.deepEqual(entryOf({ ...v1, tenant: null, user_id: '', rule: null, prompt: null, latency: null }).metadata, {
    migrated_from_version: 1,
    session_id: 's1',
  })
})

test('what version 2 does not have, or has in another form, is kept as metadata.v1_', () => {
  const { metadata, ...entry } = entryOf({
    ...v1,
    region: 'eu',
    session: { nested: [1, null, true] },
    latency: 'fast',
    model: { name: 'm' },
    user_id: [1],
    rule: ['a', { b: 1 }],
    session_id: 7,
    '__proto__ ': 'x',
  })
  assert.deepEqual(metadata, {
    migrated_from_version: 1,
    session_id: '7',
    v1_region: 'eu',
    v1_session: { nested: [1, null, true] },
    v1_latency: 'fast',
    v1_model: { name: 'm' },
    v1_user_id: [1],
    v1_rule: ['a', { b: 1 }],
    'v1___proto__ ': 'x',
  })
  assert.deepEqual([entry.latency_ms, entry.model, entry.user_id, entry.rules_triggered], [null, null, null, []])
  assert.deepEqual(entryOf({ ...v1, rule: ['a', 'b', 3] }).rules_triggered, ['a', 'b', '3'])
  assert.equal(entryOf('{"__proto__":{"a":1},"ts":1709294400,"action":"WARN"}').metadata.v1___proto__ instanceof Object, true)
})

test('numbers of 64 bits are not rounded', () => {
  const { user_id, metadata } = entryOf(
    '{"ts":1709294400,"action":"WARN","user_id":12345678901234567890,"trace":{"id":98765432109876543210,"far":1e999,"n":0.5}}',
  )
  assert.equal(user_id, '12345678901234567890')
  assert.deepEqual(metadata.v1_trace, { id: '98765432109876543210', far: '1e999', n: 0.5 })
})

test('no text of the prompt is kept in another field, nor what fields hold that are made for text', () => {
  const { metadata } = entryOf({
    ...v1,
    note: `said: ${v1.prompt}!`,
    preview: 'My number is 536',
    deep: [{ [v1.prompt]: 1, said: v1.prompt }],
    Response: 'You said so',
    messages: [{ role: 'user', content: 'Hello' }],
    request: { prompt: 'Hello', tokens: 3 },
    region: 'number',
  })
  const removed = '[text removed]'
  assert.deepEqual(metadata, {
    migrated_from_version: 1,
    session_id: 's1',
    v1_note: removed,
    v1_preview: removed,
    v1_deep: [{ [removed]: 1, said: removed }],
    v1_Response: removed,
    v1_messages: [{ role: removed, content: removed }],
    v1_request: { prompt: removed, tokens: 3 },
    v1_region: 'number',
  })
})

test('text is kept in a form that the database can hold', () => {
  const { user_id, metadata } = entryOf('{"ts":1709294400,"action":"WARN","user_id":"a\\u0000b","x\\u0000":{"\\ud800":"\\udc00"}}')
  assert.equal(user_id, 'a\uFFFDb')
  assert.deepEqual(metadata, { migrated_from_version: 1, 'v1_x\uFFFD': { '\uFFFD': '\uFFFD' } })
})

test('what is no entry is refused for a reason that quotes nothing', () => {
  const deep = (levels: number): string => `{"ts":1709294400,"action":"WARN","x":${'['.repeat(levels)}1234567890123456${']'.repeat(levels)}}`
  for (const [line, why] of [
    ['nonsense', 'it is not JSON'],
    ['{"ts":1709294400,"action":"WA', 'it is not JSON'],
    ['[1]', 'it is JSON, but no object'],
    ['null', 'it is JSON, but no object'],
    [{ action: 'WARN' }, 'it has no ts'],
    [{ ts: 'noon', action: 'WARN' }, 'its ts is no moment: ISO 8601, or seconds or milliseconds since 1970'],
    [{ ts: 20_240_301, action: 'WARN' }, 'its ts is before the year 2000'],
    [{ ts: 1_709_294_400_000_000, action: 'WARN' }, 'its ts is in the future'],
    [{ ts: v1.ts }, 'it has no action'],
    [{ ts: v1.ts, action: 'PERHAPS' }, 'its action is none of ALLOW, WARN, REDACT, ESCALATE, BLOCK'],
    [{ ...v1, prompt: ['a'] }, 'its prompt is not text'],
    [{ ...v1, tenant: { a: 1 } }, 'its tenant is no name'],
    [deep(64), 'it is nested deeper than 64 levels'],
    [deep(20_000), 'it is nested deeper than 64 levels'],
  ] as const)
    assert.equal(read(line), why)
  assert.equal(typeof read(deep(62)), 'object')
  assert.equal(createLineReader({ idsOf: createLineIds(), now: NOW })(Buffer.from([0x7b, 0xff, 0x7d]), 1), 'it is not UTF-8')
})

test('line ends and a byte order mark are no part of a line, and so of no id', () => {
  const text = JSON.stringify(v1)
  for (const line of [text, `${text}\n`, `${text}\r\n`, `\uFEFF${text}\n`]) assert.equal(contentOf(Buffer.from(line))?.toString(), text)
  for (const blank of ['', '\n', '\r\n', ' \t\n', '\uFEFF\r\n']) assert.equal(contentOf(Buffer.from(blank)), null)
})

test('identical lines have ids of their own, the same in every run, however much was forgotten between them', () => {
  const idsIn = (lines: readonly { text: string; at: number }[]): string[] => {
    const idsOf = createLineIds(4)
    return lines.map(({ text, at }, i) => idsOf(Buffer.from(text), at, i + 1)).flatMap(({ audit_id, request_id }) => [audit_id, request_id])
  }
  const line = (text: string, at = 1_000) => ({ text, at })
  const near = idsIn([line('a'), line('a'), line('b'), line('a')])
  assert.equal(new Set(near.map((id) => id.slice(4))).size, 8)
  assert.deepEqual(idsIn([line('b'), line('a'), line('a'), line('a')]).sort(), near.sort(), 'their order does not matter')
  const far = [line('a'), ...Array.from({ length: 40 }, (_, i) => line(`${i}`, 2_000 + i)), line('a'), line('a')]
  assert.equal(new Set(idsIn(far)).size, far.length * 2)
  assert.deepEqual(idsIn(far), idsIn(far))
  const inOrder = Array.from({ length: 40 }, (_, i) => line(`${i >> 1}`, i >> 1))
  assert.deepEqual(idsIn(inOrder.slice(20)), idsIn(inOrder).slice(40), 'a log in order of time may be given in parts')
  assert.match(near[0]!, /^(aud|req)_[0-9a-hjkmnp-tv-z]{26}$/)
})
