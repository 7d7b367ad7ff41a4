import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dialectAt, endpointOf, isClientLibrary, isProviderPath, nativeDialectOf } from '../../src/dialects/endpoint.ts'
import { dialects } from '../../src/dialects/index.ts'
import { Refusal } from '../../src/errors.ts'
import { at } from './form.ts'

const ANTHROPIC = { 'anthropic-version': '2023-06-01' }
const GOOGLE = { 'x-goog-api-client': 'gl-node/24' }

/** What a request means: kind, dialect, vendor, model, upstream. */
const meanings: [request: string, meaning: string, headers?: Record<string, string>][] = [
  ['POST /v1/chat/completions', 'call openai-chat openai'],
  ['POST /v1/messages', 'call anthropic-messages anthropic'],
  ['POST /v1/messages', 'call anthropic-messages anthropic', GOOGLE],
  ['POST /v1/chat/completions', 'call openai-chat openai', ANTHROPIC],
  ['POST /openai/deployments/my-gpt/chat/completions', 'call openai-chat azure my-gpt'],
  ['POST /openai/deployments/my%20gpt/chat/completions', 'call openai-chat azure my gpt'],
  ['POST /openai/v1/chat/completions', 'call openai-chat azure'],
  ['POST /v1beta/models/gemini-2.5-pro:generateContent', 'call gemini gemini gemini-2.5-pro'],
  ['POST /v1beta/models/gemini-2.5-pro%3AgenerateContent', 'call gemini gemini gemini-2.5-pro'],
  ['POST /u/mine/v1/chat/completions', 'call openai-chat openai @mine'],
  ['POST /u/mine/chat/completions', 'call openai-chat openai @mine'],
  ['POST /u/my%20own/v1/messages', 'call anthropic-messages anthropic @my own'],
  ['POST /u/az/openai/deployments/d/chat/completions', 'call openai-chat azure d @az'],
  ['GET /u/mine/models', 'models generic-json openai @mine'],

  ['GET /v1/chat/completions', 'native generic-json openai'],
  ['GET /v1/responses', 'native generic-json openai'],
  ['GET /v1/messages/batches', 'native generic-json anthropic'],
  ['GET /v1/messages/batches/b1/results', 'native generic-json anthropic'],
  ['GET /v1/models', 'models generic-json openai'],
  ['GET /v1/models', 'models generic-json anthropic', ANTHROPIC],
  ['GET /v1/models', 'models generic-json gemini', GOOGLE],
  ['GET /v1/models/', 'models generic-json openai'],
  ['GET /v1beta/models', 'models generic-json gemini'],
  ['GET /openai/models', 'models generic-json azure'],
  ['GET /openai/v1/models', 'models generic-json azure'],
  ['GET /v1/models/gpt-4o', 'native generic-json openai gpt-4o'],
  ['GET /v1/models/llama3:latest', 'native generic-json openai llama3:latest'],
  ['DELETE /v1/models/ft:gpt-4o-mini:acme::abc123', 'native generic-json openai ft:gpt-4o-mini:acme::abc123'],
  ['GET /v1/models/claude-x', 'native generic-json anthropic claude-x', ANTHROPIC],
  ['POST /v1beta/models/gemini-x:predict', 'native generic-json gemini gemini-x'],
  ['POST /v1/models/gemini-x:predict', 'native generic-json gemini gemini-x'],
  ['POST /v1beta/tunedModels/x:generateText', 'native generic-json gemini x'],
  ['POST /v1/tunedModels/x:predict', 'native generic-json gemini x'],
  ['POST /v1/publishers/google/models/veo-3:predictLongRunning', 'native generic-json gemini veo-3'],
  ['POST /v1beta1/publishers/anthropic/models/claude-x@1:rawPredict', 'native generic-json gemini claude-x@1'],
  ['POST /v1/projects/p/locations/l/publishers/anthropic/models/claude-x:rawPredict', 'native generic-json gemini claude-x'],
  ['POST /v1/projects/p/locations/l/endpoints/7:predict', 'native generic-json gemini 7'],
  ['GET /v1beta/models/gemini-x', 'native generic-json gemini gemini-x'],
  ['POST /v1/files', 'native generic-json openai'],
  ['POST /v1/files', 'native generic-json anthropic', ANTHROPIC],
  ['GET /v1/files', 'native generic-json gemini', { 'x-goog-api-key': 'k' }],
  ['DELETE /v1/files/file-1', 'native generic-json openai'],
  ['GET /v1/files/file-1/content', 'native generic-json openai'],
  ['POST /v1/fine_tuning/jobs', 'native generic-json openai'],
  ['POST /v1/complete', 'native generic-json anthropic'],
  ['POST /upload/v1beta/files', 'native generic-json gemini'],
  ['GET /v1beta/files/abc', 'native generic-json gemini'],
  ['POST /v1alpha/auth_tokens', 'native generic-json gemini'],
  ['POST /v1/projects/p/locations/l/later', 'native generic-json gemini'],
  ['POST /openai/files', 'native generic-json azure'],
  ['GET /openai/deployments/d/later', 'native generic-json azure d'],
]

