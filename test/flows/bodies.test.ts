/** Whatever a body is written in, what arrives at the provider is what was judged: byte for byte, or cut and still the same kind of body. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { FORM_TYPE, form } from '../dialects/form.ts'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'

const SSN = '123-45-6789'
let flow: Flow
before(async () => {
  flow = await startEarthflow()
  await flow.addUpstream({ name: 'audio', dialects: ['openai-audio'], base_url: `${flow.provider.origin}/v1` })
  await flow.rule({ name: 'SSN', condition: { operator: 'detects', value: 'ssn' }, action: 'REDACT' })
  await flow.rule({ name: 'Osprey', condition: { operator: 'contains', value: 'osprey' }, action: 'BLOCK' })
})
beforeEach(() => {
  flow.provider.seen.length = 0
})
after(() => flow.close())

const arrived = async (path: string, body: string | Buffer, headers: Record<string, string> = {}) => {
  const answer = await flow.post(path, body, headers)
  const [seen, ...others] = flow.provider.seen
  assert.deepEqual([answer.status, others.length], [200, 0], answer.text)
  return { body: seen.body, headers: seen.request.headers, url: seen.url, decision: answer.headers.get('x-earthflow-decision') }
}

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
const lines = (text: string): string =>
  `${JSON.stringify({ custom_id: 'r', method: 'POST', url: '/v1/chat/completions', body: { model: 'm', messages: [{ role: 'user', content: text }] } })}\n`
const upload = (text: string): Buffer =>
  form({ name: 'purpose', content: 'batch' }, { name: 'file', filename: 'batch.jsonl', type: 'application/jsonl', content: lines(text) })
const speech = (prompt: string): Buffer =>
  form({ name: 'file', filename: 'a.mp3', type: 'audio/mpeg', content: PNG }, { name: 'model', content: 'whisper-1' }, { name: 'prompt', content: prompt })

const kinds: [name: string, path: string, type: string, body: (text: string) => string | Buffer, decision: string][] = [
  ['a chat', '/v1/chat/completions', 'application/json; charset=utf-8', (text) => chat(text), 'allow'],
  ['a form', '/v1/files', FORM_TYPE, upload, 'allow'],
  ['a form of a call', '/v1/audio/transcriptions', FORM_TYPE, speech, 'warn'],
  ['lines of JSON', '/v1/later', 'application/jsonl', lines, 'allow'],
  ['a text', '/v1/later', 'text/csv', (text) => `a,b\n"${text}",ü\r\n`, 'allow'],
]
for (const [name, path, type, body, decision] of kinds) {
  test(`${name} arrives byte for byte, as what it was; what is redacted is cut out of it, and what is blocked never arrives`, async () => {
    const plain = await arrived(path, body('hello "there"'), { 'content-type': type })
    assert.deepEqual([plain.headers['content-type'], plain.decision], [type, decision])
    assert.ok(plain.body.equals(Buffer.from(body('hello "there"'))))

    flow.provider.seen.length = 0
    const cut = await arrived(path, body(`my SSN is ${SSN}.`), { 'content-type': type })
    assert.deepEqual([cut.headers['content-type'], cut.decision], [type, 'redact'])
    assert.ok(cut.body.equals(Buffer.from(body('my SSN is [SSN].'))))
    assert.equal(cut.headers['content-length'], String(cut.body.length))

    flow.provider.seen.length = 0
    assert.equal((await flow.post(path, body('project Osprey'), { 'content-type': type })).status, 403)
    assert.equal(flow.provider.seen.length, 0)
  })
}

test('a compressed call is judged and arrives without its compression', async () => {
  for (const [coding, compress] of [
    ['gzip', (text: string) => gzipSync(text)],
    ['zstd', (text: string) => zstdCompressSync(text, { params: { [constants.ZSTD_c_compressionLevel]: 3 } })],
  ] as const) {
    flow.provider.seen.length = 0
    const { body, headers } = await arrived('/v1/chat/completions', compress(chat(`my SSN is ${SSN}`)), { 'content-encoding': coding })
    assert.deepEqual([body.toString(), headers['content-encoding'], headers['content-length']], [chat('my SSN is [SSN]'), undefined, String(body.length)])
    flow.provider.seen.length = 0
    assert.equal((await flow.post('/v1/chat/completions', compress(chat('Osprey')), { 'content-encoding': coding })).status, 403)
    assert.equal(flow.provider.seen.length, 0)
  }
})

test('what no rule can read is counted in the row, and refused where the tenant says so', async () => {
  const { decision } = await arrived('/v1/audio/transcriptions', speech('hello'), { 'content-type': FORM_TYPE })
  assert.equal(decision, 'warn')
  const [row] = await flow.rows()
  assert.equal(row.uninspected_bytes, PNG.length)
})

test('a request without a body goes on without a type', async () => {
  const response = await fetch(`${flow.origin}/v1/files/f1?limit=2`, { headers: { authorization: `Bearer ${flow.tenant.api_key}` } })
  assert.equal(response.status, 200)
  const [{ request, body, url }] = flow.provider.seen
  assert.deepEqual(
    [url, request.method, request.headers['content-type'], request.headers['content-length'], body.length],
    ['/v1/files/f1?limit=2', 'GET', undefined, undefined, 0],
  )
})
