import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { callHashOf } from '../../src/pipeline/call-hash.ts'
import { compile } from '../../src/rules/compile.ts'
import type { Rule } from '../../src/rules/rule.ts'
import { sdks } from '../harness/sdks.ts'
import { chat, rule, subjectOf } from '../rules/subject.ts'

interface Sent {
  method?: string
  url?: string
  headers?: Record<string, string | string[]>
  contentType?: string
  body?: string
  rules?: Rule[]
}
const rawOf = (headers: Record<string, string | string[]>): string[] =>
  Object.entries(headers).flatMap(([name, values]) => [values].flat().flatMap((value) => [name, value]))
/** Rules that find something in every call here. */
const finding = (id: string, more: Partial<Rule> = {}): Rule => rule({ operator: 'contains', value: 'heron' }, 'ESCALATE', { id, ...more })
const said = subjectOf(chat(['user', 'a heron']))

const hashOf = ({
  method = 'POST',
  url = '/v1/chat/completions?a=1',
  headers = {},
  contentType = 'application/json',
  body = '{"a":1}',
  rules = [finding('one')],
}: Sent = {}): string =>
  callHashOf({ method, url, rawHeaders: rawOf(headers) } as unknown as IncomingMessage, { contentType, body: Buffer.from(body) }, compile(1, rules).judge(said))

const UUID = '0b0f1a3e-9d1f-4c7e-8a55-6a2f0f6d9b11'

test('whatever of a call reaches its provider, what its caller says of it, and why it is held make another hash', () => {
  const others: Sent[] = [
    { method: 'PUT' },
    { url: '/v1/chat/completions' },
    { url: '/v1/chat/completions?a=2' },
    { url: '/v1/chat/Completions?a=1' },
    { contentType: 'application/json; charset=utf-8' },
    { body: '{"a":1} ' },
    { body: '{"a":2}' },
    { headers: { 'x-note': 'one' } },
    { headers: { 'x-note': 'two' } },
    { headers: { 'x-note': ['one', 'two'] } },
    { headers: { 'x-note': ['two', 'one'] } },
    { headers: { 'x-note': 'one, two' } },
    { headers: { 'anthropic-beta': 'computer-use' } },
    { headers: { 'openai-beta': 'x' } },
    { headers: { 'x-goog-user-project': 'x' } },
    ...['accept', 'accept-language', 'baggage', 'from', 'referer', 'tracestate', 'user-agent', 'via', 'x-requested-with', 'x-stainless-lang'].map((name) => ({
      headers: { [name]: 'words of the caller' },
    })),
    ...['idempotency-key', 'traceparent', 'x-stainless-retry-count', 'x-request-id', 'x-amzn-trace-id', 'date'].map((name) => ({
      headers: { [name]: 'words, where an id should stand' },
    })),
    { headers: { 'x-earthflow-user': 'ann' } },
    { headers: { 'x-earthflow-user': 'mallory' } },
    { headers: { 'x-earthflow-conversation': '1' } },
    { headers: { 'x-earthflow-metadata': '{"purpose":"export"}' } },
    { rules: [finding('two')] },
    { rules: [finding('one'), finding('two', { action: 'WARN' })] },
  ]
  const hashes = [{}, ...others].map(hashOf)
  assert.equal(new Set(hashes).size, hashes.length)
  assert.match(hashes[0], /^sha256:[0-9a-f]{64}$/)
})

test('what stands in the head cannot be moved into the body, nor from one part of the head to another', () => {
  assert.notEqual(hashOf({ contentType: '', body: 'application/json"]\n{}' }), hashOf({ contentType: 'application/json', body: '{}' }))
  assert.notEqual(hashOf({ headers: { 'x-a': '1', 'x-b': '2' } }), hashOf({ headers: { 'x-a': ['1', 'x-b: 2'] } }))
  assert.notEqual(hashOf({ url: '/v1/files?x-a=1' }), hashOf({ url: '/v1/files', headers: { 'x-a': '1' } }))
})

test('what stays behind does not count, and neither do credentials, what is made anew for each try, and rules that decide nothing', () => {
  const same: Sent[] = [
    { headers: { authorization: 'Bearer x', cookie: 'a=b' } },
    { headers: { 'x-goog-api-key': 'x' } },
    { headers: { 'x-gateway': 'ef_live_abcdefgh_secret' } },
    { url: '/v1/chat/completions?key=secret&a=1' },
    { headers: { connection: 'x-note', 'x-note': 'one' } },
    { headers: { 'content-length': '7', 'accept-encoding': 'br', 'x-forwarded-for': '10.0.0.1', 'x-real-ip': '10.0.0.1' } },
    { headers: { 'x-stainless-retry-count': '1', 'idempotency-key': `stainless-python-retry-${UUID}` } },
    { headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'x-request-id': UUID } },
    { headers: { 'x-amzn-trace-id': 'Root=1-67891233-abcdef012345678912345678', 'cf-ray': '9a1b2c3d4e5f6a7b-ZRH' } },
    { headers: { date: 'Mon, 30 Nov 2026 10:00:00 GMT', 'x-cloud-trace-context': '105445aa7843bc8bf206b12000100000/1;o=1' } },
    { headers: { 'x-earthflow-approval-id': 'esc_1' } },
    { rules: [finding('two', { mode: 'shadow' }), finding('one')] },
  ]
  for (const sent of same) assert.equal(hashOf(sent), hashOf(), JSON.stringify(sent))
  assert.equal(hashOf({ headers: { 'x-a': '1', 'X-B': '2' } }), hashOf({ headers: { 'x-b': '2', 'X-A': '1' } }))
  const [one, two] = [finding('one'), finding('two', { priority: 60 })]
  assert.equal(hashOf({ rules: [one, two] }), hashOf({ rules: [{ ...one, priority: 70 }, two] }), 'in whichever order the rules are')
})

test('the same call sent again by an official client library, whether by itself or by whoever uses it, is the same call', async () => {
  const verdict = compile(1, [finding('one')]).judge(said)
  const sent = new Map<string, string[]>()
  const server = createServer(async (incoming, outgoing) => {
    const key = /key-\d+/.exec(`${incoming.url} ${incoming.rawHeaders}`)?.[0] ?? ''
    const call = { contentType: incoming.headers['content-type'] ?? '', body: await buffer(incoming) }
    sent.set(key, [...(sent.get(key) ?? []), callHashOf(incoming, call, verdict)])
    outgoing.writeHead(503, { 'content-type': 'application/json', 'retry-after-ms': '1' }).end('{"error":{"message":"not now"}}')
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    await Promise.all(
      sdks.map(async ({ connect }, n) => {
        for (let times = 0; times < 2; times++) await assert.rejects(connect(origin, `key-${n}`).ask({ model: 'm', prompt: 'Hello', tool: true }))
      }),
    )
    for (const [n, { name }] of sdks.entries()) {
      const hashes = sent.get(`key-${n}`) ?? []
      assert.ok(hashes.length >= 2, name)
      assert.equal(new Set(hashes).size, 1, name)
    }
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
