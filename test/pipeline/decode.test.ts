import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import type { Caller, LimitState, ModelCall } from '../../src/call.ts'
import { endpointOf } from '../../src/dialects/endpoint.ts'
import { Refusal } from '../../src/errors.ts'
import { decode } from '../../src/pipeline/decode.ts'
import { Pipeline, serve } from '../../src/pipeline/run.ts'
import type { Outcome, Stage } from '../../src/pipeline/stage.ts'
import { FORM_TYPE, form } from '../dialects/form.ts'
import { tenantNamed } from '../harness/nouns.ts'

const BODY_BYTES_MAX = 64 << 10
const caller: Caller = {
  tenant: tenantNamed('t'),
  keyPrefix: 'k',
  keyLimits: null,
  allowedModels: null,
  allowedAddresses: null,
  clientCertificate: null,
  session: null,
  agent: null,
  scopes: new Set(),
}
const state: LimitState = { requestsPerMinute: 60, remaining: 60, fullInMs: 0, retryInMs: 0, tokens: null }

/** A server that reads calls and answers nothing but that it has. */
async function reading(bufferedBytesMax = 10 * BODY_BYTES_MAX, known: Stage<never, 'caller'> = () => ({ caller })) {
  const calls: ModelCall[] = []
  const outcomes: Outcome[] = []
  const reply: Stage<'call', 'reply'> = ({ call, outgoing }) => {
    calls.push(call)
    return { reply: { status: 200, bytes: 0, end: () => outgoing.end() } }
  }
  const pipeline = new Pipeline()
    .stage('authenticate', known)
    .stage('decode', decode({ bodyBytesMax: BODY_BYTES_MAX, bufferedBytesMax }, { peek: () => state, take: () => assert.fail('nothing is taken') }))
    .stage('reply', reply)
  const run = serve(pipeline, [(_, outcome) => void outcomes.push(outcome)], { report: (error) => console.error(error), ended: () => {} })
  const server = createServer((incoming, outgoing) => {
    const path = (incoming.url ?? '').split('?')[0]
    const endpoint = endpointOf(incoming.method ?? '', path, incoming.headers)
    assert.ok(!(endpoint instanceof Refusal), path)
    void run({ incoming, outgoing, endpoint, peer: { address: '192.0.2.1', certificate: null } })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => server.close())
  const { port } = server.address() as AddressInfo

  /** What was read, or the refusal. */
  return async (
    method: string,
    path: string,
    body: string | Buffer | readonly string[] = '',
    headers: Record<string, string | string[]> = {},
  ): Promise<ModelCall | Refusal> => {
    const before = outcomes.length
    const asked = request({
      host: '127.0.0.1',
      port,
      method,
      path,
      agent: false, // a body may take longer to make than the server keeps an idle connection
      headers: { ...headers, ...(body.length > 0 && !isInPieces(body) ? { 'content-length': Buffer.byteLength(body) } : {}) },
    })
    if (isInPieces(body)) for (const piece of body) asked.write(piece)
    asked.end(isInPieces(body) ? '' : body)
    const [answer] = await once(asked, 'response')
    answer.resume()
    await once(answer, 'end')
    assert.equal(outcomes.length, before + 1)
    const outcome = outcomes[before]
    return outcome.kind === 'refused' ? outcome.refusal : (calls.at(-1) ?? assert.fail(outcome.kind))
  }
}

const isInPieces = (body: string | Buffer | readonly string[]): body is readonly string[] => Array.isArray(body)

const send = await reading()
const CHAT = '{"model":"m","messages":[{"role":"user","content":"hi"}],"user":"u","metadata":{"team":"a","n":3,"flag":true,"list":[]}}'
const JSON_TYPE = { 'content-type': 'application/json' }
const read = async (...args: Parameters<typeof send>): Promise<ModelCall> => {
  const call = await send(...args)
  return call instanceof Refusal ? assert.fail(call.message) : call
}
const refused = async (...args: Parameters<typeof send>): Promise<Refusal> => {
  const refusal = await send(...args)
  return refusal instanceof Refusal ? refusal : assert.fail('was read')
}

const codings: Readonly<Record<string, (bytes: Buffer | string) => Buffer>> = {
  gzip: (bytes) => gzipSync(bytes),
  deflate: (bytes) => deflateSync(bytes),
  br: (bytes) => brotliCompressSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } }),
}
for (const [coding, compress] of Object.entries(codings)) {
  const as = { ...JSON_TYPE, 'content-encoding': coding }

  test(`${coding}: what was compressed is read and kept, whatever letters the header is in`, async () => {
    for (const name of [coding, coding.toUpperCase()]) {
      const call = await read('POST', '/v1/chat/completions', compress(CHAT), { ...as, 'content-encoding': name })
      assert.equal(call.body.toString(), CHAT)
      assert.equal(call.text.toString('utf8', 0, call.promptEnd), 'hi')
    }
  })

  test(`${coding}: what is cut short, goes on, or is no ${coding}, is refused with 400`, async () => {
    const whole = compress(CHAT)
    for (const body of [
      whole.subarray(0, -3),
      whole.subarray(0, whole.length >> 1),
      Buffer.concat([whole, Buffer.from('more')]),
      Buffer.concat([whole, Buffer.alloc(4)]),
      Buffer.from(CHAT),
    ]) {
      const { status, message } = await refused('POST', '/v1/chat/completions', body, as)
      assert.deepEqual([status, message.includes(coding)], [400, true])
    }
  })

  test(`${coding}: a body that grows over the bound is refused with 413, long before all of it is there`, async () => {
    const bomb = compress(Buffer.alloc(50 << 20, 0x20))
    assert.ok(bomb.length < BODY_BYTES_MAX)
    assert.equal((await refused('POST', '/v1/chat/completions', bomb, as)).status, 413)
    const inside = `${CHAT}${' '.repeat(BODY_BYTES_MAX - CHAT.length)}`
    assert.equal((await read('POST', '/v1/chat/completions', compress(inside), as)).body.length, BODY_BYTES_MAX)
  })
}

