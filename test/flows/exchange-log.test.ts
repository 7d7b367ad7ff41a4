/** The log: one line for each exchange, as loud as what became of it, and nothing in it that anybody said. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson } from '../harness/provider.ts'

let flow: Flow
before(async () => {
  flow = await startEarthflow({ engine: 'pglite' })
})
after(() => flow.close())

type Line = Record<string, unknown>
const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
const exchanges = (): Line[] => linesOf(flow.logged.join('')).filter(({ logger }) => logger === 'exchange')

/** The line of an answer. */
async function lineOf(answer: { headers: Headers }): Promise<Line> {
  const id = answer.headers.get('x-earthflow-request-id')
  await until(() => exchanges().some((line) => line.request_id === id), 'the line of the exchange')
  const [line, second] = exchanges().filter((line) => line.request_id === id)
  assert.equal(second, undefined, 'one line each')
  return line!
}

test('a call that went well is one line of INFO, with all that an operator asks for', async () => {
  const answer = await flow.post('/v1/chat/completions', chat('Hello there', { model: 'gpt-logged' }))
  assert.equal(answer.status, 200)
  const { timestamp, duration_ms, overhead_ms, first_byte_ms, upstream_ms, input_tokens, output_tokens, policy_version, ...line } = await lineOf(answer)
  assert.ok(!Number.isNaN(Date.parse(String(timestamp))))
  for (const figure of [duration_ms, overhead_ms, first_byte_ms, upstream_ms, policy_version]) assert.ok(typeof figure === 'number' && figure >= 0)
  assert.ok(Number(input_tokens) > 0 && Number(output_tokens) > 0)
  assert.deepEqual(line, {
    level: 'INFO',
    logger: 'exchange',
    message: 'exchange ended',
    request_id: answer.headers.get('x-earthflow-request-id'),
    audit_id: answer.headers.get('x-earthflow-audit-id'),
    tenant_id: flow.tenant.tenant_id,
    key_prefix: flow.tenant.api_key.split('_').slice(0, 3).join('_'),
    endpoint: '/v1/chat/completions',
    dialect: 'openai-chat',
    stream: false,
    status: 'ALLOW',
    outcome: 'completed',
    http_status: 200,
    model: 'gpt-logged',
    upstream: 'openai-like',
    attempts: 1,
  })
})

test('what a provider was not seen to know as a model is text, and a path of the caller’s is none of ours', async () => {
  await flow.rule({ name: 'no', condition: { operator: 'contains', value: 'stop here', target: 'prompt' }, action: 'BLOCK', priority: 50 })
  const blocked = await flow.post('/v1/chat/completions', chat('please stop here', { model: 'my-secret-wish' }))
  const line = await lineOf(blocked)
  assert.deepEqual([line.level, line.status, line.reason, line.http_status, line.model], ['WARN', 'BLOCK', 'rule', 403, undefined])
  assert.equal((line.rules as string[]).length, 1)
  const elsewhere = await flow.post('/v1/my-secret-wish/for/you', '{}')
  assert.equal((await lineOf(elsewhere)).endpoint, '/v1/*')
  const gemini = await flow.post('/v1beta/models/my-secret-wish:generateContent', JSON.stringify({ contents: [{ parts: [{ text: 'please stop here' }] }] }))
  assert.equal((await lineOf(gemini)).endpoint, '/v1beta/models/{model}:generateContent')
  assert.ok(!flow.logged.join('').includes('secret-wish'))
})

