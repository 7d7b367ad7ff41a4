import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import Ajv from 'ajv/dist/2020.js'
import { described } from '../../src/admin/documents/described.ts'
import type { OpenApi, Operation } from '../../src/admin/documents/openapi.ts'
import { createCallReader } from '../../src/dialects/bodies/read-call.ts'
import { earthflowProxy } from '../../src/dialects/earthflow-proxy.ts'
import { dialects } from '../../src/dialects/index.ts'
import { Refusal } from '../../src/errors.ts'
import { envelopeOf } from '../../src/pipeline/envelope.ts'
import { createOperations } from '../../src/proxy/operations.ts'
import { insertEntries } from '../audit/entries.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

let database: TestDatabase
let api: Management
let document: OpenApi
before(async () => {
  database = await openTestDatabase('pglite')
  api = manage(database)
  document = (await api.ask('GET', '/openapi.json', { key: null })).json
})
after(() => database.drop())

const operations = (): { path: string; method: string; operation: Operation }[] =>
  Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))

test('the document is an OpenAPI 3.1 document, whose references all lead somewhere', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never)
  assert.ok(valid, JSON.stringify(errors)?.slice(0, 2_000))
  for (const [, name] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = name.split('/').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document)
    assert.notEqual(found, undefined, name)
  }
})

test('it tells every route there is, with its scope, and every path of a call', () => {
  const told = new Set(operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`))
  const exist = [...api.admin.routes, ...described].map(({ method, path }) => `${method} ${path}`)
  const calls = dialects.flatMap(({ paths }) => paths.map((path) => `POST ${path}`))
  assert.deepEqual([...told].sort(), [...new Set([...exist, ...calls])].sort())
  for (const { method, path, scope } of api.admin.routes) {
    const { security, responses } = document.paths[path][method.toLowerCase()]
    const needs = scope === 'any' ? [] : [scope]
    assert.deepEqual(security, scope === 'public' ? [] : [{ bearer: needs }, { key: needs }, { login: needs }], path)
    assert.ok('default' in responses, path)
  }
  const ids = operations().map(({ operation }) => operation.operationId)
  assert.equal(new Set(ids).size, ids.length, 'every operation has a name of its own')
})

test('the operations that are described exist, and no others do', () => {
  const served = createOperations({ adminKey: 'x' } as never).routes.filter(({ method }) => method === 'GET')
  assert.deepEqual(
    described.filter(({ path }) => path !== '/v1/proxy').map(({ path }) => path),
    served.map(({ path }) => path),
  )
})

test('what the document says of a governed call is what its reader takes, and nothing else', () => {
  const schema = described.find(({ path }) => path === '/v1/proxy')?.body
  const endpoint = { kind: 'call', dialect: earthflowProxy, path: '/v1/proxy', model: null, upstream: null } as const
  const readCall = createCallReader()
  const messages = [{ role: 'user', content: 'Hello' }]
  for (const [body, taken] of [
    [{ model: 'm', messages }, true],
    [{ model: 'm', messages, stream: true, metadata: { team: 'blue' }, max_tokens: 5, temperature: 0.5 }, true],
    [{ model: 'm', messages, stream: null, metadata: null, max_tokens: null, temperature: null }, true],
    [{ model: 'm', messages: [{ role: 'system', content: [{ type: 'text', text: 'Be brief' }] }, ...messages] }, true],
    [{ model: 'm', messages, tools: [] }, false],
    [{ model: 'm', messages, max_tokens: -1 }, false],
    [{ model: 'm', messages, metadata: 'blue' }, false],
    [{ model: 'm', messages, stream: 'yes' }, false],
    [{ model: 'm', messages: [] }, false],
    [{ model: 'm', messages: [{ role: 'tool', content: 'x' }] }, false],
    [{ model: 'm', messages: [{ role: 'user', content: 'x', name: 'y' }] }, false],
    [{ model: 'm', messages: [{ role: 'user', content: 5 }] }, false],
    [{ messages }, false],
  ] as const) {
    const read = readCall(Buffer.from(JSON.stringify(body)), 'application/json', endpoint)
    assert.deepEqual([!(read instanceof Refusal), schema?.safeParse(body).success], [taken, taken], JSON.stringify(body))
  }
})

test('what an envelope tells is what the document says of it, of a call that a person has to decide about too', () => {
  const schema = described.find(({ path }) => path === '/v1/proxy')?.answer
  for (const held of [null, { id: 'esc_1', approvedBy: null, heldAuditId: null }]) {
    const known = { id: 'req_1', auditId: 'aud_1', startedAt: performance.now(), dialect: earthflowProxy, trace: { attempts: [], held } }
    const refusal = new Refusal('approval_required', 'This call needs an approval.')
    const told = JSON.parse(envelopeOf(known as never, { kind: 'refused', stage: 'enforce', refusal }, null))
    assert.equal(told.approval_id, held?.id)
    assert.deepEqual(schema?.parse(told), told)
  }
})

test('schemas say what is checked: required members, bounds, words, and what only answers say', () => {
  const schemaOf = (path: string, method: string) =>
    document.paths[path][method].requestBody?.content['application/json'].schema as {
      properties: Record<string, Record<string, unknown>>
      required: string[]
      additionalProperties: boolean
    }
  const tenant = schemaOf('/v1/tenants', 'post')
  assert.deepEqual([tenant.required, tenant.additionalProperties], [['name'], false])
  assert.deepEqual(tenant.properties.uninspectable.enum, ['warn', 'allow', 'block'])
  assert.match(String(tenant.properties.forward_proxy_credentials.description), /later version/)
  assert.equal(tenant.properties.created_at.readOnly, true)
  const [limit] = document.paths['/v1/rules'].get.parameters.filter((one) => 'name' in one && one.name === 'limit')
  assert.deepEqual(limit, { name: 'limit', in: 'query', required: false, schema: { type: 'integer', minimum: 1, maximum: 1_000, default: 50 } })
})

test('what is answered fits what the document says of it', async () => {
  const { id } = await api.createTenant()
  await insertEntries(database.db, [{ tenantId: id }])
  const ajv = new Ajv.default({ strict: false, formats: { 'date-time': true, email: true, date: true } })
  for (const { path, method, operation } of operations()) {
    const schema = (operation.responses[200] as { content?: Record<string, { schema: object }> } | undefined)?.content?.['application/json']?.schema
    if (method !== 'get' || path.includes('{') || !schema || !api.admin.routes.some((route) => route.path === path)) continue
    const { status, json } = await api.ask('GET', path, path.startsWith('/v1/tenants') || operation.security.length === 0 ? {} : { tenant: id })
    assert.equal(status, 200, path)
    const fits = ajv.compile(schema)
    assert.ok(fits(json), `${path}: ${JSON.stringify(fits.errors)}`)
  }
})

test('the page needs nothing from anywhere, runs nothing, and is allowed neither', async () => {
  const { status, headers, json } = await api.ask('GET', '/docs', { key: null })
  const html = String(json)
  assert.deepEqual([status, headers.get('content-type')], [200, 'text/html; charset=utf-8'])
  const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1] ?? ''
  assert.equal(
    headers.get('content-security-policy'),
    `default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  )
  assert.doesNotMatch(html, /<(?:script|img|link|iframe|object|form|base)\b|\son\w+=|\sstyle=|(?:src|href)="(?!#|\/openapi\.json")|@import|url\(/i)
})

