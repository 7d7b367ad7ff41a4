import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLeases } from '../../src/limits/leases.ts'

const HOUR = 3_600_000

test('permits are counted by limit, and given back once', () => {
  const leases = createLeases(() => 0)
  leases.hold('a', ['x', 'y'])
  leases.hold('b', ['x'])
  leases.hold('c', [])
  assert.deepEqual([leases.calls, leases.count('x'), leases.count('y'), leases.count('z')], [2, 2, 1, 0])
  leases.hold('a', ['x'])
  assert.deepEqual([leases.calls, leases.count('x'), leases.count('y')], [2, 2, 0])
  for (const id of ['a', 'a', 'b', 'nobody']) leases.release(id)
  assert.deepEqual([leases.calls, leases.count('x')], [0, 0])
})

test('all of them are renewed, in bounded batches', () => {
  const leases = createLeases(() => 0)
  for (let i = 0; i < 1201; i++) leases.hold(`call ${i}`, i === 0 ? ['x', 'y'] : ['x'])
  const batches = [...leases.batches()]
  assert.deepEqual(
    batches.map(({ key, ids }) => [key, ids.length]),
    [
      ['x', 500],
      ['x', 500],
      ['x', 201],
      ['y', 1],
    ],
  )
  assert.equal(new Set(batches.filter(({ key }) => key === 'x').flatMap(({ ids }) => ids)).size, 1201)
})

test('a call that nobody ended is forgotten when it could not be settled any more', () => {
  let now = 0
  const leases = createLeases(() => now)
  leases.hold('lost', ['x'])
  now = HOUR
  leases.hold('new', ['x'])
  assert.deepEqual([...leases.batches()], [{ key: 'x', ids: ['lost', 'new'] }])
  now = 1.1 * HOUR
  assert.deepEqual([...leases.batches()], [{ key: 'x', ids: ['new'] }])
  assert.equal(leases.calls, 1)
})
