/** Every registered route asked by everybody there is: what the documentation's table of roles says is what happens. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { Person } from '../../src/access/person.ts'
import { type Role, roleNames, roles, scopesOf } from '../../src/access/roles.ts'
import { type Scope, scopes } from '../../src/access/scopes.ts'
import type { Route } from '../../src/admin/route.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { everyRoute, nameOf } from './every-route.ts'
import { adminKey, type Management, manage } from './management.ts'

/** What the documentation says: of each scope, which roles have it in the whole installation, and which within one tenant. */
function documented(): Map<string, { everywhere: Set<string>; inTenant: Set<string> }> {
  const lines = readFileSync('src/access/README.md', 'utf8').split('\n')
  const at = lines.findIndex((line) => line.startsWith('| scope | lets |'))
  const columns = lines[at].split('|').map((cell) => cell.trim())
  const table = new Map<string, { everywhere: Set<string>; inTenant: Set<string> }>()
  for (const line of lines.slice(at + 2)) {
    if (!line.startsWith('|')) break
    const cells = line.split('|').map((cell) => cell.trim())
    const has = (marks: readonly string[]) => new Set(columns.filter((name, i) => roleNames.includes(name as Role) && marks.includes(cells[i])))
    table.set(cells[1].replaceAll('`', ''), { everywhere: has(['yes', 'installation']), inTenant: has(['yes']) })
  }
  return table
}

test('the table of roles in the documentation names every scope and every role, and says what the code does', () => {
  const table = documented()
  assert.deepEqual([...table.keys()].sort(), Object.keys(scopes).sort())
  for (const scope of Object.keys(scopes) as Scope[]) {
    for (const role of roleNames) {
      assert.equal(table.get(scope)?.everywhere.has(role), scopesOf(role, null).has(scope), `${role} ${scope}`)
      assert.equal(table.get(scope)?.inTenant.has(role), scopesOf(role, 't_1').has(scope), `${role} ${scope} within a tenant`)
    }
  }
})

