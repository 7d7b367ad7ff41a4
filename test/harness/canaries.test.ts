import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import postgres from 'postgres'
import { parseMasterKeys } from '../../src/crypto/master-key.ts'
import { createServerDatabase, withoutServer } from '../db/engines.ts'
import { createCanaries } from './canaries.ts'
import { canaryMasterKey, newCanaryWord } from './canary-word.ts'
import { createFinder, formsOfSecret } from './find-canaries.ts'
import { filesOf, tablesOf } from './places.ts'

const SECRET = `sk-${randomBytes(16).toString('hex')}`
const PROMPT = 'The patient Jane Roe was told on Monday'
const CALL = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: [{ type: 'text', text: PROMPT }] }] })
const answer = (text: string, headers: Record<string, string> = {}) => ({ text, headers: new Headers(headers) })
const place = (text: string | Buffer, isWritten = false) => [{ name: 'the log', bytes: Buffer.from(text as string), isWritten }]

test('a leak planted in a log line is found, and is told by kind and place, never by its text', async () => {
  const canaries = createCanaries()
  canaries.secret('a key', SECRET)
  canaries.call('/v1/chat/completions', CALL)
  await canaries.check(place(`{"message":"nothing","count":1}\n`.repeat(50)))
  await assert.rejects(canaries.check(place(`{"message":"bad key ${SECRET}"}`)), ({ message }: Error) => {
    assert.match(message, /a key in the log$/)
    return !message.includes(SECRET)
  })
  await assert.rejects(canaries.check(place(`{"level":"DEBUG","text":${JSON.stringify(`said: ${PROMPT}!`)}}`)), ({ message }: Error) => {
    assert.match(message, /text 1 of a call in the log$/)
    return !message.includes('Jane')
  })
})

test('a secret is found wherever it stands, as it is, in JSON, in hex, in base64 and base64url beside anything', () => {
  for (let round = 0; round < 200; round++) {
    const secret = randomBytes(12 + (round % 7)).toString('base64')
    const found = createFinder([{ kind: 'x', forms: formsOfSecret(secret) }])
    const around = (inner: string, encoding: BufferEncoding = 'utf8') => randomBytes(round).toString('latin1') + Buffer.from(inner).toString(encoding)
    const beside = `${'a'.repeat(round % 5)}${secret}${'b'.repeat(round % 4)}`
    const written = [around(secret), around(JSON.stringify({ secret })), around(secret, 'hex'), around(beside, 'base64'), around(beside, 'base64url')]
    for (const [form, text] of written.entries()) assert.equal(found(Buffer.from(text)).size, 1, `form ${form} of a secret of ${secret.length}, round ${round}`)
    assert.equal(found(Buffer.from(randomBytes(400).toString('base64'))).size, 0)
  }
})

test('of a long prompt its beginning and its end are found; single words, short texts and what is said about a message are not sought', async () => {
  const canaries = createCanaries()
  const long = `It began on a ${'very '.repeat(100)} long "Tuesday" and ended\n with a kiss of the widow`
  const about = { role: 'user', id: 'an identifier with spaces in it', content: long }
  canaries.call(
    '/v1/messages',
    JSON.stringify({ messages: [about, { role: 'user', content: 'averyveryverylongword' }, { role: 'user', content: 'too short' }] }),
  )
  for (const part of [long.slice(0, 60), long.slice(-60), JSON.stringify(long)]) await assert.rejects(canaries.check(place(part)), /of a call in the log/)
  await canaries.check(place('averyveryverylongword, too short, an identifier with spaces in it'))
})

test('what a tenant is asked to keep is no leak of a prompt, and tables of rules and names are searched for secrets alone', async () => {
  const canaries = createCanaries()
  canaries.call('/v1/chat/completions', CALL)
  await canaries.check(place(PROMPT, true))
  canaries.management('/v1/rules', { name: 'jane', condition: { operator: 'contains', value: PROMPT } }, answer('{}'))
  await canaries.check(place(PROMPT))
  canaries.secret('a key', SECRET)
  await assert.rejects(canaries.check(place(SECRET, true)), /a key in the log/)
})

test('what a route judges or hashes is a prompt, and what another is told or answers as a secret is one: keys without their prefix, tokens, cookies', async () => {
  const canaries = createCanaries()
  const [credential, token, cookie, rest] = [1, 2, 3, 4].map(() => randomBytes(19).toString('hex'))
  canaries.management('/v1/rules/test', { text: PROMPT }, answer('{}'))
  canaries.management(
    '/v1/upstreams',
    { credential },
    answer(JSON.stringify({ token, api_key: `ef_test_12345678_${rest}` }), { 'set-cookie': `login=${cookie}; Secure` }),
  )
  for (const leak of [PROMPT, credential, token, cookie, rest]) await assert.rejects(canaries.check(place(`x ${leak} x`)), /was found/)
  await canaries.check(place('ef_test_12345678'))
})

test('a canary that could be found by chance is refused', () => {
  assert.throws(() => createCanaries().secret('a key', 'hunter2'), /16 bytes or more/)
})

test('a master key that carries the word is one, and the word is letters and digits', () => {
  const word = newCanaryWord()
  assert.match(word, /^canary[0-9A-Za-z]{18}$/)
  const key = canaryMasterKey(word)
  assert.ok(key.startsWith(word))
  assert.equal(parseMasterKeys(key)[0]?.toString('base64url'), key)
})

test('every file of the data folder is read but those that keep secrets on purpose', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-places-'))
  try {
    mkdirSync(join(dir, 'spool', 'deep'), { recursive: true })
    for (const path of ['secrets', 'demo', 'spool/deep/1.log']) writeFileSync(join(dir, path), SECRET)
    assert.deepEqual(
      [...filesOf(dir)].map(({ name }) => name),
      ['spool/deep/1.log'],
    )
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('every table of a database is read, text and bytes', { skip: withoutServer }, async () => {
  const database = await createServerDatabase()
  const sql = postgres(database.url, { max: 1, onnotice: () => {} })
  try {
    await sql`create table leaking (said text, raw bytea, made jsonb)`
    const canaries = createCanaries()
    canaries.secret('a key', SECRET)
    canaries.call('', CALL)
    await canaries.check(await tablesOf(database.url))
    for (const row of [{ said: SECRET }, { raw: Buffer.from(`x${SECRET}`) }, { raw: Buffer.from(`xx ${PROMPT}`) }, { made: { deep: [PROMPT] } }]) {
      await sql`truncate leaking`
      await sql`insert into leaking ${sql(row as { said: string })}`
      await assert.rejects(canaries.check(await tablesOf(database.url)), /in table leaking/, Object.keys(row).join())
    }
  } finally {
    await sql.end()
    await database.drop()
  }
})
