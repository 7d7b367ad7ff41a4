/** Requests as exact bytes, most of them hostile: each has one answer, what is refused ends its connection, and nothing is smuggled past us. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { startDoors } from '../proxy/doors.ts'
import { LAST, play, type RawCase, rawCases } from '../proxy/raw-cases.ts'

let started: Awaited<ReturnType<typeof startDoors>>
let cases: RawCase[]
before(async () => {
  started = await startDoors()
  cases = rawCases(started.plain.tenant.api_key)
})
after(() => started.close())

/** The upstream's calls that a case makes, the answers on its connection, and whether that takes another request afterwards. */
interface Outcome {
  statuses: number[]
  calls: number
  goesOn: boolean
}
const refused = (status: number): Outcome => ({ statuses: [status], calls: 0, goesOn: false })
const understood = (statuses: number[], calls = 0, goesOn = true): Outcome => ({ statuses, calls, goesOn })

/** All others are 400. */
const outcomes: Readonly<Record<string, Outcome>> = {
  S01: understood([200], 1),
  S19: understood([200], 1), // RFC 9112, section 5: a tab is white space like any other
  S37: refused(421), // not 400: the request is well formed, and somebody else's
  S44: refused(505),
  S46: refused(405),
  S47: refused(405),
  S61: understood([400], 0), // not answered without its body: an upstream that leaves it unread would take it for a request
  S62: understood([200, 200], 2),
  S63: understood([100, 200], 1),
  S64: refused(417),
  S66: understood([200], 1, false), // ends: what follows at once is lost in Node's parser
  S69: refused(431),
  S77: understood([400], 0), // a percent sign that could be decoded into another is no plain path of a provider
  S84: understood([200], 0), // obs-text is allowed in a value (RFC 9110, section 5.5)
  S85: understood([200], 0),
  S87: understood([400], 0), // not 415: gzip is known, and this is none
}
const outcomeOf = ({ id, expected }: RawCase): Outcome => {
  const outcome = outcomes[id] ?? refused(400)
  if (expected.startsWith('reject') && id !== 'S69') assert.deepEqual(outcome, refused(400), id)
  return outcome
}
const vectorStores = (count: number): string[] => Array.from({ length: count }, () => 'POST /v1/vector_stores HTTP/1.1')

test('every raw case has its one answer on both doors, alone and with another request behind it, which is answered only where this one was understood', async () => {
  assert.equal(cases.length, 60)
  for (const one of cases) {
    const { statuses, calls, goesOn } = outcomeOf(one)
    for (const door of started.doors) {
      if (door.isTls && one.id === 'S73') continue
      const what = `${one.id} ${one.name}, ${door.isTls ? 'TLS' : 'plain'}`
      const alone = await play(door, one.bytes, goesOn ? { enough: statuses.length } : { halfClose: one.id === 'S42' })
      assert.deepEqual(alone.statuses, statuses, what)
      assert.doesNotMatch(started.recorder.text(), /^(?:http2-settings|upgrade|expect|x-org|x-earthflow[-_]\w+|transfer-encoding:(?! chunked\r)).*$/im, what)
      assert.deepEqual(started.recorder.take(), vectorStores(calls), what)
      if (statuses.length === 1 && !goesOn && statuses[0]! >= 400) assert.match(alone.text, /^connection: close\r$/im, what)
      const followed = await play(door, Buffer.concat([one.bytes, Buffer.from(LAST)]))
      assert.deepEqual(followed.statuses, goesOn ? [...statuses, 200] : statuses, what)
      assert.deepEqual(started.recorder.take(), vectorStores(calls), what)
    }
  }
  for (const door of started.doors) assert.deepEqual((await play(door, Buffer.from(LAST))).statuses, [200], 'it is well')
})

