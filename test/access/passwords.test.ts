import assert from 'node:assert/strict'
import { scryptSync } from 'node:crypto'
import { test } from 'node:test'
import { createPasswords, whyNotPassword } from '../../src/access/passwords.ts'
import { Failure } from '../../src/errors.ts'

const PASSWORD = 'four words nobody says'
const passwords = createPasswords()

test('a password is kept as scrypt with its parameters and a salt of its own, and verified by them', async () => {
  const [one, two] = [await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)]
  assert.notEqual(one, two)
  const [name, cost, block, parallel, salt, key] = one.split('$')
  assert.deepEqual([name, cost, block, parallel], ['scrypt', '32768', '8', '1'])
  const expected = scryptSync(PASSWORD, Buffer.from(salt, 'base64url'), 32, { N: 32_768, r: 8, p: 1, maxmem: 128 << 20 })
  assert.equal(key, expected.toString('base64url'))
  assert.equal(await passwords.verify(PASSWORD, one), true)
  assert.equal(await passwords.verify(`${PASSWORD} `, one), false)
})

test('a password is the same however its letters were composed', async () => {
  const stored = await passwords.hash('Ångström across the café')
  assert.equal(await passwords.verify('A\u030angstro\u0308m across the cafe\u0301', stored), true)
})

test('no stored text that is damaged, or asks for too little or too much, opens anything', async () => {
  const salt = Buffer.alloc(16)
  const of = (cost: number, block = 8): string => {
    const key = scryptSync(PASSWORD, salt, 32, { N: cost, r: block, p: 1, maxmem: 128 << 20 })
    return ['scrypt', cost, block, 1, salt.toString('base64url'), key.toString('base64url')].join('$')
  }
  const good = of(16_384)
  assert.equal(await passwords.verify(PASSWORD, good), true)
  const wrong = [null, 'plain', of(1_024), of(16_384, 1), good.replace('16384', '16385'), good.slice(0, -1)]
  for (const stored of wrong) assert.equal(await passwords.verify(PASSWORD, stored), false, String(stored))
})

test('beyond the queue nobody waits, and whoever waited is served', async () => {
  const { verify } = createPasswords({ waitingMax: 1 })
  const all = await Promise.allSettled(Array.from({ length: 5 }, () => verify('x', null)))
  assert.deepEqual(
    all.map((one) => (one.status === 'fulfilled' ? one.value : one.reason instanceof Failure && one.reason.reason)),
    [false, false, false, 'unavailable', 'unavailable'],
  )
  assert.equal(await verify('x', null), false)
})

test('the rule for new passwords counts characters as people see them', () => {
  assert.equal(whyNotPassword('😀😁😂🤣😃😄😅😆😉😊😋😎', 'a@example.com'), null)
  assert.match(whyNotPassword('😀😁😂🤣😃😄', 'a@example.com') ?? '', /at least 12/)
  assert.match(whyNotPassword('ＬＯＮＧ＠ｅｘａｍｐｌｅ．ｃｏｍ', 'long@example.com') ?? '', /e-mail address/)
})
