import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPrefix, isWellFormed, keyPattern, mintKey, prefixOf } from '../../src/access/key-format.ts'

test('a minted key has the published shape, and no two are alike', () => {
  const keys = Array.from({ length: 2_000 }, (_, i) => mintKey(i % 2 === 0 ? 'live' : 'test'))
  for (const key of keys) {
    assert.match(key, /^ef_(live|test)_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}$/)
    assert.equal(isWellFormed(key), true)
    assert.equal(keyPattern.exec(`key=${key}, and more`)?.[0], key)
  }
  assert.equal(new Set(keys.map(prefixOf)).size, keys.length)
})

test('every character of a secret is as likely as every other', () => {
  const counts = new Map<string, number>()
  const drawn = 4_000 * 32
  for (let i = 0; i < 4_000; i++) for (const character of mintKey('live').slice(17, 49)) counts.set(character, (counts.get(character) ?? 0) + 1)
  const expected = drawn / 62
  const chiSquare = [...counts.values()].reduce((sum, seen) => sum + (seen - expected) ** 2 / expected, 0)
  assert.equal(counts.size, 62)
  assert.ok(chiSquare < 150, `chi-square ${chiSquare} with 61 degrees of freedom`) // 1 in 10⁹ by chance
})

test('one wrong character anywhere in a key is noticed by shape or checksum', () => {
  const key = mintKey('live')
  for (let i = 0; i < key.length; i++) {
    for (const other of ['0', 'Z', 'q', '_', '\0', 'é']) {
      if (key[i] !== other) assert.equal(isWellFormed(key.slice(0, i) + other + key.slice(i + 1)), false, `${other} at ${i}`)
    }
  }
})

test('of 100,000 minted keys each is found by the published pattern in any text, and a wrong character in it is noticed', () => {
  const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  const around = [(key: string) => key, (key: string) => `{"k":"${key}"}`, (key: string) => `Bearer ${key}\n`, (key: string) => `KEY=${key};`]
  const missed: string[] = []
  for (let i = 0; i < 100_000; i++) {
    const key = mintKey(i % 2 === 0 ? 'live' : 'test')
    const at = 8 + ((i * 7) % (key.length - 8))
    const typo = `${key.slice(0, at)}${base62[(base62.indexOf(key[at]) + 1 + (i % 61)) % 62]}${key.slice(at + 1)}`
    if (keyPattern.exec(around[i % around.length](key))?.[0] !== key || isWellFormed(typo)) missed.push(`${key}, changed at ${at}`)
  }
  assert.deepEqual(missed, [])
})

test('text that is no key is refused by its shape', () => {
  const key = mintKey('live')
  for (const text of [
    '',
    ' ',
    "' OR 1=1--",
    "x'||pg_sleep(5)--",
    'k'.repeat(16_384),
    '\0',
    '🔑',
    ` ${key}`,
    `${key} `,
    `${key}\n`,
    key.slice(1),
    `${key}0`,
    key.toUpperCase(),
  ]) {
    assert.equal(isWellFormed(text), false)
  }
})

test('the prefix of a key is what may be shown of it', () => {
  const key = mintKey('test')
  assert.equal(prefixOf(key), key.slice(0, 16))
  assert.equal(isPrefix(prefixOf(key)), true)
  for (const text of ['', 'ef_live_', key, 'ef_prod_12345678', 'ef_live_1234567%']) assert.equal(isPrefix(text), false)
})