for (const [request, meaning, headers = {}] of meanings) {
  const [method, path] = request.split(' ')
  test(`${request} ${JSON.stringify(headers)} is: ${meaning}`, () => {
    const { kind, dialect, model, upstream } = at(path, method, headers)
    assert.equal(
      [kind, dialect.name, dialect.vendor.name, ...(model === null ? [] : [model]), ...(upstream === null ? [] : [`@${upstream}`])].join(' '),
      meaning,
    )
  })
}

test('every path of every dialect is found, as its provider spells it, in any letters and with a slash at the end', () => {
  for (const { paths, name, vendor } of dialects)
    for (const path of paths) {
      const asked = path.replaceAll(/\{\w+\}/g, 'The-Name')
      for (const spelling of [asked, `${asked}/`, asked.replace(/[^/:]+$/, (last) => last.toUpperCase())]) {
        const endpoint = at(spelling)
        assert.deepEqual([endpoint.kind, endpoint.dialect.name, endpoint.dialect.vendor.name], ['call', name, vendor.name], spelling)
        if (!path.endsWith('}')) assert.equal(endpoint.path, asked, spelling)
        assert.equal(endpoint.model, path.includes('{model}') ? 'The-Name' : null)
      }
      for (const method of ['PUT', 'PATCH', 'DELETE', 'HEAD']) {
        const refusal = endpointOf(method, asked, {})
        assert.ok(refusal instanceof Refusal && refusal.status === 405 && refusal.headers.join() === 'allow,POST', `${method} ${asked}`)
      }
    }
})

test('no path is described by two dialects', () => {
  const all = dialects.flatMap(({ paths }) => paths.map((path) => path.replaceAll(/\{\w+\}/g, '{}').toLowerCase()))
  assert.equal(new Set(all).size, all.length)
})

/** Spellings that a provider, or something before it, could read as another path. */
const crooked = [
  '/v1/../admin',
  '/v1/./chat/completions',
  '/v1/..',
  '/v1/%2e%2e/admin',
  '/v1/.%2E/admin',
  '/v1//chat/completions',
  '//v1/chat/completions',
  '/v1/chat\\completions',
  '/v1/chat%5ccompletions',
  '/v1/chat%2fcompletions',
  '/v1/chat%2Fcompletions',
  '/v1/chat;x=y/completions',
  '/v1/chat%3bx/completions',
  '/v1/files/a%00b',
  '/v1/files/a%0d%0ab',
  '/v1/files/a%7fb',
  '/v1/files/a%252e%252e',
  '/v1/files/a%3fb=c',
  '/v1/files/a%23b',
  '/v1/chat/c%6fmpletions',
  '/v1/%63hat/completions',
  '/v1/files/a%5fb',
  '/v1/files/%zz',
  '/v1/files/%',
  '/v1/files/a b',
  '/v1/files/a"b',
  '/v1/files/a<b',
  '/v1/files/é',
  '/u/x/../v1/files',
  '/u/a%2fb/v1/files',
  '/u//v1/files',
  '',
  'v1/files',
]
for (const path of crooked) {
  test(`"${path}" is refused: it is not written plainly`, () => {
    const refusal = endpointOf('POST', path, {})
    assert.ok(refusal instanceof Refusal && refusal.reason === 'invalid_request')
    assert.match(refusal.message, /plainly/)
  })
}

test('what is written plainly is taken: names with dots, colons and letters of any language', () => {
  for (const path of [
    '/v1/files/..a',
    '/v1/files/a..',
    '/v1/files/...',
    '/v1/files/a:b@c',
    '/v1/files/%C3%A9%20%E2%82%AC',
    "/v1/files/a!$&'()*+,=-_~b",
    '/v1/files/a%3Ab%26c',
  ]) {
    assert.equal(at(path).path, path)
  }
  assert.equal(at('/openai/deployments/%C3%A9%20x/chat/completions').path, '/openai/deployments/%C3%A9%20x/chat/completions')
})

test('a path that is too long, or no UTF-8 once decoded, is refused', () => {
  for (const path of [`/v1/${'a'.repeat(2046)}`, '/v1/files/%ff', '/u/%ff/v1/files', '/openai/deployments/%c3/chat/completions']) {
    const refusal = endpointOf('POST', path, {})
    assert.ok(refusal instanceof Refusal && refusal.reason === 'invalid_request', path)
  }
  assert.ok('kind' in endpointOf('POST', `/v1/${'a'.repeat(2000)}`, {}))
})

test('a long path of any shape is told apart in linear time', () => {
  for (const path of ['/a'.repeat(1000), `/${'.'.repeat(2000)}`, `/${'%41'.repeat(600)}`, `/${'a'.repeat(2000)} `, `/u/${'a/'.repeat(900)}`])
    endpointOf('POST', path, {})
})

test('what may be a provider’s path, and who asks', () => {
  for (const path of ['/v1/x', '/v1beta/x', '/v1beta1/x', '/v1alpha/x', '/openai/x', '/upload/x', '/u/n/x']) assert.ok(isProviderPath(path), path)
  for (const path of ['/', '/v1', '/v2/x', '/health', '/u/x', '/openaix/y', '/V1/x', '//v1/x']) assert.ok(!isProviderPath(path), path)
  assert.ok(isClientLibrary(ANTHROPIC) && isClientLibrary(GOOGLE) && !isClientLibrary({ 'x-api-key': 'k' }))
  assert.equal(nativeDialectOf('/openai/x', {}).vendor.name, 'azure')
  assert.equal(dialectAt('/v1/later'), null)
})
