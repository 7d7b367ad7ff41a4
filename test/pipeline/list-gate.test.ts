import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventGate } from '../../src/dialects/events/event-gate.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { EnvelopeSink } from '../../src/pipeline/envelope.ts'
import { JsonNesting, ListGate } from '../../src/pipeline/list-gate.ts'
import type { Sink } from '../../src/sink.ts'

const items = [{ a: ['x]', { b: '"}' }] }, { c: '\\\\' }, {}].map((item) => JSON.stringify(item))
const list = `[${items.join('\n,\r\n')}\n]\n`

/** What went out after each piece, and what was kept for the end. */
function passed(text: string, size: number) {
  const gate = new ListGate()
  let out = ''
  const seen: string[] = []
  for (let i = 0; i < text.length; i += size) {
    out += gate.pass(Buffer.from(text.slice(i, i + size)))?.toString() ?? ''
    if (gate.isBetweenEvents) seen.push(out)
  }
  return { out, seen, whole: out + (gate.end()?.toString() ?? '') }
}

test('whole items pass, whatever the pieces, what closes the list is kept back, and every byte arrives', () => {
  for (let size = 1; size <= list.length; size++) {
    const { out, seen, whole } = passed(list, size)
    assert.equal(whole, list)
    assert.equal(out, list.slice(0, list.lastIndexOf('}') + 1))
    for (const begun of seen) assert.doesNotThrow(() => JSON.parse(`${begun},{}]`), begun)
  }
})

test('what follows a list that is closed is dropped, be it half an item', () => {
  for (const more of ['{"half', ']', ',{}', '[{}]'])
    for (let size = 1; size <= list.length + more.length; size++)
      assert.deepEqual(passed(list + more, size), { ...passed(list, size), seen: passed(list + more, size).seen }, `${more} ${size}`)
})

test('a list that ends before it is closed broke off, wherever', () => {
  const closed = list.lastIndexOf(']')
  for (let cut = 1; cut < list.length; cut++) {
    const gate = new ListGate()
    gate.pass(Buffer.from(list.slice(0, cut)))
    if (cut > closed) assert.doesNotThrow(() => gate.end())
    else assert.throws(() => gate.end(), { reason: 'upstream_unreachable' }, `cut after ${cut}`)
  }
})

test('what is no list passes as it comes, and nothing is added to it', () => {
  for (const text of ['{"error":["]"]}', '    text']) assert.deepEqual([passed(text, 3).out, passed(text, 3).seen], [text, []])
})

test('an item that is too long to be held passes in parts, and meanwhile nothing may follow', () => {
  const gate = new ListGate()
  const piece = Buffer.alloc(1 << 20, 'x')
  const start = Buffer.from('[{},"')
  assert.equal(gate.pass(start)?.toString(), '[{}')
  assert.equal(gate.pass(piece)?.length, piece.length + 2)
  assert.equal(gate.isBetweenEvents, false)
  assert.equal(gate.pass(Buffer.from('",{}]'))?.toString(), '",{}')
  assert.equal(gate.isBetweenEvents, true)
  assert.equal(gate.end()?.toString(), ']')
})

/** How many bytes were copied meanwhile. A mock would keep each of the calls. */
function copiedBy(work: () => void): number {
  const { copy } = Buffer.prototype
  const { concat } = Buffer
  let copied = 0
  Buffer.prototype.copy = function (this: Buffer, ...args: Parameters<Buffer['copy']>) {
    const bytes = copy.apply(this, args)
    copied += bytes
    return bytes
  }
  Buffer.concat = (...args) => {
    const bytes = concat(...args)
    copied += bytes.length
    return bytes
  }
  try {
    work()
  } finally {
    Buffer.prototype.copy = copy
    Buffer.concat = concat
  }
  return copied
}
const said = 'x'.repeat(300_000)
const event = `data: {"choices":[{"index":0,"delta":{"content":"${said}"}}]}\n\n`
const pieceByPiece: [name: string, text: string, gate: (out: string[]) => { pass(chunk: Buffer): unknown; end(): void }, told: RegExp][] = [
  ['an item of a list', `[{"a":"${said}"}]`, (out) => passing(new ListGate(), out), /^\[\{"a":"x{300000}"\}\]$/],
  ['an event', event, (out) => passing(new EventGate(() => false), out), /^data: \{"choices":.*"x{300000}"\}\}\]\}\n\n$/],
  [
    'an event that is put into an envelope',
    event,
    (out) => {
      const sink: Sink = { head() {}, data: (chunk) => out.push(chunk.toString()) > 0, end() {}, error() {} }
      const envelope = new EnvelopeSink({} as never, openaiChat, sink)
      envelope.head(200, ['content-type', 'text/event-stream'])
      return { pass: (chunk) => envelope.data(chunk), end() {} }
    },
    /^data: \{"delta":"x{300000}"\}\n\n$/,
  ],
]
function passing(gate: ListGate | EventGate, out: string[]) {
  const take = (bytes: Buffer | undefined): void => void (bytes && out.push(bytes.toString()))
  return { pass: (chunk: Buffer) => take(gate.pass(chunk)), end: () => take(gate.end()) }
}
for (const [name, text, gateFor, told] of pieceByPiece)
  test(`${name} in 300,000 pieces of one byte is copied a bounded number of times, and told as if it had come whole`, () => {
    const out: string[] = []
    const gate = gateFor(out)
    const bytes = Buffer.from(text)
    const copied = copiedBy(() => {
      for (let i = 0; i < bytes.length; i++) gate.pass(bytes.subarray(i, i + 1))
      gate.end()
    })
    assert.ok(copied < 5 * bytes.length, `${copied} bytes were copied`)
    assert.match(out.join(''), told)
  })

test('JSON that is followed byte by byte is whole where nothing is left open, whatever its strings say', () => {
  for (const text of [list, '{}', ' "a[" ', '{"a":"\\\\"}\n{"b":1}', '1', '']) {
    const nesting = new JsonNesting()
    nesting.add(Buffer.from(text))
    assert.ok(nesting.isWhole, text)
  }
  for (let cut = 1; cut < list.lastIndexOf(']'); cut++) {
    const nesting = new JsonNesting()
    nesting.add(Buffer.from(list.slice(0, cut)))
    assert.ok(!nesting.isWhole, list.slice(0, cut))
  }
})
