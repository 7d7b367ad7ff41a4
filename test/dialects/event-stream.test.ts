import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frameData, nextFrame } from '../../src/dialects/events/event-stream.ts'

const payload = (frame: string): string | null => {
  const bytes = Buffer.from(frame)
  const data = frameData(bytes)
  return data === null || data === 'several' ? data : bytes.toString('utf8', data.start, data.end)
}

/** Cuts a stream that arrives in chunks, as a reader of replies does. */
function framesOf(chunks: readonly Buffer[]): { frames: Buffer[]; rest: Buffer } {
  const frames: Buffer[] = []
  let rest = Buffer.alloc(0)
  for (const chunk of chunks) {
    const seen = rest.length
    const bytes = Buffer.concat([rest, chunk])
    let at = 0
    for (let end = nextFrame(bytes, Math.max(0, seen - 3)); end > 0; end = nextFrame(bytes, at)) {
      frames.push(bytes.subarray(at, end))
      at = end
    }
    rest = bytes.subarray(at)
  }
  return { frames, rest }
}

test('an event ends at its empty line, whichever of the three line ends it uses', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const first = `event: a${end}data: {"x":1}${end}${end}`
    const bytes = Buffer.from(`${first}data: 2${end}${end}`)
    assert.equal(nextFrame(bytes, 0), first.length)
    assert.equal(nextFrame(bytes, first.length), bytes.length)
    assert.equal(nextFrame(bytes, bytes.length), -1)
    assert.equal(nextFrame(Buffer.from(`data: 1${end}`), 0), -1)
  }
  assert.equal(nextFrame(Buffer.from('data: 1\r\n\ndata'), 0), 10)
  assert.equal(nextFrame(Buffer.from('data: 1\n\r\ndata'), 0), 10)
  assert.equal(nextFrame(Buffer.from('data: 1'), 0), -1)
  assert.equal(nextFrame(Buffer.alloc(0), 0), -1)
})

test('a stream cut at any two places yields the same payloads, and no byte is lost', () => {
  const payloads = ['{"a":1}', 'é', '[DONE]']
  for (const end of ['\n', '\r\n', '\r']) {
    const stream = Buffer.from(payloads.map((data) => `id: 1${end}data: ${data}${end}${end}`).join(''))
    for (let a = 0; a <= stream.length; a++) {
      for (let b = a; b <= stream.length; b++) {
        const { frames, rest } = framesOf([stream.subarray(0, a), stream.subarray(a, b), stream.subarray(b)])
        assert.equal(Buffer.concat([...frames, rest]).compare(stream), 0)
        assert.deepEqual(
          [...frames, rest]
            .map((frame) => payload(frame.toString('latin1')))
            .filter((data) => data !== null)
            .map((data) => Buffer.from(data, 'latin1').toString()),
          payloads,
        )
      }
    }
  }
})

test('the payload of a frame lies after the colon and one space', () => {
  assert.equal(payload('data: {"a":1}\n\n'), '{"a":1}')
  assert.equal(payload('data:{"a":1}\r\n\r\n'), '{"a":1}')
  assert.equal(payload('data:  two\n\n'), ' two')
  assert.equal(payload('event: x\rid: 7\rdata: y\r\r'), 'y')
  assert.equal(payload(': comment\n\ndata: z'), 'z')
  assert.equal(payload('data:\n\n'), '')
  assert.equal(payload('data: \n\n'), '')
  assert.equal(payload('data\n\n'), '')
  assert.equal(payload('\ufeffdata: first\n\n'), 'first')
  assert.equal(payload('\ndata: after the LF of a CRLF\n\n'), 'after the LF of a CRLF')
})

test('a frame without data has none, and one with several data lines says so', () => {
  for (const none of ['', '\n\n', ': ping\n\n', 'event: ping\n\n', 'database: x\n\n', 'xdata: x\n\n', 'Data: x\n\n', ' data: x\n\n', 'dat', 'retry: 1\n\n'])
    assert.equal(payload(none), null, none)
  for (const several of ['data: 1\ndata: 2\n\n', 'data: 1\r\nevent: x\r\ndata\r\n\r\n', 'data:\rdata:\r\r']) assert.equal(payload(several), 'several', several)
})