test('zstd that asks for a larger window than HTTP allows is refused', async () => {
  const wide = zstdCompressSync(Buffer.alloc(20 << 20, 0x20), { params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_contentSizeFlag]: 0 } })
  assert.ok([400, 413].includes((await refused('POST', '/v1/chat/completions', wide, { ...JSON_TYPE, 'content-encoding': 'zstd' })).status))
})

test('deflate means zlib’s format: what is not is refused, never guessed', async () => {
  assert.equal((await refused('POST', '/v1/chat/completions', deflateRawSync(CHAT), { ...JSON_TYPE, 'content-encoding': 'deflate' })).status, 400)
})

test('several codings and unknown ones are refused with 415 and what is known; identity is none', async () => {
  for (const coding of ['gzip, gzip', 'gzip, identity', 'compress', 'constructor', '', 'gzip;q=1']) {
    const refusal = await refused('POST', '/v1/chat/completions', gzipSync(CHAT), { ...JSON_TYPE, 'content-encoding': coding })
    assert.deepEqual([refusal.status, refusal.headers], [415, ['accept-encoding', 'gzip, deflate, br, zstd']], coding)
  }
  assert.equal((await refused('POST', '/v1/chat/completions', gzipSync(CHAT), { ...JSON_TYPE, 'content-encoding': ['gzip', 'gzip'] })).status, 415)
  assert.equal((await read('POST', '/v1/chat/completions', CHAT, { ...JSON_TYPE, 'content-encoding': 'identity' })).body.toString(), CHAT)
})

test('decoded bytes count among all that is buffered, and are given back when the exchange has ended', async () => {
  const crowded = await reading(3000)
  const large = JSON.stringify({ model: 'm', messages: [], padding: ' '.repeat(5000) })
  const small = JSON.stringify({ model: 'm', messages: [], padding: ' '.repeat(1000) })
  const as = { ...JSON_TYPE, 'content-encoding': 'gzip' }
  for (let i = 0; i < 5; i++) {
    const refusal = await crowded('POST', '/v1/chat/completions', gzipSync(large), as)
    assert.ok(refusal instanceof Refusal && refusal.status === 503 && refusal.retry)
    const call = await crowded('POST', '/v1/chat/completions', gzipSync(small), as)
    assert.ok(!(call instanceof Refusal))
  }
})

test('a request without a body is a call without texts; one with a body where there can be none is refused', async () => {
  for (const [method, headers] of [
    ['GET', {}],
    ['DELETE', {}],
    ['GET', JSON_TYPE],
    ['POST', JSON_TYPE],
    ['GET', { 'content-encoding': 'gzip' }],
  ] as const) {
    const call = await read(method, '/v1/files/f1', '', headers)
    assert.deepEqual([call.format, call.body.length, call.models, call.promptEnd], ['none', 0, [], 0])
    assert.deepEqual(
      call.slots.map(({ from, to, place }) => [place, call.text.toString('utf8', from, to)]),
      [
        ['path', 'v1'],
        ['path', 'files'],
        ['path', 'f1'],
      ],
    )
  }
  assert.match((await refused('GET', '/v1/files/f1', '{}', JSON_TYPE)).message, /A GET has no body/)
  assert.equal((await read('DELETE', '/v1/files/f1', '{}', JSON_TYPE)).format, 'json')
})

