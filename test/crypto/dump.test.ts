/** What whoever holds a copy of the database can do with it: nothing that opens anything. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createSessions } from '../../src/access/sessions.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { generateMasterKey, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { manage } from '../admin/management.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const CREDENTIAL = 'sk-upstream-credential-of-the-dump'

/** Every way in which bytes are usually written. */
const encodings = (secret: string | Buffer): string[] => {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].flatMap((shift) => {
    // Also within a longer text: the three ways its bytes may fall into groups of three, without the characters that its neighbours decide.
    const shifted = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
    const own = shifted.slice(Math.ceil((shift * 8) / 6), -1)
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
  })
  return [
    bytes.toString('latin1'),
    bytes.toString('utf8'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    JSON.stringify([...bytes]).slice(1, -1),
    ...base64,
  ]
}

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  const dump = async (): Promise<string> => {
    const tables = await database.sql<{ name: string }[]>`select table_name as name from information_schema.tables where table_schema = 'public' order by 1`
    assert.ok(tables.length > 15)
    let text = ''
    for (const { name } of tables) {
      for (const row of await database.sql.unsafe(`select to_jsonb(t)::text as row, t::text as plain from "${name}" t`))
        text += `${name} ${row.row} ${row.plain}\n`
    }
    return text
  }

  test('a copy of the database holds no secret, no key, no token and no data key, in any common encoding', async () => {
    const api = manage(database)
    const { id, key } = await api.createTenant()
    const further = (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'ci' } })).json.api_key
    const upstream = { name: 'own', dialects: ['openai-chat'], base_url: 'https://api.example.com/v1', credential: CREDENTIAL }
    assert.equal((await api.ask('POST', '/v1/upstreams', { tenant: id, body: upstream })).status, 201)
    assert.equal((await api.ask('POST', '/v1/upstreams', { body: upstream })).status, 201)
    const [{ api_key: successor }] = (await api.ask('POST', '/v1/ops/rotate-keys', { body: { tenant_id: id } })).json.rotated
    const master = Buffer.alloc(32, 7) // of `manage`
    const ring = createKeyring(database.db, createKeyProvider([master, ...parseMasterKeys(generateMasterKey())]))
    const { token } = await createSessions({ db: database.db, keyring: ring, now: Date.now, defaultRequestsPerMinute: 1 }).mint('quick_lock')
    const dataKeys = [await ring.pepper(), await ring.sessionKey(), await ring.loginKey()].map(({ key }) => key)
    dataKeys.push(await ring.redactionKey(id), await ring.hashKey(id), await ring.sealKey(), await ring.checkpointKey())

    const text = await dump()
    assert.ok(text.includes(key.slice(0, 16)) && text.includes('api.example.com'), 'it is a dump of this')
    const secrets = {
      master,
      CREDENTIAL,
      key,
      further,
      successor,
      token,
      secretOfKey: key.slice(17),
      ...Object.fromEntries(dataKeys.map((one, i) => [`data key ${i}`, one])),
    }
    for (const [name, secret] of Object.entries(secrets))
      for (const form of encodings(secret)) assert.equal(text.includes(form), false, `${name} stands in the database`)
  })
})

test('what the dump is searched for would be found in any of these forms', () => {
  const bytes = Buffer.from('planted secret 0123456789 ~~~ ???')
  const forms = encodings(bytes)
  const planted = [0, 1, 2, 3].flatMap((n) => {
    const within = Buffer.concat([Buffer.alloc(n, 'x'), bytes, Buffer.alloc(5, 'y')])
    return [within.toString(), within.toString('hex'), within.toString('base64'), within.toString('base64url'), JSON.stringify([...within])]
  })
  for (const text of planted)
    assert.ok(
      forms.some((form) => text.includes(form)),
      text,
    )
})
