import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortions } from '../../src/proxy/portions.ts'

function setUp(size: number) {
  const seen: number[] = []
  const asked: (() => void)[] = []
  const more: number[] = []
  const add = createPortions<number>({
    size,
    each(item) {
      seen.push(item)
      for (const another of more.splice(0)) add(another)
    },
    later: (work) => void asked.push(work),
  })
  const turn = (): number => {
    const now = asked.splice(0)
    for (const work of now) work()
    return now.length
  }
  return { add, seen, more, turn }
}

test('of a crowd so many are seen to in each turn of the event loop, in the order they came', () => {
  const { add, seen, turn } = setUp(3)
  for (const item of [1, 2, 3, 4, 5, 6, 7]) add(item)
  assert.deepEqual(seen, [])
  turn()
  assert.deepEqual(seen, [1, 2, 3])
  add(8)
  turn()
  turn()
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8])
  assert.equal(turn(), 0, 'nothing is left to do')
})

test('what comes while others are seen to is seen to as well, in the same portion if there is room', () => {
  const { add, seen, more, turn } = setUp(2)
  more.push(2, 3)
  add(1)
  turn()
  assert.deepEqual(seen, [1, 2])
  assert.equal(turn(), 1)
  assert.deepEqual(seen, [1, 2, 3])
  assert.equal(turn(), 0)
})

test('one that comes twice before it is seen to is seen to once; afterwards it may come again', () => {
  const { add, seen, turn } = setUp(8)
  add(1)
  add(1)
  turn()
  assert.deepEqual(seen, [1])
  add(1)
  turn()
  assert.deepEqual(seen, [1, 1])
})
