/** What tells a reply's text once more, token by token, must not tell what was cut from it. */
import assert from 'node:assert/strict'
import { StringDecoder } from 'node:string_decoder'
import { test } from 'node:test'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import type { Rule } from '../../src/rules/rule.ts'
import { answer, CARD, card, inReply, JSON_HEAD, openai, run } from './screened.ts'
import { rule } from './subject.ts'

/** A token as OpenAI tells it: of one that is no whole character only the bytes say what it is. */
const tokenOf = (bytes: Buffer) => ({ token: bytes.toString(), logprob: -0.1, bytes: [...bytes] })
const logprobsOf = (tokens: readonly Buffer[]) => ({
  content: tokens.map((bytes) => ({ ...tokenOf(bytes), top_logprobs: [tokenOf(bytes), tokenOf(Buffer.from('other'))] })),
  refusal: null,
})
const eventOf = (content: string, logprobs: unknown): string =>
  `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content }, logprobs, finish_reason: null }] })}\n\n`
const bodyOf = (content: string, logprobs: unknown): string =>
  JSON.stringify({ id: 'c', choices: [{ index: 0, message: { role: 'assistant', content }, logprobs, finish_reason: 'stop' }] })

/** Every way to cut a text into three tokens, between any two bytes; each token with the characters that are whole once it came. */
function* threeTokens(text: string): Generator<{ bytes: Buffer; content: string }[]> {
  const all = Buffer.from(text)
  for (let a = 0; a <= all.length; a++)
    for (let b = a; b <= all.length; b++) {
      const decoder = new StringDecoder('utf8')
      yield [all.subarray(0, a), all.subarray(a, b), all.subarray(b)].map((bytes) => ({ bytes, content: decoder.write(bytes) }))
    }
}
const contents = (output: string): string =>
  output
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)).choices[0].delta.content ?? '')
    .join('')

for (const [secret, placeholder] of [
  [CARD, '[CREDIT_CARD]'],
  ['STRAẞE', '[REDACTED]'],
] as const) {
  const text = `Pay ${secret}, ok?`
  const cut = text.replace(secret, placeholder)

  test(`however "${secret}" is cut into tokens, a stream tells none of them, and no byte else is changed`, () => {
    for (const tokens of threeTokens(text)) {
      const stream = (withLogprobs: boolean): string =>
        tokens.map(({ bytes, content }) => eventOf(content, withLogprobs ? logprobsOf([bytes]) : null)).join('') + openai.end
      const { output, counts } = run(openaiChat, [stream(true)])
      assert.equal(output, run(openaiChat, [stream(false)]).output)
      assert.equal(contents(output), cut)
      assert.equal(counts.length === 1 && counts[0][1], 1, 'counted once, where it was said')
    }
  })

  test(`however "${secret}" is cut into tokens, a reply in one piece tells none of them, and no byte else is changed`, () => {
    for (const tokens of threeTokens(text)) {
      const { output, headers, counts } = answer(bodyOf(text, logprobsOf(tokens.map(({ bytes }) => bytes))))
      assert.equal(output, bodyOf(cut, null))
      assert.deepEqual(headers, [...JSON_HEAD, 'content-length', String(Buffer.byteLength(output))])
      assert.equal(counts.length === 1 && counts[0][1], 1)
    }
  })
}

const tokens = ['an ', 'os', 'prey ', 'launch codes'].map((token) => Buffer.from(token))
const shapes: Readonly<Record<string, unknown>> = {
  'with refused tokens': { content: null, refusal: logprobsOf(tokens).content },
  'with reasoned tokens': { content: [], reasoning_content: logprobsOf(tokens).content },
  'as lists': { tokens: ['project ', 'osprey'], token_logprobs: [-1, -2], token_ids: [1, 2], top_logprobs: [{ 'launch codes': -1 }, { 'project osprey': -2 }] },
  'in a shape nobody knows': [{ 'project osprey': ['launch', ' codes'] }],
}
for (const [shape, logprobs] of Object.entries(shapes))
  test(`tokens ${shape} are withheld, though the text beside them is clean: they do not leave, so they stop nothing`, () => {
    assert.deepEqual(answer(bodyOf('hello', logprobs)).output, bodyOf('hello', null))
    const { output, counts } = run(openaiChat, [eventOf('hello', logprobs), openai.end])
    assert.equal(output, eventOf('hello', null) + openai.end)
    assert.deepEqual(counts, [])
  })

test('the numbers of tokens are withheld like the tokens, in every choice', () => {
  const body = (ids: unknown): string =>
    JSON.stringify({ choices: [0, 1].map((index) => ({ token_ids: ids, index, message: { content: `x ${index}` }, logprobs: ids })) })
  assert.equal(answer(body([15496, 995])).output, body(null))
  const event = (ids: unknown): string => `data: ${JSON.stringify({ choices: [0, 1].map((index) => ({ index, delta: {}, token_ids: ids })) })}\n\n`
  assert.equal(run(openaiChat, [event([15496])]).output, event(null))
})

test('where rules only count, and where the rule that cuts is not about this call, tokens flow as they came and are not counted again', () => {
  const only = (...policyRules: Rule[]) => policyRules
  const text = `an osprey ${CARD}`
  const logprobs = logprobsOf([Buffer.from('an '), Buffer.from('osprey'), Buffer.from(` ${CARD}`)])
  const forOthers = { all: [inReply('osprey'), { operator: 'equals', value: 'another-model', target: 'model' as const }] }
  const quiet = only(
    rule(inReply('osprey'), 'WARN', { id: 'warn' }),
    rule(card, 'BLOCK', { id: 'shadow', mode: 'shadow' }),
    rule(forOthers, 'REDACT', { id: 'no' }),
  )
  const plain = answer(bodyOf(text, logprobs), { policyRules: quiet })
  assert.equal(plain.output, bodyOf(text, logprobs))
  const streamed = run(openaiChat, [eventOf(text, logprobs), openai.end], quiet)
  assert.equal(streamed.output, eventOf(text, logprobs) + openai.end)
  for (const { counts } of [plain, streamed])
    assert.deepEqual(counts.sort(), [
      ['shadow', 1],
      ['warn', 1],
    ])
})

test('a text that only bears the name is judged: withheld is a member of a choice and nothing else', () => {
  const body = (note: string): string => JSON.stringify({ choices: [{ message: { content: 'x', logprobs: note } }], logprobs: note })
  assert.equal(answer(body(`see ${CARD}`)).output, body('see [CREDIT_CARD]'))
})
