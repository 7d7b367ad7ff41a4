import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose'
import { createOidc, type Oidc } from '../../src/access/oidc.ts'
import type { OidcSettings } from '../../src/access/oidc-claims.ts'
import { scopesOf } from '../../src/access/roles.ts'
import { insertTenant } from '../../src/access/tenants.ts'
import type { Db } from '../../src/db/connect.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'

const AUDIENCE = 'earthflow-of-acme'

/** An identity provider on loopback. */
async function openProvider() {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const state = {
    asked: [] as string[],
    keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }] as JWK[],
    answer: null as null | string,
    status: 200,
    /** Where the keys lie. */
    path: '/keys',
  }
  const server = createServer((request, response) => {
    state.asked.push(request.url ?? '')
    response.statusCode = state.status
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    if (state.answer !== null) response.end(state.answer)
    else if (request.url === '/.well-known/openid-configuration') response.end(JSON.stringify({ issuer: address, jwks_uri: `${address}${state.path}` }))
    else if (request.url === state.path) response.end(JSON.stringify({ keys: state.keys }))
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { issuer, privateKey, publicKey, state, close: () => new Promise((resolve) => server.close(resolve)) }
}

type Provider = Awaited<ReturnType<typeof openProvider>>

test('people of an identity provider', async (t) => {
  let database: TestDatabase
  let provider: Provider
  before(async () => {
    database = await openTestDatabase('pglite')
    provider = await openProvider()
  })
  after(async () => {
    await provider.close()
    await database.drop()
  })

  const clock = { now: Date.now() }
  const count = { statements: 0 }
  const settingsOf = (more: Partial<OidcSettings> = {}): OidcSettings => ({
    issuer: provider.issuer,
    audience: AUDIENCE,
    algorithms: ['RS256'],
    role_claim: 'roles',
    roles: { admins: 'owner', writers: 'rule_author', readers: 'viewer' },
    tenant: '*',
    ...more,
  })
  const open = (more: Partial<OidcSettings> = {}): Oidc => {
    provider.state.asked.length = 0
    Object.assign(provider.state, { answer: null, status: 200, path: '/keys' })
    const db = new Proxy(database.db, {
      get(target, name, receiver) {
        if (name === 'select') count.statements++
        return Reflect.get(target, name, receiver)
      },
    }) as Db
    return createOidc({ issuers: [settingsOf(more)], fetch: (url, signal) => fetch(url, { signal, redirect: 'manual' }), db, now: () => clock.now })
  }
  const at = (): number => Math.floor(clock.now / 1_000)
  const claims = (more: Record<string, unknown> = {}) => ({
    iss: provider.issuer,
    aud: AUDIENCE,
    sub: 'subject-1',
    iat: at(),
    exp: at() + 3_600,
    roles: 'writers',
    email: 'Ada@Example.com',
    email_verified: true,
    name: 'Ada',
    ...more,
  })
  const sign = (payload: Record<string, unknown>, header: Record<string, unknown> = {}, key: CryptoKey = provider.privateKey): Promise<string> =>
    new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header }).sign(key)
  const newTenant = async (active = true): Promise<string> => (await database.db.transaction((tx) => insertTenant(tx, { name: 'Acme', active }))).id
  const isUnavailable = (error: unknown): boolean => error instanceof Failure && error.reason === 'unavailable'
  const isForbidden = (error: unknown): boolean => error instanceof Refusal && error.reason === 'forbidden'

  await t.test('a good token is a person of the role and the tenant that its claims say, with discovered keys', async () => {
    const person = await open().find(await sign(claims()))
    assert.match(person?.id ?? '', /^sso_[\w-]{22}$/)
    assert.deepEqual(person, {
      id: person?.id,
      email: 'ada@example.com',
      name: 'Ada',
      role: 'rule_author',
      tenantId: null,
      scopes: scopesOf('rule_author', null),
      loginId: null,
    })
    assert.deepEqual(provider.state.asked, ['/.well-known/openid-configuration', '/keys'])
    assert.equal((await open({ jwks_uri: `${provider.issuer}/keys` }).find(await sign(claims({ email: undefined, name: undefined }))))?.email, 'sso:subject-1')
    assert.deepEqual(provider.state.asked, ['/keys'])
  })

  await t.test('every token that is not quite right opens nothing, and none of them needs the database', async () => {
    const oidc = open()
    assert.ok(await oidc.find(await sign(claims())))
    const { privateKey: stranger } = await generateKeyPair('RS256')
    const { privateKey: elliptic } = await generateKeyPair('ES256')
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const byHand = (header: unknown, payload: unknown, secret: string): string => {
      const text = `${part(header)}.${part(payload)}`
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
    }
    const good = await sign(claims())
    const wrong: Record<string, string> = {
      'alg none': `${part({ alg: 'none', kid: 'k1' })}.${part(claims())}.`,
      'alg none with a signature': byHand({ alg: 'none', kid: 'k1' }, claims(), 'x'),
      'HS256 with the public key as its secret': byHand({ alg: 'HS256', kid: 'k1' }, claims(), await exportSPKI(provider.publicKey)),
      'HS256 with the public key as its secret, called RS256': byHand({ alg: 'RS256', kid: 'k1' }, claims(), await exportSPKI(provider.publicKey)),
      'another algorithm': await sign(claims(), { alg: 'ES256' }, elliptic),
      'another key': await sign(claims(), {}, stranger),
      'a key of its own in the header': await sign(claims(), { jwk: provider.state.keys[0] }, stranger),
      'keys of its own by address': await sign(claims(), { jku: 'http://127.0.0.1:1/keys' }, stranger),
      'an unknown kid': await sign(claims(), { kid: 'k2' }),
      'a kid that is a path': await sign(claims(), { kid: '../../x' }),
      'a kid that is endless': await sign(claims(), { kid: 'k'.repeat(300) }),
      'missing exp': await sign(claims({ exp: undefined })),
      'missing iat': await sign(claims({ iat: undefined })),
      'missing sub': await sign(claims({ sub: undefined })),
      'an empty sub': await sign(claims({ sub: '' })),
      'missing aud': await sign(claims({ aud: undefined })),
      'wrong aud': await sign(claims({ aud: 'somebody-else' })),
      'wrong iss': await sign(claims({ iss: `${provider.issuer}/` })),
      'missing iss': await sign(claims({ iss: undefined })),
      'iss that is an object': await sign(claims({ iss: { toString: 'x' } })),
      expired: await sign(claims({ iat: at() - 4_000, exp: at() - 31 })),
      'not yet valid': await sign(claims({ nbf: at() + 31 })),
      'older than a day': await sign(claims({ iat: at() - 86_400 - 31, exp: at() + 3_600 })),
      'claims of another': `${good.split('.')[0]}.${part(claims({ roles: 'admins' }))}.${good.split('.')[2]}`,
      'one megabyte': await sign(claims({ filling: 'x'.repeat(1 << 20) })),
      'no token': 'a.b.c',
      'two parts': good.split('.').slice(0, 2).join('.'),
    }
    count.statements = 0
    for (const [what, token] of Object.entries(wrong)) assert.equal(await oidc.find(token), null, what)
    assert.equal(count.statements, 0)
    assert.deepEqual(provider.state.asked, ['/.well-known/openid-configuration', '/keys'])
  })

  await t.test('clocks may differ by half a minute', async () => {
    const oidc = open()
    assert.ok(await oidc.find(await sign(claims({ exp: at() - 29 }))))
    assert.ok(await oidc.find(await sign(claims({ nbf: at() + 29, iat: at() + 29 }))))
  })

  await t.test('fifty good tokens and twenty of unknown keys make the keys be fetched once', async () => {
    const oidc = open({ jwks_uri: `${provider.issuer}/keys` })
    const tokens = await Promise.all([
      ...Array.from({ length: 50 }, (_, i) => sign(claims({ sub: `s${i}` }))),
      ...Array.from({ length: 20 }, (_, i) => sign(claims(), { kid: `unknown-${i}` })),
    ])
    const found = await Promise.all(tokens.map((token) => oidc.find(token)))
    assert.equal(found.filter((person) => person !== null).length, 50)
    assert.deepEqual(provider.state.asked, ['/keys'])
  })

  const description = '/.well-known/openid-configuration'

  await t.test('keys that have grown old are looked for where the provider says then, once for all who ask', async () => {
    const oidc = open()
    assert.ok(await oidc.find(await sign(claims())))
    provider.state.path = '/moved'
    provider.state.asked.length = 0
    clock.now += 600_000 - 1
    assert.ok(await oidc.find(await sign(claims())))
    assert.deepEqual(provider.state.asked, [])
    clock.now += 1
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => sign(claims({ sub: `s${i}` }))))
    for (const person of await Promise.all(tokens.map((token) => oidc.find(token)))) assert.ok(person)
    assert.deepEqual(provider.state.asked, [description, '/moved'])
  })

  await t.test('keys that are not where they were said to be are looked for anew after a pause, without a restart', async () => {
    const oidc = open()
    provider.state.path = '/elsewhere'
    provider.state.answer = JSON.stringify({ issuer: provider.issuer, jwks_uri: `${provider.issuer}/keys` })
    const token = await sign(claims())
    await assert.rejects(async () => oidc.find(token), isUnavailable)
    provider.state.answer = null
    provider.state.asked.length = 0
    clock.now += 5_000 - 1
    await assert.rejects(async () => oidc.find(token), isUnavailable)
    assert.deepEqual(provider.state.asked, [])
    clock.now += 1
    assert.ok(await oidc.find(token))
    assert.deepEqual(provider.state.asked, [description, '/elsewhere'])
  })

  await t.test('a new key at a new place is found, at most once a minute, and keys that are kept outlive a provider that is down', async () => {
    const oidc = open()
    const unknown = await sign(claims(), { kid: 'unknown' })
    assert.ok(await oidc.find(await sign(claims())))
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
    const before = provider.state.keys
    provider.state.keys = [...before, { ...(await exportJWK(publicKey)), kid: 'k2', alg: 'RS256', use: 'sig' }]
    provider.state.path = '/moved'
    provider.state.asked.length = 0
    const signedAnew = await sign(claims(), { kid: 'k2' }, privateKey)
    clock.now += 60_000 - 1
    assert.equal(await oidc.find(signedAnew), null)
    assert.deepEqual(provider.state.asked, [])
    clock.now += 1
    assert.ok(await oidc.find(signedAnew))
    for (let i = 0; i < 5; i++) assert.equal(await oidc.find(unknown), null)
    assert.deepEqual(provider.state.asked, [description, '/moved'])

    provider.state.status = 500
    clock.now += 60_000
    for (let i = 0; i < 5; i++) await assert.rejects(async () => oidc.find(unknown), isUnavailable)
    assert.equal(provider.state.asked.length, 3)
    assert.ok(await oidc.find(await sign(claims({ sub: 'somebody else' }))))
    provider.state.keys = before
  })

  await t.test('a provider that is down, or answers nonsense or endlessly, is 503 and never 401, and is not asked for every token', async () => {
    const token = await sign(claims())
    const answers: [string, Partial<typeof provider.state>][] = [
      ['an error', { status: 500 }],
      ['a redirect', { status: 302 }],
      ['no JSON', { answer: '<html>' }],
      ['no keys', { answer: '{"keys": 1}' }],
      ['endless', { answer: JSON.stringify({ keys: [], filling: 'x'.repeat(300 << 10) }) }],
    ]
    for (const [what, answer] of answers) {
      const oidc = open({ jwks_uri: `${provider.issuer}/keys` })
      Object.assign(provider.state, answer)
      for (let i = 0; i < 5; i++) await assert.rejects(async () => oidc.find(token), isUnavailable, what)
      assert.equal(provider.state.asked.length, 1, what)
      Object.assign(provider.state, { answer: null, status: 200 })
      clock.now += 5_000
      assert.ok(await oidc.find(token), what)
    }
    const nowhere = createOidc({ issuers: [settingsOf()], fetch: () => Promise.reject(new TypeError('fetch failed')), db: database.db, now: () => clock.now })
    await assert.rejects(async () => nowhere.find(token), isUnavailable)
  })

  await t.test('a provider that publishes what is no public key is 503, and its other keys go on', async () => {
    const oidc = open()
    const before = provider.state.keys
    provider.state.keys = [...before, { ...(await exportJWK(provider.privateKey)), kid: 'private', alg: 'RS256', use: 'sig' }]
    const token = await sign(claims(), { kid: 'private' })
    await assert.rejects(async () => oidc.find(token), isUnavailable)
    assert.ok(await oidc.find(await sign(claims())))
    provider.state.keys = before
  })

  await t.test('a description of another issuer, or one that sends us elsewhere, is not believed', async () => {
    const token = await sign(claims())
    for (const document of [
      { issuer: 'https://evil.example', jwks_uri: `${provider.issuer}/keys` },
      { issuer: provider.issuer, jwks_uri: 'file:///etc/passwd' },
      { issuer: provider.issuer },
      null,
    ]) {
      const oidc = open()
      provider.state.answer = JSON.stringify(document)
      await assert.rejects(async () => oidc.find(token), isUnavailable, JSON.stringify(document))
      assert.equal(provider.state.asked.length, 1)
    }
    const secure = createOidc({
      issuers: [settingsOf({ issuer: 'https://idp.example' })],
      fetch: async () => Response.json({ issuer: 'https://idp.example', jwks_uri: `${provider.issuer}/keys` }),
      db: database.db,
      now: () => clock.now,
    })
    const forIt = await sign(claims({ iss: 'https://idp.example' }))
    await assert.rejects(async () => secure.find(forIt), isUnavailable, 'keys without TLS of an issuer with it')
  })

  await t.test('of several roles the strongest counts, and whoever has none is told so', async () => {
    const oidc = open()
    const roleOf = async (roles: unknown) => (await oidc.find(await sign(claims({ roles }))))?.role
    assert.equal(await roleOf(['readers', 'admins', 'writers', 7]), 'owner')
    assert.equal(await roleOf('readers'), 'viewer')
    for (const none of [undefined, [], 'owner', ['Admins'], { admins: true }, '__proto__', 'constructor'])
      await assert.rejects(roleOf(none), isForbidden, String(none))
    const nested = open({ role_claim: 'realm_access.roles' })
    assert.equal((await nested.find(await sign(claims({ realm_access: { roles: ['readers'] } }))))?.role, 'viewer')
  })

  await t.test('a tenant comes from a claim by the map or by its id, and must be there and active', async () => {
    const [id, closed] = [await newTenant(), await newTenant(false)]
    const tenantOf = async (oidc: Oidc, org: unknown) => (await oidc.find(await sign(claims({ org, roles: 'admins' }))))?.tenantId
    const byId = open({ tenant: undefined, tenant_claim: 'org' })
    assert.equal(await tenantOf(byId, id), id)
    for (const wrong of [undefined, '', '*', 't_unknown', closed, [id], 'x\0y']) await assert.rejects(tenantOf(byId, wrong), isForbidden, String(wrong))
    const byMap = open({ tenant: undefined, tenant_claim: 'org', tenants: { acme: id, all: '*', gone: closed } })
    assert.equal(await tenantOf(byMap, 'acme'), id)
    assert.equal(await tenantOf(byMap, 'all'), null)
    for (const wrong of [id, 'gone', 'toString', '*']) await assert.rejects(tenantOf(byMap, wrong), isForbidden, wrong)
    const fixed = open({ tenant: id })
    const person = await fixed.find(await sign(claims({ roles: 'admins' })))
    assert.deepEqual([person?.tenantId, person?.scopes.has('tenants:write'), person?.scopes.has('users:write')], [id, false, true])
  })

  await t.test('a token that was verified costs nothing again until it expires, and a tenant that is closed ends it at once', async () => {
    const id = await newTenant()
    const oidc = open({ tenant: id, jwks_uri: `${provider.issuer}/keys` })
    const token = await sign(claims({ exp: at() + 60 }))
    assert.ok(await oidc.find(token))
    const before = [count.statements, provider.state.asked.length]
    assert.ok(await oidc.find(token))
    assert.deepEqual([count.statements, provider.state.asked.length], before)
    await database.sql`update tenants set active = false where id = ${id}`
    oidc.forget(id)
    await assert.rejects(async () => oidc.find(token), isForbidden)
    await database.sql`update tenants set active = true where id = ${id}`
    oidc.forget(id)
    assert.ok(await oidc.find(token))
    clock.now += 91_000
    assert.equal(await oidc.find(token), null)
  })

  await t.test('nobody is called what somebody else is called in the audit log', async () => {
    const oidc = open()
    const emailOf = async (more: Record<string, unknown>) => (await oidc.find(await sign(claims(more))))?.email
    assert.equal(await emailOf({ email: 'admin', sub: 'admin' }), 'sso:admin')
    assert.equal(await emailOf({ email: 'ceo@example.com' }), 'ceo@example.com')
    for (const not of [false, undefined, null, 'true', 1, {}])
      assert.equal(await emailOf({ email: 'ceo@example.com', email_verified: not }), 'sso:subject-1', String(not))
    assert.equal(await emailOf({ email: 'a@example.com\nadmin' }), 'sso:subject-1')
    assert.equal(await emailOf({ email: ['a@example.com'] }), 'sso:subject-1')
  })
})