test('it is WARN where somebody says no, and ERROR where Earthflow or a provider fails', async () => {
  flow.provider.script = ({ response }) => void response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"wrong"}}')
  const refused = await lineOf(await flow.post('/u/openai-like/chat/completions', chat('x')))
  assert.deepEqual([refused.level, refused.outcome, refused.http_status], ['WARN', 'completed', 400])
  flow.provider.script = ({ response }) => void response.destroy()
  const failed = await lineOf(
    await flow.post('/u/anthropic-like/messages', JSON.stringify({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] })),
  )
  assert.deepEqual([failed.level, failed.outcome, failed.reason, failed.http_status], ['ERROR', 'failed', 'upstream_unreachable', 502])
  assert.ok(Number(failed.attempts) > 0)
  flow.provider.script = answerJson
  const { text } = await flow.admin('GET', '/v1/dashboard/metrics')
  assert.match(text, /^earthflow_failures_total\{fault="provider",reason="upstream_unreachable"\} 1$/m)

  const limited = await flow.newTenant({ max_requests_per_minute: 1 })
  const ask = () => flow.post('/v1/chat/completions', chat('x'), { authorization: `Bearer ${limited.api_key}` })
  let answer = await ask()
  while (answer.status === 200) answer = await ask()
  const line = await lineOf(answer)
  assert.deepEqual([line.level, line.status, line.reason, line.http_status], ['WARN', 'REJECTED', 'rate_limit', 429])
  const page = (await flow.admin('GET', '/v1/dashboard/metrics')).text
  assert.match(page, new RegExp(`^earthflow_limit_rejections_total\\{tenant="${limited.tenant_id}",limit="tenant_requests_per_minute"\\} \\d+$`, 'm'))
})

test('strangers are counted, and named once a minute at most', async () => {
  const before = exchanges().length
  for (let i = 0; i < 20; i++) assert.equal((await flow.post('/v1/chat/completions', chat('x'), { authorization: `Bearer sk-stranger-${i}` })).status, 401)
  const [line, ...more] = exchanges().slice(before)
  assert.deepEqual([line?.level, line?.outcome, line?.reason, line?.calls, line?.http_status], ['WARN', 'refused', 'unauthenticated', 1, 401])
  assert.deepEqual([line?.endpoint, line?.tenant_id], ['/v1/chat/completions', undefined])
  assert.deepEqual(more, [])
  assert.match((await flow.admin('GET', '/v1/dashboard/metrics')).text, /^earthflow_authentication_failures_total 20$/m)
})

test('EARTHFLOW_LOG_DIR holds what the standard output does, across a rotation; a directory that cannot be written to is a setting that cannot be used', {
  timeout: 120_000,
}, async () => {
  const installation = await prepareInstallation('', { EARTHFLOW_EMBEDDED_DB: 'true' })
  const directory = join(installation.environment.EARTHFLOW_DATA_DIR!, 'log')
  const withLog = (EARTHFLOW_LOG_DIR: string) => ({ ...installation, environment: { ...installation.environment, EARTHFLOW_LOG_DIR } })
  const nobody = { tenant_id: '', api_key: '' }
  let tenant = nobody
  const earthflow = await startProcess(withLog(directory), () => tenant)
  try {
    tenant = await earthflow.newTenant()
    const [name] = readdirSync(directory)
    assert.match(name!, new RegExp(`^earthflow-.*-${earthflow.pid}\\.log$`))
    const path = join(directory, name!)
    await until(() => readFileSync(path, 'utf8').includes('Earthflow listens'), 'the first lines')
    renameSync(path, `${path}.1`)
    await until(() => readdirSync(directory).length === 2, 'the file to be begun anew')
    assert.equal((await earthflow.post('/v1/chat/completions', chat('x'))).status, 404)
    await earthflow.kill('SIGTERM')
    assert.deepEqual(await earthflow.exited, [0, null])
    const lines = linesOf(readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8'))
    assert.deepEqual(lines, linesOf(earthflow.output()))
    assert.ok(lines.some(({ logger }) => logger === 'exchange') && lines.at(-1)?.message === 'Earthflow stopped')

    writeFileSync(join(directory, 'taken'), '')
    await assert.rejects(
      startProcess(withLog(join(directory, 'taken')), () => nobody),
      /EARTHFLOW_LOG_DIR must be a directory in which this process may write files: E/,
    )
  } finally {
    if (earthflow.isAlive()) await earthflow.kill('SIGKILL')
    installation.remove()
  }
})