test('nobody but an owner may change people, unlock sessions or rotate keys, and no role may send calls', () => {
  for (const role of roleNames) {
    const held = scopesOf(role, null)
    for (const scope of ['users:write', 'sessions:unlock', 'ops:write', 'admin', 'audit:erase'] as const) assert.equal(held.has(scope), role === 'owner', role)
    assert.equal(held.has('proxy:write'), false, role)
    assert.deepEqual(
      [...scopesOf(role, 't_1')].filter((scope) => scopes[scope].reach === 'installation'),
      [],
      role,
    )
  }
  for (const reader of ['auditor', 'viewer'] as const)
    assert.deepEqual(
      roles[reader].scopes.filter((scope) => !scope.endsWith(':read')),
      [],
      reader,
    )
})

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  let owner: ReturnType<typeof everyRoute>['owner']
  let everythingOf: ReturnType<typeof everyRoute>['everythingOf']
  const persons = new Map<string, Person>()
  before(async () => {
    database = await open()
    api = manage(database, { people: { find: (token) => persons.get(token) ?? null } })
    ;({ owner, everythingOf } = everyRoute(api, database))
  })
  after(() => database.drop())

  /** A token of somebody in that role. */
  const tokenOf = (role: Role, tenantId: string | null): string => {
    const token = `ef_login_${role}-${tenantId ?? 'installation'}`
    persons.set(token, { id: `usr_${role}`, email: `${role}@example.com`, name: role, role, tenantId, scopes: scopesOf(role, tenantId), loginId: 'login_1' })
    return token
  }
  /** Everything but what deletes what the next question is about. */
  const asked = (): Route[] => api.admin.routes.filter(({ method, scope, path }) => scope !== 'public' && method !== 'DELETE' && !isChore(path))
  /** What they do concerns everybody at once, or what asks. */
  const isChore = (path: string): boolean => /^\/v1\/(?:sessions\/(?:lock-all|unlock|cleanup)|auth\/(?:logout|password))$/.test(path)

  for (const role of roleNames) {
    test(`${role}: of the whole installation, and of one tenant, is answered where the table says yes and refused with 403 elsewhere`, async () => {
      const { pathOf, bodyOf, id } = await owner()
      const table = documented()
      for (const route of asked()) {
        for (const tenantId of [null, id]) {
          const what = `${nameOf(route)} by ${role} of ${tenantId === null ? 'the installation' : 'the tenant'}`
          const answer = await api.ask(route.method, pathOf(route), {
            key: tokenOf(role, tenantId),
            body: bodyOf(route),
            ...(tenantId === null && route.tenant !== 'none' ? { tenant: id } : {}),
          })
          const row = table.get(route.scope)
          const isGranted = route.scope === 'any' || (tenantId === null ? row?.everywhere : row?.inTenant)?.has(role) === true
          if (!isGranted) assert.deepEqual([answer.status, answer.json.error, answer.json.context.scope], [403, 'FORBIDDEN', route.scope], what)
          else assert.ok(answer.status < 500 && ![401, 403].includes(answer.status), `${what}: ${answer.status} ${JSON.stringify(answer.json)}`)
        }
      }
    })

    test(`${role} of another tenant sees and changes nothing of this one`, async () => {
      const { pathOf, bodyOf, id } = await owner()
      const other = await api.createTenant({ rules_preset: null })
      const before = await everythingOf(id)
      for (const route of api.admin.routes.filter(({ scope, path }) => scope !== 'public' && !isChore(path))) {
        for (const tenant of [undefined, id]) {
          const what = `${nameOf(route)}${tenant ? ' naming the tenant' : ''}`
          const { status, json } = await api.ask(route.method, pathOf(route), {
            key: tokenOf(role, other.id),
            body: bodyOf(route),
            ...(tenant !== undefined && { tenant }),
          })
          assert.doesNotMatch(JSON.stringify(json), new RegExp(`${id}|marked(?: owner| rule| term|-|")`, 'i'), what)
          if (status === 403) continue
          if (route.tenant === 'path' || (tenant !== undefined && (route.tenant === 'required' || route.tenant === 'optional'))) {
            assert.deepEqual([status, json.error], [404, 'TENANT_NOT_FOUND'], what)
          }
        }
      }
      assert.equal(await everythingOf(id), before)
    })
  }

  test('nobody gives away what they may not do themselves: rules by a preset, rights of a first key, a key, a role', async () => {
    const operator = tokenOf('operator', null)
    const { id } = await owner()
    const before = await database.sql`select count(*) from rules where tenant_id = ${id}`
    const preset = await api.ask('PATCH', `/v1/tenants/${id}`, { key: operator, body: { rules_preset: null } })
    assert.deepEqual([preset.status, preset.json.context.scope], [403, 'rules:write'])
    assert.deepEqual(await database.sql`select count(*) from rules where tenant_id = ${id}`, before)
    assert.equal((await api.ask('PATCH', `/v1/tenants/${id}`, { key: operator, body: { max_concurrency: 9 } })).status, 200)
    const created = await api.ask('POST', '/v1/tenants', { key: operator, body: { name: 'By an operator' } })
    const [{ scopes: first }] = (await api.ask('GET', `/v1/tenants/${created.json.tenant_id}/keys`)).json.keys
    assert.deepEqual(first, ['proxy:write', 'rules:read', 'audit:read'])
    assert.equal((await api.ask('POST', `/v1/tenants/${id}/keys`, { key: operator, body: { name: 'k', scopes: ['rules:write'] } })).status, 403)
    assert.equal((await api.ask('POST', '/v1/users', { key: operator, body: { email: 'x@example.com', role: 'owner' } })).status, 403)
  })

  test('within a tenant nobody binds a key to a certificate: its names are one space for all tenants', async () => {
    const { id } = await owner()
    const body = { name: 'robot', client_certificate: `cn:${id}` }
    const { status, json } = await api.ask('POST', `/v1/tenants/${id}/keys`, { key: tokenOf('owner', id), body })
    assert.deepEqual([status, json.context.field], [403, 'client_certificate'])
    assert.equal((await api.ask('POST', `/v1/tenants/${id}/keys`, { key: tokenOf('operator', null), body })).status, 201)
  })

  test('a certificate that a browser shows for a page of elsewhere opens nothing, and a program’s does', async () => {
    const { id } = await owner()
    const name = `cn:page-${id}`
    await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'robot', client_certificate: name, scopes: ['rules:read', 'rules:write'] } })
    const peer = { address: '', certificate: [name] }
    const body = { name: 'x', condition: { operator: 'contains', value: 'x' }, action: 'WARN' }
    const ask = async (headers: Record<string, string>) => (await api.ask('POST', '/v1/rules', { key: null, peer, headers, body })).status
    assert.equal(await ask({}), 201)
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ] as Record<string, string>[])
      assert.equal(await ask(headers), 403, JSON.stringify(headers))
  })

  test('the administrator is answered everywhere, and a login that is over nowhere', async () => {
    const { pathOf, bodyOf, id } = await owner()
    for (const route of asked()) {
      const ask = { body: bodyOf(route), ...(route.tenant === 'none' ? {} : { tenant: id }) }
      const { status, json } = await api.ask(route.method, pathOf(route), { ...ask, key: adminKey })
      assert.ok(status < 500 && ![401, 403].includes(status), `${nameOf(route)}: ${status} ${JSON.stringify(json)}`)
      assert.equal((await api.ask(route.method, pathOf(route), { ...ask, key: 'ef_login_over' })).status, 401, nameOf(route))
    }
  })
})
