import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTextMeter } from '../../src/dialects/text-meter.ts'
import { EndsTap } from '../../src/pipeline/relay.ts'
import type { Sink } from '../../src/sink.ts'

test('the tap keeps the first 2 KB and at least the last 4 KB, whatever the chunks, and lets every byte through', () => {
  const text = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
  for (const size of [1, 7, 1000, 2048, 2049, 5000, 20_000]) {
    let through = ''
    const inner: Sink = { head() {}, data: (chunk) => (through += chunk.toString()) !== '', end() {}, error() {} }
    const tap = new EndsTap(inner, createTextMeter(), 0)
    for (let i = 0; i < text.length; i += size) tap.data(Buffer.from(text.slice(i, i + size)))
    assert.equal(through, text)
    assert.ok(tap.ends().startsWith(text.slice(0, 2048)))
    assert.ok(tap.ends().endsWith(text.slice(-4096)))
    assert.ok(tap.ends().length <= 2048 + 8192)
  }
  const short = new EndsTap({ head() {}, data: () => true, end() {}, error() {} }, createTextMeter(), 0)
  short.data(Buffer.from('x'.repeat(3000)))
  assert.equal(short.ends(), 'x'.repeat(3000))
})
