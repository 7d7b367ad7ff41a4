/** What the formats of calls say of a call as a whole: which models work for it, how much they may answer, for whom. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCallReader } from '../../src/dialects/bodies/read-call.ts'
import { Refusal } from '../../src/errors.ts'
import { at, FORM_TYPE, form, read, refusalOf } from './form.ts'

const readCall = createCallReader()
const said = (path: string, body: object | Buffer) => {
  const isForm = Buffer.isBuffer(body)
  const result = readCall(isForm ? body : Buffer.from(JSON.stringify(body)), isForm ? FORM_TYPE : 'application/json', at(path))
  assert.ok(!(result instanceof Refusal), result instanceof Refusal ? result.message : '')
  return result.call
}
const chat = { model: 'a', messages: [{ role: 'user', content: 'x' }] }

test('models that take over, and tools that are models, are the call’s as well; its own comes first', () => {
  const calls: [path: string, body: object, models: string[]][] = [
    ['/v1/chat/completions', { ...chat, models: ['b', 'a', 'c'] }, ['a', 'b', 'c']],
    [
      '/v1/chat/completions',
      {
        ...chat,
        tools: [
          { type: 'function', function: { name: 'f' } },
          { type: 'image_generation', model: 'b' },
        ],
      },
      ['a', 'b'],
    ],
    ['/v1/responses', { model: 'a', input: 'x', tools: [{ type: 'image_generation', model: 'b' }, { type: 'mcp' }] }, ['a', 'b']],
    ['/v1/messages', { ...chat, tools: [{ type: 'advisor_20260301', name: 'advisor', model: 'b' }], fallbacks: [{ model: 'c' }] }, ['a', 'c', 'b']],
    [
      '/v1/messages/batches',
      {
        requests: [
          { custom_id: '1', params: { ...chat, tools: [{ model: 'b' }] } },
          { custom_id: '2', params: chat },
        ],
      },
      ['a', 'b'],
    ],
    ['/v1/completions', { model: 'a', prompt: 'x', models: ['b'] }, ['a', 'b']],
    ['/openai/deployments/d/chat/completions', { messages: [], models: ['b'] }, ['d', 'b']],
    ['/v1/fim/completions', { model: 'a', models: ['b'] }, ['a', 'b']],
    // A tool's model does not name the call's own.
    ['/v1/responses', { prompt: { id: 'p' }, tools: [{ type: 'image_generation', model: 'b' }] }, []],
    ['/v1/threads/t/runs', { tools: [{ model: 'b' }] }, []],
    ['/v1/chat/completions', { ...chat, models: [{ x: 1 }, '', 7], tools: ['b', { model: {} }], fallbacks: 'b' }, ['a']],
  ]
  for (const [path, body, models] of calls) assert.deepEqual(said(path, body).models, models, `${path} ${JSON.stringify(body)}`)
  const long = { ...chat, tools: [{}, { model: 'm'.repeat(257) }] }
  assert.equal(refusalOf(JSON.stringify(long), 'application/json', at('/v1/messages')).context.param, 'tools[1]')
})

test('in the lines of a batch too', () => {
  const lines = [
    { custom_id: '1', method: 'POST', url: '/v1/chat/completions', body: { ...chat, models: ['b'] } },
    { custom_id: '2', params: { ...chat, max_tokens: 1, tools: [{ type: 'advisor_20260301', model: 'c' }] } },
    { key: '3', request: { model: 'models/d', contents: [{ parts: [{ text: 'x' }] }] } },
  ]
  const body = lines.map((line) => JSON.stringify(line)).join('\n')
  assert.deepEqual(read(body, 'application/jsonl').models, ['a', 'b', 'c', 'd'])
})

test('of several bounds the largest counts, for each of the answers that are asked for at once', () => {
  const contents = [{ parts: [{ text: 'x' }] }]
  const google = '/v1beta/models/m:generateContent'
  const image = (n: string) => form({ name: 'model', content: 'a' }, { name: 'prompt', content: 'x' }, { name: 'n', content: n })
  const calls: [path: string, body: object | Buffer, most: number | null, answers: number][] = [
    ['/v1/chat/completions', { ...chat, max_completion_tokens: 1, max_tokens: 100_000 }, 100_000, 1],
    ['/v1/chat/completions', { ...chat, max_completion_tokens: 100_000, max_tokens: 1, n: 2 }, 200_000, 2],
    ['/v1/chat/completions', { ...chat, max_tokens: -1 }, null, 1],
    ['/v1/chat/completions', { ...chat, n: 128 }, null, 128],
    ['/v1/chat/completions', { ...chat, n: Number.MAX_SAFE_INTEGER }, null, 2 ** 20],
    ['/v1/completions', { model: 'a', prompt: ['x', 'y'], best_of: 3 }, null, 6],
    ['/v1/messages', { ...chat, max_tokens: 1, fallbacks: [{ model: 'b', max_tokens: 100_000 }, { model: 'c' }] }, 100_000, 1],
    ['/v1/messages', { ...chat, max_tokens: 0 }, 0, 1],
    ['/v1/images/generations', { model: 'a', prompt: 'x', n: 10 }, null, 10],
    ['/v1/images/edits', image('10'), null, 10],
    ['/v1/images/edits', image('many'), null, 1],
    [google, { contents, generationConfig: { candidateCount: 4 } }, null, 4],
    [google, { contents, generationConfig: { maxOutputTokens: 1, max_output_tokens: 9 } }, 9, 1],
    ['/v1/fim/completions', { model: 'a', max_tokens: 100_000, n: 2 }, 200_000, 2],
  ]
  for (const [path, body, most, answers] of calls) {
    const call = said(path, body)
    const asked = call as typeof call & { answers?: number }
    assert.deepEqual([asked.maxOutputTokens, asked.answers ?? 1], [most, answers], `${path} ${JSON.stringify(body)}`)
  }
})

test('the user is OpenAI’s `user` or what comes after it, in JSON and in a form; an empty one hides no other', () => {
  const users: [body: object | Buffer, metadata: object][] = [
    [{ ...chat, user: 'u' }, { user: 'u' }],
    [{ ...chat, safety_identifier: 's' }, { user: 's' }],
    [{ ...chat, user: 'u', safety_identifier: 's' }, { user: 'u' }],
    [{ ...chat, user: '', safety_identifier: 's' }, { user: 's' }],
    [
      { ...chat, user: 'u', metadata: { user: '', team: 'blue' } },
      { user: 'u', team: 'blue' },
    ],
    [{ ...chat, metadata: { user: 'm' } }, { user: 'm' }],
    [chat, {}],
  ]
  for (const [body, metadata] of users) assert.deepEqual(said('/v1/chat/completions', body).metadata, metadata, JSON.stringify(body))
  const image = (...fields: [name: string, content: string, filename?: string][]) =>
    said(
      '/v1/images/edits',
      form({ name: 'model', content: 'a' }, ...fields.map(([name, content, filename]) => ({ name, content, ...(filename && { filename }) }))),
    ).metadata
  assert.deepEqual(image(['user', 'u'.repeat(300)]), { user: 'u'.repeat(256) })
  assert.deepEqual(image(['user', ''], ['safety_identifier', 's']), { user: 's' })
  assert.deepEqual(image(['user', 'u', 'user.txt']), {})
})