test('a TLS hello is answered as one where TLS is spoken', async () => {
  const socket = connect({ port: started.doors[1]!.port, host: '127.0.0.1' })
  let got = ''
  socket
    .on('error', () => {})
    .on('data', (chunk: Buffer) => {
      got += chunk.toString('latin1')
    })
  socket.end(cases.find(({ id }) => id === 'S73')?.bytes ?? '')
  await once(socket, 'close')
  assert.doesNotMatch(got, /HTTP/)
})

/** More of the kind. `$KEY` is a key, `$CALL` a line that calls. */
const more: readonly [what: string, text: string, outcome: Outcome][] = [
  ['a length with a plus', '$CALL\r\ncontent-length: +2\r\n\r\n{}', refused(400)],
  ['a length with zeros before', '$CALL\r\ncontent-length: 0002\r\n\r\n{}', understood([200], 1)],
  ['a length beyond all numbers', '$CALL\r\ncontent-length: 99999999999999999999\r\n\r\n{}', refused(400)],
  ['two lengths in a list', '$CALL\r\ncontent-length: 2,3\r\n\r\n{}', refused(400)],
  ['a compressed transfer', '$CALL\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', refused(501)],
  ['chunked twice', '$CALL\r\ntransfer-encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', refused(400)],
  ['chunked in two lines', '$CALL\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', refused(400)],
  ['identity', '$CALL\r\ntransfer-encoding: identity\r\n\r\n{}', refused(501)],
  ['chunked in HTTP/1.0', '$CALL10\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', refused(400)],
  ['chunked spelled with capitals', '$CALL\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n', understood([200], 1)],
  ['chunks with extensions', '$CALL\r\ntransfer-encoding: chunked\r\n\r\n2;a=b;c="d"\r\n{}\r\n0;e\r\n\r\n', understood([200], 1)],
  ['chunks with endless extensions', `$CALL\r\ntransfer-encoding: chunked\r\n\r\n2;a=${'b'.repeat(40_000)}\r\n{}\r\n0\r\n\r\n`, refused(413)],
  ['a chunk beyond all numbers', '$CALL\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n', refused(400)],
  ['a chunk with 0x', '$CALL\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n', refused(400)],
  ['a chunk that ends in a bare CR', '$CALL\r\ntransfer-encoding: chunked\r\n\r\n2\r{}\r\n0\r\n\r\n', refused(400)],
  [
    'trailers that would be headers',
    '$CALL\r\ntransfer-encoding: chunked\r\ntrailer: authorization\r\n\r\n2\r\n{}\r\n0\r\nauthorization: Bearer evil\r\nx-earthflow-tenant: evil\r\nx-evil: 1\r\n\r\n',
    understood([200], 1),
  ],
  ['a bare CR in a value', 'GET /health/live HTTP/1.1\r\nhost: a\r\nx: a\rb: c\r\n\r\n', refused(400)],
  ['a header of no name but a space', 'GET /health/live HTTP/1.1\r\nhost: a\r\n : v\r\n\r\n', refused(400)],
  ['a name in quotation marks', 'GET /health/live HTTP/1.1\r\nhost: a\r\n"x": v\r\n\r\n', refused(400)],
  ['two spaces in the line', 'GET  /health/live HTTP/1.1\r\nhost: a\r\n\r\n', understood([200])], // RFC 9112, section 3: read as one
  ['no version', 'GET /health/live\r\nhost: a\r\n\r\n', refused(505)],
  ['a version to come', 'GET /health/live HTTP/1.2\r\nhost: a\r\n\r\n', refused(400)],
  ['a version in small letters', 'GET /health/live http/1.1\r\nhost: a\r\n\r\n', refused(400)],
  ['HTTP/1.0 without a host', 'GET /health/live HTTP/1.0\r\n\r\n', understood([200], 0, false)],
  ['an empty host', 'GET /health/live HTTP/1.1\r\nhost:\r\n\r\n', refused(400)],
  ['a user in the target', 'GET http://a@a/health/live HTTP/1.1\r\nhost: a\r\n\r\n', refused(421)],
  ['the same host in the target', 'GET http://A/health/live HTTP/1.1\r\nhost: a\r\n\r\n', understood([200])],
  ['another scheme', 'GET ftp://a/health/live HTTP/1.1\r\nhost: a\r\n\r\n', refused(400)],
  ['a fragment', 'GET /health/live#/../x HTTP/1.1\r\nhost: a\r\n\r\n', refused(400)],
  ['a method of WebDAV', 'PROPFIND /v1/models HTTP/1.1\r\nhost: a\r\n\r\n', refused(405)],
  ['WebSocket among others', 'GET /v1/realtime HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, websocket/13\r\n\r\n', refused(426)],
  ['WebSocket without a host', 'GET /v1/realtime HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n', refused(400)],
  ['an unmet expectation by another host', 'GET http://b/ HTTP/1.1\r\nhost: a\r\nexpect: x\r\n\r\n', refused(421)],
  ['two bodies’ codings', '$CALL\r\ncontent-encoding: gzip\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\n{}', refused(400)],
  ['a body coded twice', '$CALL\r\ncontent-encoding: gzip, gzip\r\ncontent-length: 2\r\n\r\n{}', understood([415], 0, false)],
  [
    'a word after the end of the first',
    '$CALL\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n',
    understood([200], 1, false),
  ],
  [
    'a body for the management API that waits for a 100',
    'POST /v1/rules HTTP/1.1\r\nhost: a\r\nauthorization: Bearer $KEY\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
    understood([100, 400]),
  ],
  ['a tunnel to a path', 'CONNECT /v1/models HTTP/1.1\r\nhost: a\r\n\r\n', refused(405)],
]
for (const [what, text, { statuses, calls, goesOn }] of more) {
  test(`${what}: ${statuses.join(', ')}${goesOn ? '' : ', and the end'}`, async () => {
    const { tenant } = started.plain
    const call = `POST /v1/vector_stores HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${tenant.api_key}`
    const bytes = Buffer.from(text.replace('$CALL10', call.replace('/1.1', '/1.0')).replace('$CALL', call).replace('$KEY', tenant.api_key) + LAST)
    for (const door of started.doors) {
      assert.deepEqual((await play(door, bytes)).statuses, goesOn ? [...statuses, 200] : statuses)
      const seen = started.recorder.text()
      assert.doesNotMatch(seen, /evil|smuggled|trailer:|transfer-encoding: (?!chunked)/i)
      assert.equal(started.recorder.take().length, calls)
    }
  })
}

