import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createShared } from '../../src/rules/matching/shared.ts'

test('what is made of a key is made once for as long as somebody has it, and what cannot be made is tried again', () => {
  const shared = createShared<{ key: string }>()
  const first = shared('a', () => ({ key: 'a' }))
  assert.equal(
    shared('a', () => assert.fail('made twice')),
    first,
  )
  assert.notEqual(
    shared('b', () => ({ key: 'b' })),
    first,
  )
  assert.throws(() =>
    shared('c', () => {
      throw new Error('too slow')
    }),
  )
  assert.equal(shared('c', () => ({ key: 'c' })).key, 'c')
})
