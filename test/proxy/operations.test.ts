import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOperations } from '../../src/proxy/operations.ts'

const operations = createOperations({
  version: '1.2.3',
  startedAt: 0,
  now: () => 5_000,
  checks: async () => ({ accepting: { state: 'ok' } }),
  info: () => ({}),
  metrics: { text: async () => 'earthflow_x 1\n', contentType: 'text/plain' },
  adminKey: 'the administrator’s key',
})

test('every operations route answers GET and HEAD, and any other method with 405 and the envelope of the management API', async () => {
  const paths = operations.routes.filter(({ method }) => method === 'GET').map(({ path }) => path)
  assert.ok(paths.length >= 6)
  for (const path of paths) {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const answer = await operations.request(path, { method })
      assert.deepEqual([answer.status, answer.headers.get('allow')], [405, 'GET'], `${method} ${path}`)
      const body = (await answer.json()) as Record<string, unknown>
      assert.deepEqual([body.error, body.request_id], ['METHOD_NOT_ALLOWED', answer.headers.get('x-earthflow-request-id')])
    }
    for (const method of ['GET', 'HEAD']) assert.notEqual((await operations.request(path, { method })).status, 405, `${method} ${path}`)
  }
})

test('a path that is none of these is left to whoever comes after', async () => {
  assert.equal((await operations.request('/healthy', { method: 'POST' })).status, 404)
})
