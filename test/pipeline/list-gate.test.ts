import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ListGate } from '../../src/pipeline/list-gate.ts'

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
