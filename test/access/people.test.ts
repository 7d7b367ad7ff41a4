import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { SignJWT } from 'jose'
import { createPeople } from '../../src/access/people.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import type { Database } from '../../src/db/connect.ts'
import { connect } from '../../src/db/connect.ts'
import { Failure } from '../../src/errors.ts'
import { newId } from '../../src/ids.ts'
import { managePeople, type PeopleManagement } from '../admin/people.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const PREFIX = 'ef_login_'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let nowhere: Database
  let api: PeopleManagement
  before(async () => {
    database = await open()
    nowhere = await connect({ kind: 'postgres', url: 'postgres://nobody:none@127.0.0.1:1/none' })
    api = managePeople(database)
  })
  after(async () => {
    await nowhere.close()
    await database.drop()
  })

  const me = (key: string) => api.ask('GET', '/v1/auth/me', { key })
  const keyringOf = () => createKeyring(database.db, [Buffer.alloc(32, 7)])

  test('a token that opened something opens it again without a statement', async () => {
    const { token } = await api.tokenOf('viewer')
    assert.equal((await me(token)).status, 200)
    api.state.statements = 0
    assert.equal((await me(token)).status, 200)
    assert.equal(api.state.statements, 0)
  })

  test('a token of every wrong kind is 401 with one text and costs not one statement', async () => {
    const { id, token } = await api.tokenOf('owner')
    assert.equal((await me(token)).status, 200)
    const [header, claims, digest] = token.slice(PREFIX.length).split('.')
    const { id: kid, key } = await keyringOf().loginKey()
    const { id: otherId, key: otherKey } = await keyringOf().sessionKey()
    const jti = JSON.parse(Buffer.from(claims, 'base64url').toString()).jti
    const at = Math.floor(api.clock.now / 1_000)
    const good = { jti, sub: id, aud: 'earthflow-login', iat: at, exp: at + 100 }
    const part = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
    const made = (head: unknown, body: unknown, secret: Buffer = key, algorithm = 'sha256'): string => {
      const text = `${part(head)}.${part(body)}`
      return `${PREFIX}${text}.${createHmac(algorithm, secret).update(text).digest('base64url')}`
    }
    const head = { alg: 'HS256', kid }
    assert.equal((await me(made(head, good))).status, 200, 'what follows differs from a good one in one thing')
    const { exp: _exp, ...withoutExp } = good
    const { jti: _jti, ...withoutJti } = good
    const { sub: _sub, ...withoutSub } = good
    const { aud: _aud, ...withoutAud } = good
    const { iat: _iat, ...withoutIat } = good
    const wrong: Record<string, string> = {
      'alg none': `${PREFIX}${part({ alg: 'none', kid })}.${part(good)}.`,
      'alg none with a signature': made({ alg: 'none', kid }, good),
      'alg HS512': made({ alg: 'HS512', kid }, good, key, 'sha512'),
      'alg in small letters': made({ alg: 'hs256', kid }, good),
      'another key': made(head, good, Buffer.alloc(32, 1)),
      'the key of sessions': made({ alg: 'HS256', kid: otherId }, good, otherKey),
      'the key of sessions under the right id': made(head, good, otherKey),
      'an empty key': made(head, good, Buffer.alloc(0)),
      'no kid': made({ alg: 'HS256' }, good),
      'a kid that is a path': made({ alg: 'HS256', kid: '../../x' }, good),
      'a kid that is SQL': made({ alg: 'HS256', kid: "' or 1=1 --" }, good),
      'a kid that is a number': made({ alg: 'HS256', kid: 1 }, good),
      'a kid that is nearly one of ours': made({ alg: 'HS256', kid: `${kid}0` }, good),
      'a critical extension': made({ ...head, crit: ['x'], x: 1 }, good),
      'missing exp': made(head, withoutExp),
      'missing jti': made(head, withoutJti),
      'missing sub': made(head, withoutSub),
      'missing aud': made(head, withoutAud),
      'missing iat': made(head, withoutIat),
      'iat that is text': made(head, { ...good, iat: String(at) }),
      'jti of a session': made(head, { ...good, jti: jti.replace('login_', 'ses_') }),
      'jti that is a list': made(head, { ...good, jti: [jti] }),
      'sub that is no id': made(head, { ...good, sub: `${id}'` }),
      'wrong aud': made(head, { ...good, aud: 'earthflow-session' }),
      expired: made(head, { ...good, exp: at }),
      'exp that is text': made(head, { ...good, exp: '9999999999' }),
      'not yet valid': made(head, { ...good, nbf: at + 1_000 }),
      'claims that are no object': made(head, '"x"'),
      'claims that are no JSON': made(head, '{'),
      'a header that is no JSON': made('{', good),
      'another sub': made(head, { ...good, sub: 'usr_other' }),
      'one character changed': `${token.slice(0, -2)}${token.at(-2) === 'A' ? 'B' : 'A'}${token.at(-1)}`,
      'claims of another': `${PREFIX}${header}.${part({ ...good, sub: 'usr_x' })}.${digest}`,
      'without its prefix': token.slice(PREFIX.length),
      truncated: token.slice(0, -1),
      longer: `${token}A`,
      'four parts': `${token}.x`,
      'only the prefix': PREFIX,
      'very long': `${PREFIX}${'a'.repeat(7_000)}.b.c`,
      SQL: `${PREFIX}'; drop table users; --`,
    }
    // The first key id that somebody invents makes the keys be read again; the test below counts that.
    assert.equal((await me(wrong['the key of sessions'])).status, 401)
    api.state.statements = 0
    const seen = new Set<string>()
    for (const [what, one] of Object.entries(wrong)) {
      const { status, json } = await me(one)
      assert.equal(status, 401, what)
      seen.add(json.message)
    }
    assert.equal(seen.size, 1)
    assert.equal(api.state.statements, 0)
    assert.deepEqual(api.reported, [])
  })

  test('key ids that somebody invents cost two statements in all, not one each', async () => {
    const api = managePeople(database) // Nobody has invented any there yet.
    const me = (key: string) => api.ask('GET', '/v1/auth/me', { key })
    const { token } = await api.tokenOf('viewer')
    assert.equal((await me(token)).status, 200)
    api.state.statements = 0
    for (let i = 0; i < 50; i++) {
      const jwt = await new SignJWT({})
        .setProtectedHeader({ alg: 'HS256', kid: newId('dk') })
        .setExpirationTime('1h')
        .sign(Buffer.alloc(32))
      assert.equal((await me(PREFIX + jwt)).status, 401)
    }
    assert.ok(api.state.statements > 0 && api.state.statements <= 2, String(api.state.statements))
  })

  test('a token of a login that has ended is asked about once in five seconds', async () => {
    const { id, token } = await api.tokenOf('viewer')
    await database.sql`delete from logins where user_id = ${id}`
    api.state.statements = 0
    for (let i = 0; i < 5; i++) assert.equal((await me(token)).status, 401)
    assert.equal(api.state.statements, 1)
    api.clock.now += 5_000
    assert.equal((await me(token)).status, 401)
    assert.equal(api.state.statements, 2)
  })

  test('a database that is away is no wrong token, and is asked again when it is back', async () => {
    const { token } = await api.tokenOf('viewer')
    let isAway = true
    const db = new Proxy(database.db, { get: (target, name, receiver) => Reflect.get(isAway ? nowhere.db : target, name, receiver) })
    const people = createPeople({ db, keyring: keyringOf(), oidc: null, now: () => api.clock.now })
    await assert.rejects(
      async () => people.find(token),
      (error) => error instanceof Failure && error.reason === 'unavailable',
    )
    const withoutKeys = createPeople({ db, keyring: createKeyring(nowhere.db, [Buffer.alloc(32, 7)]), oidc: null, now: () => api.clock.now })
    await assert.rejects(
      async () => withoutKeys.find(token),
      (error) => error instanceof Failure && error.reason === 'unavailable',
    )
    isAway = false
    assert.equal((await people.find(token))?.role, 'viewer')
  })

  test('what was read before a change is not kept after it', async () => {
    const { id, token } = await api.tokenOf('viewer')
    let forgetNow = (): void => {}
    const keyring = keyringOf()
    await keyring.loginKey()
    const db = new Proxy(database.db, {
      get(target, name, receiver) {
        if (name === 'select') queueMicrotask(() => forgetNow())
        return Reflect.get(target, name, receiver)
      },
    })
    const people = createPeople({ db, keyring, oidc: null, now: () => api.clock.now })
    forgetNow = () => people.forget(null)
    assert.equal((await people.find(token))?.id, id)
    forgetNow = () => {}
    await database.sql`update users set active = false where id = ${id}`
    assert.equal(await people.find(token), null)
  })
})