test('the page has an article for every operation, and each link within it leads to one', async () => {
  const html = String((await api.ask('GET', '/docs', { key: null })).json)
  const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
  assert.equal(new Set(ids).size, ids.length)
  for (const { operation } of operations()) assert.ok(ids.includes(operation.operationId), operation.operationId)
  for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) assert.ok(ids.includes(target), target)
})

test('every example body that the page shows passes the schema of its route', async () => {
  const html = String((await api.ask('GET', '/docs', { key: null })).json)
  const shown = [...html.matchAll(/<article id="(\w+)">[\s\S]*?<pre tabindex="0"><code>([\s\S]*?)<\/code>/g)]
  const unescaped = (text: string): string =>
    text.replaceAll('&#39;', "'").replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
  let checked = 0
  for (const route of api.admin.routes) {
    if (route.body === null) continue
    const { operationId } = document.paths[route.path][route.method.toLowerCase()]
    const curl = unescaped(shown.find(([, id]) => id === operationId)?.[2] ?? '')
    const body: unknown = JSON.parse(/ -d '([\s\S]*)'$/.exec(curl)?.[1].replaceAll("'\\''", "'") ?? 'null')
    const { success, error } = route.body.safeParse(body)
    assert.ok(success, `${route.method} ${route.path}: ${JSON.stringify(body)} ${error?.message}`)
    checked++
  }
  assert.ok(checked > 10)
})
