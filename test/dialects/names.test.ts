import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nameAt, nameOf, spell, UNKNOWN_NAME } from '../../src/dialects/bodies/names.ts'

test('every name has one number, however it is spelled: a repeated member is known by it', () => {
  let count = 0
  for (let name = spell(0); name !== undefined; name = spell(++count)) {
    const bytes = Buffer.from(`"${name}"`)
    assert.equal(nameAt(bytes, 1, bytes.length - 1), count, name)
    assert.equal(nameOf(name), count, name)
  }
  assert.ok(count > 100)
  assert.equal(nameOf('constructor'), UNKNOWN_NAME)
})
