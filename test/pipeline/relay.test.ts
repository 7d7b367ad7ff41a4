import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { ClientSink, EndsTap } from '../../src/pipeline/relay.ts'
import { createReplyMeter } from '../../src/pipeline/reply-meter.ts'
import type { PartlyKnown } from '../../src/pipeline/status.ts'
import type { Sink } from '../../src/sink.ts'

test('the tap keeps the first 2 KB and at least the last 4 KB, whatever the chunks, and lets every byte through', () => {
  const text = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
  for (const size of [1, 7, 1000, 2048, 2049, 5000, 20_000]) {
    let through = ''
    const inner: Sink = { head() {}, data: (chunk) => (through += chunk.toString()) !== '', end() {}, error() {} }
    const tap = new EndsTap(inner, createReplyMeter(), 0)
    for (let i = 0; i < text.length; i += size) tap.data(Buffer.from(text.slice(i, i + size)))
    assert.equal(through, text)
    assert.ok(tap.ends().startsWith(text.slice(0, 2048)))
    assert.ok(tap.ends().endsWith(text.slice(-4096)))
    assert.ok(tap.ends().length <= 2048 + 8192)
  }
  const short = new EndsTap({ head() {}, data: () => true, end() {}, error() {} }, createReplyMeter(), 0)
  short.data(Buffer.from('x'.repeat(3000)))
  assert.equal(short.ends(), 'x'.repeat(3000))
})

test('however often a slow reader lets a stream wait, the response has no more listeners than at first, and none once it has taken everything', () => {
  const outgoing = Object.assign(new EventEmitter(), {
    headersSent: true,
    writableNeedDrain: false,
    write() {
      outgoing.writableNeedDrain = true
      return false
    },
  })
  const sink = new ClientSink({ outgoing, headers: [] } as unknown as PartlyKnown)
  const listeners = () => outgoing.listenerCount('close') + outgoing.listenerCount('drain')
  for (let cycle = 0; cycle < 50; cycle++) {
    for (let i = 0; i < 20; i++) assert.equal(sink.data(Buffer.from('x')), false)
    assert.equal(listeners(), 2)
    outgoing.writableNeedDrain = false
    outgoing.emit('drain')
    assert.equal(listeners(), 0)
  }
})