test('what is compressed in one known way is judged and forwarded without it', async () => {
  const { tenant } = started.plain
  for (const coding of ['gzip', 'x-gzip', 'GZIP']) {
    const body = gzipSync('{"name":"x"}')
    const head = `POST /v1/vector_stores HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${tenant.api_key}\r\ncontent-encoding: ${coding}\r\ncontent-length: ${body.length}\r\n\r\n`
    assert.deepEqual((await play(started.doors[0]!, Buffer.concat([Buffer.from(head), body, Buffer.from(LAST)]))).statuses, [200, 200], coding)
    const seen = started.recorder.text()
    assert.match(seen, /\{"name":"x"\}/)
    assert.doesNotMatch(seen, /content-encoding/i)
    started.recorder.take()
  }
})

test('every call that was forwarded has a row, and what was refused at the door has none', async () => {
  const rows = await started.plain.rows()
  const withStatus = (status: number | null): number => rows.filter(({ http_status }) => http_status === status).length
  assert.equal(withStatus(200), started.recorder.paths.length)
  // Those whose head was a call's and whose body could not be read to its end: nobody was answered.
  assert.ok(rows.every(({ http_status, outcome }) => http_status !== null || outcome === 'cancelled'))
  assert.equal(withStatus(200) + withStatus(400) + withStatus(415) + withStatus(null), rows.length)
})
