import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idFrom, newId } from '../src/ids.ts'

test('an id is its prefix, the time and eighty random bits, in the letters of Crockford', () => {
  const ids = Array.from({ length: 10_000 }, (_, i) => newId('req', 1_764_538_000_000 + (i >> 10)))
  for (const id of ids) assert.match(id, /^req_[0-9a-hjkmnp-tv-z]{26}$/)
  assert.equal(new Set(ids.map((id) => id.slice(-16))).size, ids.length)
  const times = ids.map((id) => id.slice(4, 14))
  assert.deepEqual(times, times.toSorted())
  // Each of the 32 letters in each of the 16 places, and none much more often than another.
  for (let at = 14; at < 30; at++) {
    const counts = Map.groupBy(ids, (id) => id[at])
    assert.equal(counts.size, 32)
    for (const { length } of counts.values()) assert.ok(length > 200 && length < 430, String(length))
  }
})

test('the same bytes make the same id', () => {
  assert.equal(idFrom('req', 1_764_538_000_000, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 255])), 'req_01kbbaj8m0041061050r3gg2fz')
  assert.equal(idFrom('req', 0, new Uint8Array(12).fill(255, 2), 2), 'req_0000000000zzzzzzzzzzzzzzzz')
})
