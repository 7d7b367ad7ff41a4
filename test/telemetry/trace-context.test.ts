import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTraceparent, writeTraceparent } from '../../src/telemetry/trace-context.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

test('a traceparent is read as W3C Trace Context has it, flags we do not know left aside', () => {
  assert.deepEqual(readTraceparent(`00-${TRACE}-${SPAN}-01`), { traceId: TRACE, spanId: SPAN, isSampled: true })
  assert.deepEqual(readTraceparent(`00-${TRACE}-${SPAN}-00`), { traceId: TRACE, spanId: SPAN, isSampled: false })
  assert.deepEqual(readTraceparent(`00-${TRACE}-${SPAN}-03`), { traceId: TRACE, spanId: SPAN, isSampled: true }, 'the random flag of level 2')
  assert.deepEqual(readTraceparent(`00-${TRACE}-${SPAN}-fe`), { traceId: TRACE, spanId: SPAN, isSampled: false })
})

test('of a later version what we know is read, whatever follows', () => {
  assert.equal(readTraceparent(`01-${TRACE}-${SPAN}-01`)?.isSampled, true)
  assert.equal(readTraceparent(`cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`)?.spanId, SPAN)
  assert.equal(readTraceparent(`cc-${TRACE}-${SPAN}-01.what`), null)
})

test('what is malformed is nothing', () => {
  for (const value of [
    undefined,
    '',
    'text',
    [`00-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-01`],
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-0g`,
    `00-${TRACE}-${SPAN}-01-`,
    `0-${TRACE}-${SPAN}-01`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    ` 00-${TRACE}-${SPAN}-01`,
  ])
    assert.equal(readTraceparent(value), null, String(value))
})

test('what is written is read again', () => {
  for (const isSampled of [true, false]) {
    const context = { traceId: TRACE, spanId: SPAN, isSampled }
    assert.deepEqual(readTraceparent(writeTraceparent(context)), context)
    assert.equal(writeTraceparent(context).length, 55)
  }
})
