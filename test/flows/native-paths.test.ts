/** Every path the official client libraries can call, read from their packages: it reaches the provider, or Earthflow answers it on purpose. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { formats } from '../../src/dialects/index.ts'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'

interface NativePath {
  method: string
  path: string
}
interface Library {
  name: string
  /** What its base URL adds to the paths in its files. */
  base: string
  files: string
  /** With the caller's own credential: some paths are not lent the organisation's. */
  headers: Record<string, string>
  read(text: string): NativePath[]
}

/** A parameter in a path becomes a plausible id. */
const filled = (template: string): string => template.replaceAll(/\$\{[^}]*\}|\{[^}]*\}/g, 'id-1')

/** `this._client.post(path `/files/${id}`, …)`, as every library writes it that is generated from the same specification language. */
function stainless(text: string): NativePath[] {
  return Array.from(
    text.matchAll(/_client\.(get|post|put|patch|delete|getAPIList)\(\s*(?:path\s*)?([`'"])(\/[^`'"]*)\2([\s\S]{0,160})/g),
    ([, verb, , path, rest]) => ({
      method: verb === 'getAPIList' ? (/method: 'post'/.test(rest) ? 'POST' : 'GET') : verb.toUpperCase(),
      path: filled(path),
    }),
  )
}

/** `path = formatMap('{model}:generateContent', …)` and, some lines on, `httpMethod: 'POST'`; only what is meant for the Gemini API. */
function genai(text: string): NativePath[] {
  const found: NativePath[] = []
  for (const [, path, rest] of text.matchAll(/formatMap\('([^']*)'([\s\S]{0,1200}?httpMethod: '\w+')/g)) {
    const method = /httpMethod: '(\w+)'$/.exec(rest)?.[1] ?? 'GET'
    const named = path
      .replace('{model}', 'models/m')
      .replace(/^\{(?:name|file|operationName|resourceName|parent|file_search_store_name)\}/, 'files/f')
      .replace('{models_url}', 'models')
    found.push({ method, path: named.startsWith('upload/') ? `/${filled(named)}` : `/v1beta/${filled(named)}` })
  }
  return found
}

const openai = {
  base: '/v1',
  headers: { authorization: 'Bearer sk-own', 'x-stainless-lang': 'js', 'x-stainless-package-version': '7.55.0' },
  read: stainless,
}
const anthropic = { base: '', headers: { 'x-api-key': 'sk-own', 'anthropic-version': '2023-06-01' }, read: stainless }
const gemini = { base: '', headers: { 'x-goog-api-key': 'sk-own', 'x-goog-api-client': 'google-genai-sdk/2.32.0 gl-node/v26' }, read: genai }
const libraries: readonly Library[] = [
  { name: 'openai 7', files: 'openai/resources/**/*.mjs', ...openai },
  { name: 'openai 6', files: 'openai-6/resources/**/*.mjs', ...openai },
  { name: '@anthropic-ai/sdk 1', files: '@anthropic-ai/sdk/resources/**/*.mjs', ...anthropic },
  { name: '@anthropic-ai/sdk 0', files: 'anthropic-0/resources/**/*.mjs', ...anthropic },
  { name: '@google/genai 2', files: '@google/genai/dist/node/index.mjs', ...gemini },
  { name: '@google/genai 1', files: 'genai-1/dist/node/index.mjs', ...gemini },
]

const CALLS_AT_ONCE = 8
const isModels = (method: string | undefined, path: string): boolean => method === 'GET' && /\/models(?:\?|$)/.test(path)

let flow: Flow
before(async () => {
  flow = await startEarthflow({
    script: ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"from":"the provider"}'),
  })
  for (const [name, base] of Object.entries({ openai: '/v1', anthropic: '', gemini: '' })) {
    const dialects = formats.filter(({ vendor }) => vendor.name === name).map((dialect) => dialect.name)
    await flow.addUpstream({ name, dialects, base_url: flow.provider.origin + base, priority: 500, credential_mode: 'passthrough', credential: undefined })
  }
})
after(() => flow.close())

const modules = join(import.meta.dirname, '../../node_modules')

for (const { name, base, files, headers, read } of libraries) {
  test(`${name}: every path it can call reaches the provider or is answered on purpose; none is a 404 of ours`, async (t) => {
    const paths = new Map<string, NativePath>()
    for (const file of globSync(files, { cwd: modules })) {
      for (const { method, path } of read(readFileSync(join(modules, file), 'utf8'))) paths.set(`${method} ${base}${path}`, { method, path: base + path })
    }
    assert.ok(paths.size > 20, `only ${paths.size} paths were found in ${files}`)
    let reached = 0
    let ours = 0
    const before = flow.provider.seen.length
    const all = [...paths]
    const call = async ([label, { method, path }]: [string, NativePath]): Promise<void> => {
      const answer = await fetch(`http://127.0.0.1:${flow.port}${path}`, {
        method,
        headers: {
          ...headers,
          'x-earthflow-key': flow.tenant.api_key,
          ...(method === 'GET' || method === 'DELETE' ? {} : { 'content-type': 'application/json' }),
        },
        ...(method === 'GET' || method === 'DELETE' ? {} : { body: '{"n":1}' }),
      })
      const text = await answer.text()
      const seen = flow.provider.seen.slice(before).filter(({ url, request }) => url === path && request.method === method)
      if (text.includes('from the provider') || text === '{"from":"the provider"}') {
        assert.equal(seen.length, 1, label)
        reached++
      } else {
        // A described call without its members is refused; the list of models is made here.
        assert.ok(
          isModels(method, path) ? answer.status === 200 : answer.status === 400 && method === 'POST',
          `${label}: ${answer.status} ${text.slice(0, 200)}`,
        )
        ours++
      }
    }
    for (let i = 0; i < all.length; i += CALLS_AT_ONCE) await Promise.all(all.slice(i, i + CALLS_AT_ONCE).map(call))
    // The list that is made here is made of the providers' own.
    const others = flow.provider.seen.slice(before).filter(({ url, request }) => !isModels(request.method, url))
    assert.equal(others.length, reached, 'each once, and nothing else')
    t.diagnostic(`${paths.size} paths: ${reached} reached the provider, ${ours} were answered here`)
    assert.ok(ours <= 20 && reached > ours, `${reached} and ${ours}`)
  })
}

test('paths that hand out a provider’s credentials or administer its account are not lent the organisation’s', async () => {
  const tenant = await flow.newTenant()
  const library = { authorization: `Bearer ${tenant.api_key}`, 'content-type': 'application/json', 'x-stainless-package-version': '7.55.0' }
  const before = flow.provider.seen.length
  for (const path of [
    '/v1/realtime/client_secrets',
    '/v1/realtime/sessions',
    '/v1/chatkit/sessions',
    '/v1/organization/admin_api_keys',
    '/v1/projects/p/api_keys',
    '/v1/Organization/users',
    '/u/openai-like/realtime/client_secrets',
    '/openai/v1/realtime/client_secrets',
  ]) {
    const answer = await fetch(`${flow.origin}${path.startsWith('/u/') ? path : `/u/openai-like${path}`}`, { method: 'POST', headers: library, body: '{}' })
    assert.equal(answer.status, 403, path)
    assert.match(await answer.text(), /passthrough/, path)
  }
  assert.equal(flow.provider.seen.length, before)
})
