import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutSecrets } from '../../src/webhooks/mask-secrets.ts'

const KEY = Buffer.alloc(32, 0xfb).toString('base64')
const standard = `whsec_${KEY}`
const given = 'a"b\\c/d+e=f&g<h>i-j_k?l%m1'

test('a secret is taken out in every form in which a receiver may repeat it', () => {
  const escaped = (text: string) => JSON.stringify(text).slice(1, -1)
  for (const [name, form] of Object.entries({
    whole: standard,
    'without whsec_': KEY,
    'without padding': KEY.replace('=', ''),
    'as some write JSON': standard.replaceAll('/', '\\/'),
    'without whsec_, as some write JSON': KEY.replaceAll('/', '\\/'),
    'in a URL': encodeURIComponent(standard),
    'without whsec_, in a URL': encodeURIComponent(KEY),
    'in a URL, in small letters': encodeURIComponent(KEY).replaceAll(/%../g, (byte) => byte.toLowerCase()),
    base64url: Buffer.from(KEY, 'base64').toString('base64url'),
    'whole, in base64url': `whsec_${Buffer.from(KEY, 'base64').toString('base64url')}`,
    'given: as it is': given,
    'given: in JSON': escaped(given),
    'given: as some write JSON': escaped(given).replaceAll('/', '\\/'),
    'given: in a URL': encodeURIComponent(given),
  })) {
    assert.match(withoutSecrets(`a ${form} b ${form}`, [given, standard]), /^a …=? b …=?$/, name)
  }
  assert.ok(KEY.includes('/') && KEY.includes('+'))
})

test('the beginning of a secret with which a text ends, since it was cut off, is taken out too', () => {
  for (const length of [8, 20, standard.length - 1]) assert.equal(withoutSecrets(`a ${standard.slice(0, length)}`, [standard]), 'a …')
  assert.equal(withoutSecrets(`a ${KEY.slice(0, 10)}`, [standard]), 'a …')
  assert.equal(withoutSecrets(`a ${standard.slice(0, 7)}`, [standard]), `a ${standard.slice(0, 7)}`, 'so little tells nothing')
})

test('other text stays, whatever the secret', () => {
  for (const secret of ['='.repeat(24), `abc${'='.repeat(24)}`, standard]) assert.equal(withoutSecrets('abc = def', [secret]), 'abc = def')
})
