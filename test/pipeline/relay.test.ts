import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EndsTap, LastEvent } from '../../src/pipeline/relay.ts'
import type { Sink } from '../../src/sink.ts'

const stream = 'data: {"c":"one \\n data: [DONE] two"}\n\n: ping\n\ndata: {"c":"d"}\n\ndata: [DONE]\n\n'
const lastAt = stream.lastIndexOf('data: [DONE]')

test('a stream goes through up to its last event, wherever the network cuts it; text that spells it is no last event', () => {
  for (let a = 0; a <= stream.length; a++) {
    for (let b = a; b <= stream.length; b += 3) {
      const lastEvent = new LastEvent('data: [DONE]')
      const passed = [stream.slice(0, a), stream.slice(a, b), stream.slice(b)].map((part) => lastEvent.pass(Buffer.from(part))?.toString() ?? '').join('')
      assert.equal(passed, stream.slice(0, lastAt))
      assert.equal(lastEvent.rest()?.toString(), stream.slice(lastAt))
    }
  }
})

test('whole events are not held for what might follow them', () => {
  const lastEvent = new LastEvent('data: [DONE]')
  for (const event of ['data: {"a":1}\n\n', ': comment\n\n', 'event: x\ndata: {}\r\n\r\n']) assert.equal(lastEvent.pass(Buffer.from(event))?.toString(), event)
  assert.equal(lastEvent.rest(), undefined)
})

test('a last event that is followed by megabytes was none: what is held stays bounded', () => {
  const lastEvent = new LastEvent('data: [DONE]')
  lastEvent.pass(Buffer.from('data: [DONE]\n\n'))
  assert.equal(lastEvent.pass(Buffer.alloc(100_000, 'x'))?.length, 100_014)
})

test('the tap keeps the first 2 KB and at least the last 4 KB, whatever the chunks, and lets every byte through', () => {
  const text = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
  for (const size of [1, 7, 1000, 2048, 2049, 5000, 20_000]) {
    let through = ''
    const inner: Sink = { head() {}, data: (chunk) => (through += chunk.toString()) !== '', end() {}, error() {} }
    const tap = new EndsTap(inner)
    for (let i = 0; i < text.length; i += size) tap.data(Buffer.from(text.slice(i, i + size)))
    assert.equal(through, text)
    assert.ok(tap.ends().startsWith(text.slice(0, 2048)))
    assert.ok(tap.ends().endsWith(text.slice(-4096)))
    assert.ok(tap.ends().length <= 2048 + 8192)
  }
  const short = new EndsTap({ head() {}, data: () => true, end() {}, error() {} })
  short.data(Buffer.from('x'.repeat(3000)))
  assert.equal(short.ends(), 'x'.repeat(3000))
})
