import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { generateMasterKey, masterKeyId, parseMasterKeys } from '../../src/crypto/master-key.ts'

test('a generated key reads back, with and without its padding, and looks like a Fernet key', () => {
  const key = generateMasterKey()
  assert.match(key, /^[A-Za-z0-9_-]{43}=$/)
  assert.equal(parseMasterKeys(key)[0]!.length, 32)
  assert.deepEqual(parseMasterKeys(key.slice(0, -1)), parseMasterKeys(key))
})

test('a list keeps its order, and spaces around its commas do not matter', () => {
  const [first, second] = [generateMasterKey(), generateMasterKey()]
  const ids = parseMasterKeys(` ${first} , ${second}`).map(masterKeyId)
  assert.deepEqual(ids, [parseMasterKeys(first)[0]!, parseMasterKeys(second)[0]!].map(masterKeyId))
  assert.notEqual(ids[0], ids[1])
})

const good = generateMasterKey()
const refused: [what: string, value: string][] = [
  ['nothing', ''],
  ['a short key', randomBytes(31).toString('base64url')],
  ['a long key', randomBytes(33).toString('base64url')],
  ['standard base64', Buffer.from('fbff'.repeat(16), 'hex').toString('base64')],
  ['hex', randomBytes(32).toString('hex')],
  ['a sentence', 'correct horse battery staple correct horse!!'],
  ['an empty entry', `${good},`],
  ['a second bad entry', `${good},hunter2hunter2`],
  ['a key that is not random', Buffer.alloc(32, 7).toString('base64url')],
  ['bits beyond the 32 bytes', `${good.slice(0, 42)}${good[42] === 'B' ? 'D' : 'B'}`],
  ['the same key twice', `${good},${good}`],
  ['eleven keys', Array.from({ length: 11 }, generateMasterKey).join()],
]

for (const [what, value] of refused) {
  test(`${what} is refused with a sentence that does not repeat it`, () => {
    assert.throws(
      () => parseMasterKeys(value),
      ({ message }: Error) => {
        assert.match(message, /EARTHFLOW_MASTER_KEY/)
        for (const entry of value.split(',')) assert.ok(entry === '' || !message.includes(entry))
        return true
      },
    )
  })
}

test('the second of two keys is named as the bad one', () => {
  assert.throws(() => parseMasterKeys(`${good},nope`), /^Error: Key 2 of EARTHFLOW_MASTER_KEY/)
})
