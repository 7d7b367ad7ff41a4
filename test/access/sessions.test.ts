import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { changeAgent, insertAgent } from '../../src/access/agents.ts'
import { issueKey, type NewKey, revokeKey } from '../../src/access/key-store.ts'
import { createKeys } from '../../src/access/keys.ts'
import { type Profile, profileNames, profiles } from '../../src/access/profiles.ts'
import { openQuarantine } from '../../src/access/quarantines.ts'
import { endSession, findKeyId, findSession, insertSession } from '../../src/access/session-store.ts'
import { looksLikeSession } from '../../src/access/session-token.ts'
import { createSessions, type MintedSession, type Sessions } from '../../src/access/sessions.ts'
import { changeTenant, insertTenant } from '../../src/access/tenants.ts'
import { createKeyring, type Keyring } from '../../src/crypto/keyring.ts'
import { connect, type Database, type Db } from '../../src/db/connect.ts'
import { eq } from '../../src/db/drizzle.ts'
import { sessions as rows } from '../../src/db/schema.ts'
import { Failure } from '../../src/errors.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { callerOf, tenantLimitedTo } from '../harness/nouns.ts'

const DEFAULT_RPM = 1_000
const newKey: NewKey = { name: 'a key', scopes: ['proxy:write'], expiresAt: null }
const NOW = Date.UTC(2026, 10, 20, 12, 0, 30, 250)

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let nowhere: Database
  before(async () => {
    database = await open()
    nowhere = await connect({ kind: 'postgres', url: 'postgres://nobody:none@127.0.0.1:1/none' })
  })
  after(async () => {
    await nowhere.close()
    await database.drop()
  })

  /** A tenant, and sessions whose statements are counted and whose database can be taken away. */
  async function given() {
    const clock = { now: NOW }
    const state = { away: false, statements: 0 }
    const db = new Proxy(database.db, {
      get(target, name, receiver) {
        if (name === 'select' || name === 'execute') state.statements++
        return Reflect.get(state.away ? nowhere.db : target, name, receiver)
      },
    }) as Db
    await database.sql`truncate data_keys`
    const keyring = createKeyring(database.db, [randomBytes(32)])
    const sessions = createSessions({ db, keyring, now: () => clock.now, defaultRequestsPerMinute: DEFAULT_RPM })
    const keys = createKeys({ db: database.db, keyring, now: () => clock.now, defaultRequestsPerMinute: DEFAULT_RPM, kind: 'live' })
    const tenant = await database.db.transaction((tx) =>
      insertTenant(tx, { name: 'Acme', rulesPreset: null, maxRequestsPerMinute: 7, allowedModels: null, contactEmail: null }),
    )
    const issue = async (fresh: Partial<NewKey> = {}): Promise<string> => {
      const minted = await keys.mint()
      await database.db.transaction((tx) => issueKey(tx, tenant.id, minted, { ...newKey, ...fresh }))
      return minted.prefix
    }
    /** Made with a key, or by somebody who has none. */
    const make = async ({ profile = 'quick_lock', prefix }: { profile?: Profile; prefix?: string } = {}): Promise<MintedSession> => {
      const minted = await sessions.mint(profile)
      await database.db.transaction(async (tx) => {
        const keyId = prefix === undefined ? null : ((await findKeyId(tx, tenant.id, prefix)) ?? null)
        await insertSession(tx, tenant.id, minted, { keyId, createdBy: prefix ?? 'admin' })
      })
      return minted
    }
    return { sessions, keyring, tenant, issue, make, clock, state }
  }

  const isUnavailable = (error: unknown): boolean => error instanceof Failure && error.reason === 'unavailable'
  const ask = async (sessions: Sessions, token: string) => sessions.find(token)

  test('a session that nobody’s key made stands for its tenant, may send calls and nothing else, and is found again without waiting', async () => {
    const { sessions, tenant, make, state } = await given()
    const { token, id } = await make({ profile: 'ritual_lock' })
    assert.ok(looksLikeSession(token) && token.length < 500, `${token.length}`)
    const caller = await sessions.find(token)
    const session = { id, profile: 'ritual_lock', ...profiles.ritual_lock.holds, expiresAt: caller?.session?.expiresAt }
    assert.ok((session.expiresAt ?? 0) > NOW)
    assert.deepEqual(caller, callerOf(tenantLimitedTo(7, tenant.id), { keyPrefix: id, scopes: new Set(['proxy:write']), session: session as never }))
    const asked = state.statements
    assert.equal(sessions.find(token), caller, 'at once, not a promise')
    assert.equal(state.statements, asked)
  })

  test('a session that a key made has all that bounds the key, and no other of its rights', async () => {
    const { sessions, tenant, issue, make } = await given()
    const agent = await database.db.transaction((tx) => insertAgent(tx, tenant.id, { name: 'bot', allowedModels: ['gpt-*'] }))
    const prefix = await issue({ agentId: agent.id, limits: { max_requests_per_minute: 3 }, scopes: ['proxy:write', 'audit:read'] })
    await database.sql`
      update api_keys set allowed_addresses = '["10.0.0.0/8"]', allowed_models = '["gpt-5"]', client_certificate = 'bot.example.com' where prefix = ${prefix}`
    const { token, id } = await make({ prefix, profile: 'black_vault' })
    const caller = await sessions.find(token)
    assert.ok(caller)
    assert.deepEqual(
      [caller.keyPrefix, caller.keyLimits?.requestsPerMinute, caller.allowedModels, caller.allowedAddresses, caller.clientCertificate, caller.agent?.id],
      [prefix, 3, ['gpt-5'], ['10.0.0.0/8'], 'bot.example.com', agent.id],
    )
    assert.deepEqual(caller.scopes, new Set(['proxy:write']))
    assert.deepEqual({ ...caller.session, expiresAt: 0 }, { id, profile: 'black_vault', ...profiles.black_vault.holds, expiresAt: 0 })
    await database.db.transaction((tx) =>
      openQuarantine(tx, { tenantId: tenant.id, agentId: agent.id, reason: 'x', createdBy: 'admin', createdAt: new Date(NOW) }),
    )
    sessions.forget(tenant.id)
    assert.equal((await ask(sessions, token))?.agent?.quarantined, true)
  })

  for (const profile of profileNames) {
    test(`a ${profile} lives ${profiles[profile].seconds} seconds, by its row and its token alike, also in memory`, async () => {
      const { sessions, make, clock } = await given()
      const { token, createdAt, expiresAt } = await make({ profile })
      assert.equal(expiresAt.getTime(), Math.floor(NOW / 1_000) * 1_000 + profiles[profile].seconds * 1_000)
      assert.equal(createdAt.getTime(), NOW)
      clock.now = expiresAt.getTime() - 1
      assert.ok(await ask(sessions, token))
      clock.now = expiresAt.getTime()
      assert.equal(await ask(sessions, token), null)
      sessions.forget(null)
      assert.equal(await ask(sessions, token), null)
    })
  }

  test('a row that is over ends a token that says otherwise, and the other way round', async () => {
    const { sessions, make, clock } = await given()
    const [shorter, longer] = [await make(), await make()]
    await database.db
      .update(rows)
      .set({ expiresAt: new Date(NOW + 1) })
      .where(eq(rows.id, shorter.id))
    await database.db
      .update(rows)
      .set({ expiresAt: new Date(NOW + 1e9) })
      .where(eq(rows.id, longer.id))
    clock.now += 5
    assert.equal(await ask(sessions, shorter.token), null)
    clock.now = longer.expiresAt.getTime()
    assert.equal(await ask(sessions, longer.token), null)
  })

  test('an ended session, one of a closed tenant and one that was cleared away open nothing once the change is known', async () => {
    const { sessions, tenant, make } = await given()
    const [one, two, three] = [await make(), await make(), await make()]
    for (const { token } of [one, two, three]) assert.ok(await ask(sessions, token))
    await database.db.transaction((tx) => endSession(tx, tenant.id, one.id, new Date(NOW)))
    await database.db.delete(rows).where(eq(rows.id, two.id))
    assert.ok(sessions.find(one.token), 'until it is known')
    sessions.forget('t_of_somebody_else')
    assert.ok(sessions.find(one.token))
    sessions.forget(tenant.id)
    assert.deepEqual(await Promise.all([one, two].map(({ token }) => ask(sessions, token))), [null, null])
    assert.ok(await ask(sessions, three.token))
    await database.db.transaction((tx) => changeTenant(tx, tenant.id, { active: false }))
    sessions.forget(null)
    assert.equal(await ask(sessions, three.token), null)
  })

  test('a session ends with its key: revoked, expired, of an agent that is not active, or no longer one for calls', async () => {
    const { sessions, tenant, issue, make, clock } = await given()
    const agent = await database.db.transaction((tx) => insertAgent(tx, tenant.id, { name: 'bot' }))
    const prefixes = [await issue(), await issue({ expiresAt: new Date(NOW + 60_000) }), await issue({ agentId: agent.id }), await issue()]
    const made: MintedSession[] = []
    for (const prefix of prefixes) made.push(await make({ prefix }))
    for (const { token } of made) assert.ok(await ask(sessions, token))
    clock.now += 60_000
    const alive = async () => Promise.all(made.map(async ({ token }) => (await sessions.find(token)) !== null))
    assert.deepEqual(await alive(), [true, false, true, true], 'expiry needs no change')
    await database.db.transaction(async (tx) => {
      await revokeKey(tx, tenant.id, prefixes[0], new Date(NOW))
      await changeAgent(tx, tenant.id, agent.id, { active: false })
    })
    await database.sql`update api_keys set scopes = '["audit:read"]' where prefix = ${prefixes[3]}`
    sessions.forget(tenant.id)
    assert.deepEqual(await alive(), [false, false, false, false])
  })

  test('a session whose key is another tenant’s opens nothing', async () => {
    const { issue, tenant } = await given()
    const keyId = await findKeyId(database.db, tenant.id, await issue())
    assert.ok(keyId)
    const { sessions, make } = await given()
    const { token, id } = await make()
    await database.db.update(rows).set({ keyId }).where(eq(rows.id, id))
    assert.equal(await ask(sessions, token), null)
  })

  test('a profile this version does not know opens nothing', async () => {
    const { sessions, make } = await given()
    const { token, id } = await make()
    await database.db.update(rows).set({ profile: 'constructor' }).where(eq(rows.id, id))
    assert.equal(await ask(sessions, token), null)
  })

  const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = (header: unknown, payload: unknown, key: Buffer, digest = 'sha256'): string => {
    const input = `${b64(header)}.${b64(payload)}`
    return `ef_session_${input}.${createHmac(digest, key).update(input).digest('base64url')}`
  }

  test('what was not signed here, for this, as we sign, opens nothing and asks nothing of the database', async () => {
    const { sessions, keyring, make, state } = await given()
    const { token, id } = await make()
    const { id: kid, key } = await keyring.sessionKey()
    const login = await keyring.loginKey()
    const header = { alg: 'HS256', kid }
    const payload = { jti: id, aud: 'earthflow-session', iat: Math.floor(NOW / 1_000), exp: Math.floor(NOW / 1_000) + 60 }
    const { exp: _exp, ...endless } = payload
    const { jti: _jti, ...nameless } = payload
    const { iat: _iat, ...ageless } = payload
    const [head, body, signature] = token.slice('ef_session_'.length).split('.')
    const wrong: Record<string, string> = {
      'alg none': `ef_session_${b64({ alg: 'none', kid })}.${b64(payload)}.`,
      'alg none with a signature': signed({ alg: 'none', kid }, payload, key),
      'another algorithm': signed({ alg: 'HS512', kid }, payload, key, 'sha512'),
      'another algorithm, cut to fit': signed({ alg: 'HS512', kid }, payload, key),
      'the public-key family': signed({ alg: 'RS256', kid }, payload, key),
      'no algorithm': signed({ kid }, payload, key),
      'a key nobody made': signed({ ...header, kid: 'dk_01hzzzzzzzzzzzzzzzzzzzzzzz' }, payload, key),
      'a key id that is no text': signed({ ...header, kid: 7 }, payload, key),
      'no key id': signed({ alg: 'HS256' }, payload, key),
      'the key of logins': signed({ ...header, kid: login.id }, payload, login.key),
      'the key of logins under our id': signed(header, payload, login.key),
      'a random key': signed(header, payload, randomBytes(32)),
      'a critical header': signed({ ...header, crit: ['b64'], b64: false }, payload, key),
      'another audience': signed(header, { ...payload, aud: 'earthflow-login' }, key),
      'no audience': signed(header, { ...payload, aud: undefined }, key),
      'no end': signed(header, endless, key),
      'an end that is no number': signed(header, { ...payload, exp: '9999999999' }, key),
      'no beginning': signed(header, ageless, key),
      'a beginning that is no number': signed(header, { ...payload, iat: String(payload.iat) }, key),
      'no session': signed(header, nameless, key),
      'a session that is no id': signed(header, { ...payload, jti: "ses_' or 1=1 --" }, key),
      'a session of another kind': signed(header, { ...payload, jti: id.replace('ses_', 'usr_') }, key),
      expired: signed(header, { ...payload, exp: Math.floor(NOW / 1_000) }, key),
      'not yet': signed(header, { ...payload, nbf: Math.floor(NOW / 1_000) + 60 }, key),
      'other claims under the old signature': `ef_session_${head}.${b64({ ...payload, exp: payload.exp + 1e6 })}.${signature}`,
      'no JSON': `ef_session_${Buffer.from('nonsense').toString('base64url')}.${body}.${signature}`,
      'the embedded key': signed({ ...header, jwk: { kty: 'oct', k: Buffer.alloc(32).toString('base64url') } }, payload, Buffer.alloc(32)),
    }
    const before = state.statements
    for (const [what, text] of Object.entries(wrong)) assert.equal(await ask(sessions, text), null, what)
    assert.equal(state.statements, before)
    assert.ok(await ask(sessions, signed(header, payload, key)), 'the same by our own rules is right')
  })

  test('what has not the shape of a token is answered at once, without hashing it or asking for a key', async () => {
    const { make, clock } = await given()
    const keyring = { sessionKey: () => assert.fail('asked for a key') } as unknown as Pick<Keyring, 'sessionKey'>
    const sessions = createSessions({ db: nowhere.db, keyring, now: () => clock.now, defaultRequestsPerMinute: DEFAULT_RPM })
    const { token } = await make()
    const [head, body, signature] = token.split('.')
    const shapeless = [
      '',
      'ef_session_',
      token.slice(0, -1),
      `${token}x`,
      `${token}.`,
      ` ${token}`,
      `${token}\n`,
      token.slice('ef_session_'.length),
      token.toUpperCase(),
      token.replace('ef_session_', 'ef_live_'),
      `${head}.${body}.${signature}.${signature}`,
      `${head}..${signature}`,
      `${head}.${body}é.${signature}`,
      `ef_session_'; drop table sessions; --.${body}.${signature}`,
      `${head}.${'A'.repeat(1_500)}.${signature}`,
      `ef_session_${'A'.repeat(1 << 20)}`,
    ]
    for (const text of shapeless) assert.equal(sessions.find(text), null, text.slice(0, 60))
    for (const kid of [undefined, 7, '', 'dk_1', '../../x', "' or 1=1 --", 'dk_01HZZZZZZZZZZZZZZZZZZZZZZZ', `dk_${'0'.repeat(27)}`, `ses_${'0'.repeat(26)}`])
      assert.equal(await ask(sessions, signed({ alg: 'HS256', kid }, {}, Buffer.alloc(32))), null, String(kid))
  })

  test('a token from before the signing key was replaced opens nothing', async () => {
    const { sessions, make } = await given()
    const old = await make()
    await database.sql`truncate data_keys`
    const keyring = createKeyring(database.db, [randomBytes(32)])
    const fresh = createSessions({ db: database.db, keyring, now: () => NOW, defaultRequestsPerMinute: DEFAULT_RPM })
    assert.equal(await ask(fresh, old.token), null)
    assert.ok(await ask(sessions, old.token), 'where the old one is still known')
  })

  test('an outage is an outage, never "wrong token"; what is known goes on', async () => {
    const { sessions, make, state, clock } = await given()
    const [known, unknown] = [await make(), await make()]
    assert.ok(await ask(sessions, known.token))
    state.away = true
    assert.ok(sessions.find(known.token))
    await assert.rejects(ask(sessions, unknown.token), isUnavailable)
    const away = { sessionKey: () => Promise.reject(new Error('no database')) } as unknown as Pick<Keyring, 'sessionKey'>
    const without = createSessions({ db: database.db, keyring: away, now: () => clock.now, defaultRequestsPerMinute: DEFAULT_RPM })
    await assert.rejects(ask(without, known.token), isUnavailable)
    state.away = false
    assert.ok(await ask(sessions, unknown.token), 'and nothing is remembered of it')
  })

  test('a session that is nobody’s is asked for once in five seconds, and what was read before a change is not kept', async () => {
    const { sessions, tenant, make, state, clock } = await given()
    const { token, id } = await make()
    await database.db.delete(rows).where(eq(rows.id, id))
    const before = state.statements
    for (let i = 0; i < 3; i++) assert.equal(await ask(sessions, token), null)
    assert.equal(state.statements, before + 1)
    clock.now += 5_000
    assert.equal(await ask(sessions, token), null)
    assert.equal(state.statements, before + 2)

    const other = await make()
    const reading = sessions.find(other.token)
    assert.ok(reading instanceof Promise)
    const together = sessions.find(other.token)
    sessions.forget(tenant.id)
    await Promise.all([reading, together])
    assert.equal(state.statements, before + 3, 'one reading for all who ask at once')
    assert.ok(sessions.find(other.token) instanceof Promise, 'read again')
  })

  test('no row holds a token or what it is signed with', async () => {
    const { make, keyring, tenant } = await given()
    const { token, id } = await make()
    const row = await findSession(database.db, { tenantId: tenant.id }, id)
    const stored = JSON.stringify(row) + JSON.stringify(await database.sql`select * from data_keys`)
    for (const secret of [...token.slice('ef_session_'.length).split('.'), (await keyring.sessionKey()).key.toString('base64url')]) {
      assert.ok(!stored.includes(secret))
    }
  })
})
