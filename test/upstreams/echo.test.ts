import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { Failure } from '../../src/errors.ts'
import type { Sink } from '../../src/sink.ts'
import { EchoMask } from '../../src/upstreams/echo.ts'

const CREDENTIAL = 'sk-live"4/9+a b'

/** What came out for what the upstream sent, piece by piece. */
function through(status: number, headers: string[], pieces: readonly (string | Buffer)[], credential: string | null = CREDENTIAL, streams = false) {
  const out = { status: 0, headers: [] as string[], pieces: [] as string[], bytes: Buffer.alloc(0) }
  const inner: Sink = {
    head(told, names) {
      out.status = told
      out.headers = names
    },
    data(chunk) {
      out.pieces.push(chunk.toString('latin1'))
      out.bytes = Buffer.concat([out.bytes, chunk])
      return true
    },
    end() {},
    error() {},
  }
  const mask = new EchoMask(() => ({ credential }), inner, streams)
  mask.head(status, headers)
  for (const piece of pieces) mask.data(Buffer.from(piece))
  mask.end()
  return { ...out, text: out.bytes.toString() }
}

const basic = (user: string): string => Buffer.from(`${user}:${CREDENTIAL}`).toString('base64')
const spellings: [name: string, text: string][] = [
  ['as it is', CREDENTIAL],
  ['in JSON', JSON.stringify(CREDENTIAL).slice(1, -1)],
  ['in JSON with slashes escaped', JSON.stringify(CREDENTIAL).slice(1, -1).replaceAll('/', '\\/')],
  ['percent-encoded', encodeURIComponent(CREDENTIAL)],
]

test('the credential of an error is masked at its own length, however it is spelled, wherever the network cuts; every other byte passes', () => {
  for (const [name, spelled] of spellings) {
    const body = `{"error":"key ${spelled} or ${spelled.slice(0, -1)}, ${spelled}"}`
    const expected = `{"error":"key ${'*'.repeat(spelled.length)} or ${spelled.slice(0, -1)}, ${'*'.repeat(spelled.length)}"}`
    for (let a = 0; a <= body.length; a++)
      for (let b = a; b <= body.length; b += 5) {
        assert.equal(through(401, [], [body.slice(0, a), body.slice(a, b), body.slice(b)]).text, expected, `${name}, cut at ${a} and ${b}`)
      }
  }
})

test('in base64, alone or behind a name, no three letters of it can be decoded', () => {
  for (const encoded of [Buffer.from(CREDENTIAL).toString('base64'), basic('u'), basic('me'), basic('you'), Buffer.from(CREDENTIAL).toString('base64url')]) {
    const { text } = through(403, [], [`Basic ${encoded}.`])
    assert.equal(text.length, encoded.length + 7)
    const read = Buffer.from(text.slice(6, -1).replaceAll('*', 'A'), 'base64').toString('latin1')
    for (let i = 0; i + 3 <= CREDENTIAL.length; i++) assert.ok(!read.includes(CREDENTIAL.slice(i, i + 3)), `${encoded} became ${text}`)
  }
})

test('in a header it is masked whatever the status', () => {
  for (const status of [200, 401])
    assert.deepEqual(through(status, ['x-debug', `Bearer ${CREDENTIAL}`], []).headers, ['x-debug', `Bearer ${'*'.repeat(CREDENTIAL.length)}`])
})

test('what is no error passes untouched, and no byte of it waits', () => {
  const pieces = ['data: sk-live', '"4/9+a', ' b\n\n', 's', 'k']
  assert.deepEqual(through(200, [], pieces).pieces, pieces)
})

test('of an error nothing waits but what may be the beginning of the credential', () => {
  assert.deepEqual(through(500, [], ['one s', 'ix sk-li', 'on']).pieces, ['one ', 'six ', 'sk-lion'])
})

test('where no credential is stored, or only a word for none, nothing is touched', () => {
  for (const credential of [null, 'ollama']) assert.equal(through(404, [], ['ollama null'], credential).text, 'ollama null')
})

test('a compressed error is searched too: untouched where it repeats nothing, told plainly and masked where it does', () => {
  const compressed = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
  for (const [coding, compress] of Object.entries(compressed)) {
    const plain = compress('{"error":"no such model"}')
    const headers = ['content-type', 'application/json', 'content-encoding', coding, 'content-length', String(plain.length)]
    const passed = through(404, [...headers], [plain.subarray(0, 3), plain.subarray(3)])
    assert.deepEqual([passed.headers, passed.bytes], [headers, plain])
    const told = through(401, [...headers], [compress(`key ${CREDENTIAL}`)])
    assert.deepEqual([told.headers, told.text], [['content-type', 'application/json', 'content-length', '19'], `key ${'*'.repeat(15)}`])
  }
})

test('a compressed error that cannot be searched within bounds is not passed on', () => {
  const bomb = gzipSync(Buffer.alloc(8 << 20))
  let layers = bomb
  for (let i = 0; i < 5; i++) layers = gzipSync(layers)
  for (const [coding, body] of [
    ['gzip', bomb],
    ['gzip', Buffer.from('no gzip')],
    ['gzip, gzip', layers],
    ['zz', Buffer.from('x')],
    ['gzip', Buffer.alloc(1 << 20)],
  ] as const)
    assert.throws(
      () => through(500, ['content-encoding', coding], [body]),
      (error) => error instanceof Failure && error.reason === 'reply_unreadable',
    )
})

const SSE = ['content-type', 'text/event-stream; charset=utf-8']
test('in a stream of events, which may tell an error with status 200, the credential is masked wherever the network cuts', () => {
  const stream = `data: {"choices":[]}\n\ndata: {"error":{"message":"bad key ${JSON.stringify(`Bearer ${CREDENTIAL}`).slice(1, -1)}"}}\n\n`
  const spelled = JSON.stringify(CREDENTIAL).slice(1, -1)
  for (let a = 0; a <= stream.length; a++)
    for (let b = a; b <= stream.length; b += 5)
      assert.equal(through(200, [...SSE], [stream.slice(0, a), stream.slice(a, b), stream.slice(b)]).text, stream.replace(spelled, '*'.repeat(spelled.length)))
})

test('a stream that was asked for and comes as one JSON list is searched as well', () => {
  const list = `[{"candidates":[]},\n{"error":{"message":"bad key ${CREDENTIAL}"}}]`
  for (let a = 0; a <= list.length; a++) {
    const pieces = [list.slice(0, a), list.slice(a)]
    assert.equal(through(200, ['content-type', 'application/json'], pieces, CREDENTIAL, true).text, list.replace(CREDENTIAL, '*'.repeat(CREDENTIAL.length)))
  }
})

test('of a stream nothing waits but what may be the beginning of the credential, and that only until more has come', () => {
  const pieces = ['data: {"a":"sk"}\n\n', ': keep-alive\n\n', 'data: sk-', 'x\n\n', 'data: sk-live', '\n\n']
  assert.deepEqual(through(200, [...SSE], pieces).pieces, ['data: {"a":"sk"}\n\n', ': keep-alive\n\n', 'data: ', 'sk-x\n\n', 'data: ', 'sk-live\n\n'])
})

test('a compressed stream passes as it came', () => {
  const bytes = gzipSync(`data: ${CREDENTIAL}\n\n`)
  assert.deepEqual(through(200, [...SSE, 'content-encoding', 'gzip'], [bytes]).bytes, bytes)
})
