import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { generateSecret } from '../../src/webhooks/secrets.ts'
import { signedHeaders } from '../../src/webhooks/sign.ts'

const body = Buffer.from('{"event":"BLOCK","data":{"who":"Zoë"}}')
const seconds = Math.floor(Date.now() / 1000)
const sign = (secrets: string[]) => signedHeaders(secrets, { id: 'evt_1', seconds, body })

test('the published vector of Standard Webhooks is signed as published', () => {
  const headers = signedHeaders(['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    seconds: 1614265330,
    body: Buffer.from('{"test": 2432232314}'),
  })
  assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  assert.deepEqual([headers['webhook-id'], headers['webhook-timestamp']], ['msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330'])
})

test('the official library verifies what is signed with a secret of the standard', () => {
  const secret = generateSecret()
  assert.deepEqual(new Webhook(secret).verify(body, sign([secret])), JSON.parse(body.toString()))
})

test('it verifies what is signed with any other secret, taken as raw bytes', () => {
  const secret = 'a-secret-that-I-made-up-myself!'
  assert.ok(new Webhook(secret, { format: 'raw' }).verify(body, sign([secret])))
})

test('with two secrets, whoever has either verifies it, the present one first', () => {
  const [present, previous] = [generateSecret(), generateSecret()] as const
  const headers = sign([present, previous])
  for (const secret of [present, previous]) assert.ok(new Webhook(secret).verify(body, headers))
  const alone = sign([present])
  for (const name of ['webhook-signature', 'x-earthflow-signature']) assert.ok(headers[name]?.startsWith(alone[name] ?? '-'))
  assert.equal(headers['webhook-signature']?.split(' ').length, 2)
  assert.equal(headers['x-earthflow-signature']?.split(',').length, 2)
})

test('another secret, id, time or byte of the body is not verified', () => {
  const secret = generateSecret()
  const headers = sign([secret])
  assert.throws(() => new Webhook(generateSecret()).verify(body, headers))
  assert.throws(() => new Webhook(secret).verify(body, { ...headers, 'webhook-id': 'evt_2' }))
  assert.throws(() => new Webhook(secret).verify(body, { ...headers, 'webhook-timestamp': String(seconds - 1) }))
  assert.throws(() => new Webhook(secret).verify(Buffer.concat([body, Buffer.from(' ')]), headers))
})

test('what openssl says of the body and the secret as it was shown is in x-earthflow-signature', () => {
  for (const secret of [generateSecret(), 'a-secret-that-I-made-up-myself!']) {
    const said = execFileSync('openssl', ['dgst', '-sha256', '-hmac', secret], { input: body }).toString()
    assert.equal(sign([secret])['x-earthflow-signature'], `sha256=${said.trim().split(' ').at(-1)}`)
  }
})
