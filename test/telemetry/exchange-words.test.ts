/** The words in which an exchange is told to operators: few, and none of them a caller's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Endpoint, endpointOf } from '../../src/dialects/endpoint.ts'
import { dialects } from '../../src/dialects/index.ts'
import { Failure, Refusal, reasons } from '../../src/errors.ts'
import { consequenceOf, faultOf } from '../../src/pipeline/consequence.ts'
import { answerAttributes, operationOf, usageAttributes } from '../../src/pipeline/gen-ai.ts'
import { routeName } from '../../src/pipeline/route-name.ts'
import type { Outcome } from '../../src/pipeline/stage.ts'

const endpointAt = (path: string, method = 'POST'): Endpoint => {
  const endpoint = endpointOf(method, path, {})
  assert.ok(!(endpoint instanceof Refusal), path)
  return endpoint
}

test('every path of every dialect is named as its list has it, whatever stands in its placeholders', () => {
  for (const { paths } of dialects)
    for (const path of paths) {
      const name = routeName(endpointAt(path.replaceAll(/\{\w+\}/g, 'my%20secret-wish')))
      assert.ok(!name.includes('secret'), name)
      assert.match(name, /^\/[\w/{}:.-]+$/)
      assert.equal(endpointAt(path.replaceAll(/\{\w+\}/g, 'm')).kind, 'call')
    }
  assert.equal(routeName(endpointAt('/V1/Chat/Completions/')), '/v1/chat/completions')
  assert.equal(routeName(endpointAt('/openai/deployments/my-wish/chat/completions')), '/openai/deployments/{model}/chat/completions')
  assert.equal(routeName(endpointAt('/u/somebody/v1/messages')), '/v1/messages')
  assert.equal(routeName(endpointAt('/v1/models', 'GET')), '/v1/models')
  assert.equal(routeName(endpointAt('/v1/files/my-wish', 'GET')), '/v1/*')
  assert.equal(routeName(endpointAt('/v1beta/files/my-wish', 'GET')), '/v1beta/*')
})

test('what a model is asked to do is said in the words of the conventions', () => {
  const words = [
    '/v1/chat/completions',
    '/v1/messages',
    '/v1/responses',
    '/v1/completions',
    '/v1/embeddings',
    '/v1beta/models/{model}:streamGenerateContent',
  ].map(operationOf)
  assert.deepEqual(words, ['chat', 'chat', 'chat', 'text_completion', 'embeddings', 'generate_content'])
  assert.deepEqual(['/v1/messages/count_tokens', '/v1/images/generations', '/v1/*', '/v1/models'].map(operationOf), [
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

test('of an answer nothing is told but words that are known, and a model that is akin to the one asked for', () => {
  const answer = '{"model":"gpt-4o-2024-08-06","choices":[{"finish_reason":"stop"},{"finish_reason":"length"},{"finish_reason":"stop"}]}'
  assert.deepEqual(answerAttributes(answer, 'gpt-4o'), { 'gen_ai.response.finish_reasons': ['stop', 'length'], 'gen_ai.response.model': 'gpt-4o-2024-08-06' })
  const nothing = { 'gen_ai.response.finish_reasons': undefined, 'gen_ai.response.model': undefined }
  assert.deepEqual(answerAttributes('{"model":"my-secret-wish","finish_reason":"secret"}', 'gpt-4o'), nothing)
  assert.deepEqual(answerAttributes('{"text":"\\"finish_reason\\":\\"stop\\" \\"model\\":\\"gpt-4o\\""}', 'gpt-4o'), nothing, 'within a text it is text')
  assert.deepEqual(answerAttributes(answer, null)['gen_ai.response.model'], undefined)
  assert.deepEqual(answerAttributes('{"modelVersion":"gemini-2.5-pro","candidates":[{"finishReason":"MAX_TOKENS"}]}', 'gemini-2.5-pro'), {
    'gen_ai.response.finish_reasons': ['MAX_TOKENS'],
    'gen_ai.response.model': 'gemini-2.5-pro',
  })
  assert.deepEqual(
    Object.entries(usageAttributes({ input_tokens: 1, output_tokens: 2, cached_input_tokens: 3 })).filter(([, value]) => value !== undefined),
    [
      ['gen_ai.usage.input_tokens', 1],
      ['gen_ai.usage.output_tokens', 2],
      ['gen_ai.usage.cache_read.input_tokens', 3],
    ],
  )
})

const refused = (reason: keyof typeof reasons, stage = 'admit'): Outcome => ({ kind: 'refused', stage, refusal: new Refusal(reason, '') })
const failed = (reason: keyof typeof reasons, stage = 'forward'): Outcome => ({ kind: 'failed', stage, error: new Failure(reason, null) })

test('an exchange is as loud as what became of it', () => {
  const loud = (outcome: Outcome, status: number | null): string => consequenceOf(outcome, status)
  assert.equal(loud({ kind: 'completed' }, 200), 'info')
  assert.equal(loud({ kind: 'completed' }, 404), 'warn')
  assert.equal(loud({ kind: 'completed' }, 503), 'error')
  assert.equal(loud({ kind: 'cancelled', isSlow: false }, null), 'info')
  assert.equal(loud({ kind: 'cancelled', isSlow: true }, 200), 'warn')
  for (const reason of ['blocked_by_rule', 'rate_limited', 'budget_exceeded', 'unauthenticated', 'draining'] as const)
    assert.equal(loud(refused(reason), reasons[reason].status), 'warn', reason)
  assert.equal(loud(refused('audit_unavailable'), 503), 'error')
  assert.equal(loud(failed('upstream_unreachable'), 200), 'error', 'a stream that broke off had its 200 long before')
  assert.equal(loud(failed('scan_budget', 'judge'), 403), 'warn')
})

test('a failure is laid to whom it belongs', () => {
  assert.deepEqual(faultOf(failed('upstream_timeout'), 504), { of: 'provider', reason: 'upstream_timeout' })
  assert.deepEqual(faultOf(failed('unavailable'), 503), { of: 'provider', reason: 'unavailable' })
  assert.deepEqual(faultOf(failed('unavailable', 'judge'), 503), { of: 'earthflow', reason: 'unavailable' })
  assert.deepEqual(faultOf({ kind: 'failed', stage: 'judge', error: new TypeError('x') }, 500), { of: 'earthflow', reason: 'internal' })
  assert.deepEqual(faultOf({ kind: 'completed' }, 500), { of: 'provider', reason: 'answered' })
  assert.deepEqual(faultOf(refused('overloaded'), 503), { of: 'earthflow', reason: 'overloaded' })
  for (const [outcome, status] of [
    [refused('draining'), 503],
    [refused('rate_limited'), 429],
    [{ kind: 'completed' }, 429],
    [{ kind: 'cancelled', isSlow: false }, null],
  ] as const)
    assert.equal(faultOf(outcome, status), null)
})
