import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { createFrequentLog, createLog, describeError } from '../../src/telemetry/log.ts'

function logged(level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' = 'DEBUG', secrets: string[] = []) {
  const lines: string[] = []
  const log = createLog(
    level,
    new Writable({
      write: (chunk, _, done) => {
        lines.push(String(chunk))
        done()
      },
    }),
    secrets,
  )
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown> }
}

test('one JSON line each, with timestamp, level and message', () => {
  const { log, lines, last } = logged()
  log.warn({ logger: 'exchange', request_id: 'req_1' }, 'text with "quotes"\n{"level":"FATAL"} \u001b[31m')
  assert.equal(lines.length, 1)
  assert.equal(lines[0].trim().split('\n').length, 1)
  const { timestamp, ...rest } = last()
  assert.ok(!Number.isNaN(Date.parse(String(timestamp))))
  assert.deepEqual(rest, { level: 'WARN', logger: 'exchange', request_id: 'req_1', message: 'text with "quotes"\n{"level":"FATAL"} \u001b[31m' })
  log.debug('x')
  assert.equal(logged('WARN').lines.length, 0)
})

test('an error is described by kind, code and place, never by its message, which may quote a prompt or a secret', () => {
  const cause = Object.assign(new TypeError('cause with sk-secret'), { code: 'ECONNREFUSED', query: 'select prompt', parameters: ['prompt text'] })
  const { log, lines } = logged()
  log.error(describeError(new Error('prompt text', { cause })), 'failed')
  for (const secret of ['sk-secret', 'prompt', 'select']) assert.ok(!lines[0].includes(secret), secret)
  assert.match(lines[0], /"error":"Error < TypeError","code":"ECONNREFUSED"/)
  assert.match(lines[0], /log\.test\.ts/)
  const multiline = new Error('first line\n    at secret (prompt text)')
  assert.ok(!JSON.stringify(describeError(multiline)).includes('prompt text'))
  assert.deepEqual(describeError('a thrown string').error, 'string')
})

test('nor by a name or a code that somebody filled with text, nor by a stack whose message was changed', () => {
  const named = Object.assign(new Error('m'), { name: 'prompt text', code: 'prompt text' })
  const { stack: _, ...said } = describeError(named)
  assert.deepEqual(said, { error: 'Error' })
  const changed = new Error('first line\n    at prompt text')
  assert.match(changed.stack ?? '', /prompt text/) // written down now
  changed.message = 'something else'
  assert.deepEqual(describeError(changed), { error: 'Error', stack: [] })
})

test('whatever is passed by a secret’s name is not shown', () => {
  const { log, lines } = logged()
  log.info({ authorization: 'Bearer hunter2', upstream: { credential: 'hunter2' }, user: { password: 'hunter2' } }, 'x')
  assert.ok(!lines[0].includes('hunter2'))
})

test('a field with a secret in it is a line of JSON without it, and the log stays readable around it', () => {
  const { log, last } = logged('DEBUG', ['correct horse "battery"', 'short'])
  log.warn({ request_id: 'req_1', list: [{ url: 'postgres://u:p%40ss@db/x' }], count: 3 }, 'used correct horse "battery" in a short while')
  const { timestamp: _, ...rest } = last()
  assert.deepEqual(rest, {
    level: 'WARN',
    request_id: 'req_1',
    list: [{ url: 'postgres://[secret]@db/x' }],
    count: 3,
    message: 'used [secret] in a short while',
  })
})

test('a line that is written often is the line it would be otherwise', () => {
  const { log, lines, last } = logged('INFO', ['correct horse "battery"'])
  const ofWorker = log.child({ pid: 7 })
  const fields = { request_id: 'req_1', agent_id: undefined, text: '"\n\u0001é\ud800', n: Number.NaN, rules: ['r'], nothing: null }
  const withoutTime = (line: string): string => line.replace(/"timestamp":"[^"]*"/, '')
  for (const said of [fields, {}]) {
    ofWorker.child({ logger: 'exchange' }, { redact: [] }).warn(said, 'said "so"')
    createFrequentLog(ofWorker, 'exchange', []).warn(said, 'said "so"')
    assert.equal(withoutTime(lines.at(-1)!), withoutTime(lines.at(-2)!))
  }
  createFrequentLog(ofWorker, 'exchange', []).debug({}, 'x')
  assert.equal(lines.length, 4)
  const frequent = createFrequentLog(log, 'exchange', ['model', 'nobody'])
  const before = Date.now()
  for (const model of ['gpt', 'a correct horse "battery"', 'sk-proj-abcdefghijklmnop0123', 'gpt']) {
    frequent.info({ model, n: 1 }, 'x')
    assert.deepEqual([last().model, last().n], [model === 'gpt' ? 'gpt' : model.startsWith('a') ? 'a [secret]' : '[secret]', 1])
  }
  const at = Date.parse(String(last().timestamp))
  assert.ok(at >= before && at <= Date.now())
  assert.match(String(last().timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})
