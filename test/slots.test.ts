import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slots } from '../src/slots.ts'

test('what was put there is there until it is taken out, once, and its place is used again', () => {
  const slots = new Slots<{ n: number }>()
  const places = [0, 1, 2].map((n) => slots.put({ n }))
  assert.deepEqual([slots.size, slots.items().map(({ n }) => n)], [3, [0, 1, 2]])
  slots.empty(places[1])
  slots.empty(places[1])
  assert.deepEqual([slots.size, slots.items().map(({ n }) => n)], [2, [0, 2]])
  assert.equal(slots.put({ n: 3 }), places[1])
  assert.notEqual(slots.put({ n: 4 }), places[1])
  assert.deepEqual([slots.size, slots.items().map(({ n }) => n)], [4, [0, 3, 2, 4]])
})
