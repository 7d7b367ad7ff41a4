import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { KeepAlive } from '../../src/pipeline/keep-alive.ts'
import { ClientSink } from '../../src/pipeline/relay.ts'

const WORDS = ': here\n\n'
/** A stream's response and its clock, which moves with the timers. */
function begin(timers: { tick(ms: number): void }, mayWrite = (): boolean => true) {
  let now = 0
  const outgoing = { destroyed: false, writableEnded: false, writableNeedDrain: false, write: (text: string) => written.push([now, text]) > 0 }
  const written: [at: number, text: string][] = []
  const keepAlive = new KeepAlive(outgoing as never, WORDS, mayWrite, 15_000, () => now)
  return {
    outgoing,
    written,
    keepAlive,
    pass(ms: number): void {
      for (let passed = 0; passed < ms; passed += 1_000) {
        now += 1_000
        timers.tick(1_000)
      }
    },
  }
}

test('a stream is silent for fifteen seconds after its last write, not after its last look, before it says that it is there', ({ mock: { timers } }) => {
  timers.enable({ apis: ['setTimeout'] })
  const { keepAlive, written, pass } = begin(timers)
  pass(14_000)
  keepAlive.wrote()
  pass(14_000)
  assert.deepEqual(written, [])
  pass(20_000)
  assert.deepEqual(written, [
    [29_000, WORDS],
    [44_000, WORDS],
  ])
})

test('however much is written, a stream has one timer, which no write sets anew', ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  const set = mock.method(globalThis, 'setTimeout')
  const { keepAlive, pass } = begin(mock.timers)
  for (let i = 0; i < 10; i++) {
    for (let write = 0; write < 100; write++) keepAlive.wrote()
    pass(1_000)
  }
  assert.equal(set.mock.callCount(), 1)
})

test('nothing is said in an event, to a reader that does not read, after the end, or once the stream is let go', ({ mock: { timers } }) => {
  timers.enable({ apis: ['setTimeout'] })
  let isBetween = false
  const inside = begin(timers, () => isBetween)
  inside.pass(30_000)
  assert.deepEqual(inside.written, [])
  isBetween = true
  inside.outgoing.writableNeedDrain = true
  inside.pass(30_000)
  assert.deepEqual(inside.written, [])
  inside.outgoing.writableNeedDrain = false
  inside.pass(15_000)
  assert.equal(inside.written.length, 1)
  for (const over of [{ writableEnded: true }, { destroyed: true }]) {
    const flow = begin(timers)
    Object.assign(flow.outgoing, over)
    flow.pass(60_000)
    assert.deepEqual(flow.written, [])
  }
  const stopped = begin(timers)
  stopped.keepAlive.stop()
  stopped.pass(60_000)
  assert.deepEqual(stopped.written, [])
})

test('a stream that has ended, or failed, is said to be there no more, though its last bytes have not gone out', ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  mock.method(performance, 'now', () => now)
  for (const over of ['end', 'error', null] as const) {
    const written: string[] = []
    const outgoing = { headersSent: false, destroyed: false, writableEnded: false, writableNeedDrain: false, writeHead() {}, flushHeaders() {} }
    const write = (bytes: Buffer | string): boolean => written.push(bytes.toString()) > 0
    const exchange = {
      outgoing: Object.assign(outgoing, { write }),
      dialect: openaiChat,
      endpoint: { kind: 'call' },
      headers: [],
      trace: { attempts: [], overheadMs: 0 },
      screen: { findings: () => [] },
    }
    const sink = new ClientSink(exchange as never)
    sink.head(200, ['content-type', 'text/event-stream'])
    sink.data(Buffer.from('data: {}\n\n'))
    if (over) sink[over]()
    now += 60_000
    mock.timers.tick(15_000)
    const saidMore = written.length > 1
    assert.equal(saidMore, over === null, `${over}: ${written}`)
  }
})