test('what a call says about itself is taken from its body, bounded', async () => {
  assert.deepEqual((await read('POST', '/v1/chat/completions', CHAT, JSON_TYPE)).metadata, { user: 'u', team: 'a', n: 3, flag: true })
  const many = JSON.stringify({ model: 'm', messages: [], metadata: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, 'v'.repeat(1000)])) })
  const { metadata } = await read('POST', '/v1/chat/completions', many, JSON_TYPE)
  assert.equal(Object.keys(metadata).length, 16)
  assert.ok(Object.values(metadata).every((value) => String(value).length === 256))
})

const MARKER = 'marker 7f3a'
/** What travels on beside the body, and where it is found. */
const surroundings: [name: string, path: string, headers: Record<string, string>, place: string, text: string][] = [
  ['a segment of a path', '/v1/files/marker%207f3a', {}, 'path', MARKER],
  ['a segment of a path to an upstream by name', '/u/mine/v1/later/marker%207f3a/x', {}, 'path', MARKER],
  ['a value of the query', '/v1/files?purpose=marker%207f3a', {}, 'query', `purpose=${MARKER}`],
  ['a value of the query with plus signs', '/v1/files?purpose=marker+7f3a', {}, 'query', `purpose=${MARKER}`],
  ['a name of the query', '/v1/files?marker%207f3a', {}, 'query', MARKER],
  ['a header nobody knows', '/v1/files', { 'x-note': MARKER }, 'header', `x-note: ${MARKER}`],
  [
    'the name of a file that is uploaded to Gemini',
    '/upload/v1beta/files',
    { 'x-goog-upload-file-name': MARKER },
    'header',
    `x-goog-upload-file-name: ${MARKER}`,
  ],
]
for (const [name, path, headers, place, text] of surroundings) {
  test(`a marker in ${name} is found there, and cannot be cut`, async () => {
    for (const [body, type] of [
      ['', ''],
      ['{"a":"b"}', 'application/json'],
      [form({ name: 'a', content: 'b' }), FORM_TYPE],
      ['{"a":"b"}\n', 'application/jsonl'],
    ] as const) {
      const call = await read('POST', path, body, type === '' ? headers : { ...headers, 'content-type': type })
      const hits = call.slots.filter(({ from, to }) => call.text.toString('utf8', from, to).includes(MARKER))
      assert.deepEqual(
        hits.map(({ role, place, from, to }) => [role, place, call.text.toString('utf8', from, to)]),
        [['protocol', place, text]],
      )
    }
  })
}

test('the model that a path names is read like one that a body names', async () => {
  for (const path of ['/v1beta/models/marker%207f3a:generateContent', '/openai/deployments/marker%207f3a/chat/completions']) {
    const { slots, text } = await read('POST', path, '{"contents":[],"messages":[]}', JSON_TYPE)
    const hits = slots.filter(({ from, to }) => text.toString('utf8', from, to) === MARKER)
    assert.deepEqual(
      hits.map(({ role, place }) => [role, place]),
      [['protocol', 'path']],
      path,
    )
  }
})

test('the type of an upload’s part is what its client called it, whatever it is read as', async () => {
  for (const query of ['', '?upload_id=7']) {
    const call = await read('POST', `/upload/v1beta/files${query}`, 'hello', { ...JSON_TYPE, 'x-goog-upload-command': 'upload, finalize' })
    assert.deepEqual([call.contentType, call.format], ['application/json', 'text'])
  }
})

test('the query of a call that a dialect describes is read too, and keys in it are not', async () => {
  const call = await read('POST', '/v1/chat/completions?beta=true&key=k&x=ef_live_abcdefgh_secret', CHAT, JSON_TYPE)
  assert.deepEqual(
    call.slots.filter(({ place }) => place !== undefined).map(({ place, from, to }) => [place, call.text.toString('utf8', from, to)]),
    [['query', 'beta=true']],
  )
})

test('a body is read whole in however many pieces it came, and whether it had come before it was asked for or not', async () => {
  const late: Stage<never, 'caller'> = async ({ incoming }) => {
    while (!incoming.complete) await new Promise(setImmediate)
    return { caller }
  }
  const long = CHAT.replace('hi', 'é'.repeat(20_000))
  for (const ask of [send, await reading(undefined, late)])
    for (const text of [CHAT, long]) {
      const half = text.length >> 1
      for (const body of [text, [text], [text.slice(0, half), text.slice(half)], [...text.slice(0, 20), text.slice(20)]]) {
        const call = await ask('POST', '/v1/chat/completions', body, JSON_TYPE)
        assert.ok(!(call instanceof Refusal), call instanceof Refusal ? call.message : '')
        assert.equal(call.body.toString(), text)
      }
    }
  const full = await reading(CHAT.length - 1, late)
  for (const body of [CHAT, [...CHAT]]) {
    const refusal = await full('POST', '/v1/chat/completions', body, JSON_TYPE)
    assert.ok(refusal instanceof Refusal && refusal.status === 503)
  }
})
