import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connect, type Database, type Db } from '../../src/db/connect.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

let database: TestDatabase
let nowhere: Database
let api: Management
let away = false
before(async () => {
  database = await openTestDatabase('pglite')
  nowhere = await connect({ kind: 'postgres', url: 'postgres://nobody:none@127.0.0.1:1/none' })
  const db = new Proxy(database.db, { get: (target, name, receiver) => Reflect.get(away ? nowhere.db : target, name, receiver) }) as Db
  api = manage(database, { db })
})
after(async () => {
  await nowhere.close()
  await database.drop()
})

test('with the database away every answer is 503 with retry-after, never 401 or 500, and then all is well again', async () => {
  const { id, key } = await api.createTenant()
  const unseen = (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'k', scopes: ['rules:read'] } })).json.api_key
  await api.ask('GET', `/v1/tenants/${id}`, { key })
  away = true
  const rule = { name: 'r', condition: { operator: 'contains', value: 'x' }, action: 'WARN' }
  const asked: [string, string, object][] = [
    ['GET', '/v1/rules', { key: unseen }],
    ['GET', '/v1/rules', { key }],
    ['GET', '/v1/tenants', {}],
    ['POST', '/v1/tenants', { body: { name: 'x' } }],
    ['POST', `/v1/rules?tenant_id=${id}`, { body: rule }],
    ['POST', '/v1/rules', { key, body: rule }],
    ['GET', '/v1/audit', { key }],
    ['GET', '/v1/upstreams', {}],
  ]
  for (const [method, path, ask] of asked) {
    const { status, json, headers } = await api.ask(method, path, ask)
    assert.deepEqual([status, json.error], [503, 'UNAVAILABLE'], `${method} ${path}`)
    assert.match(headers.get('retry-after') ?? '', /^[1-9]\d*$/)
  }
  const wrong = await api.ask('GET', '/v1/rules', { key: 'ef_live_nonsense' })
  assert.equal(wrong.status, 401, 'text that is no key needs no database')
  away = false
  assert.equal((await api.ask('GET', '/v1/rules', { key: unseen })).status, 200)
})
