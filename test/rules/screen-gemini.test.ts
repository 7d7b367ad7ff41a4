/** Gemini's replies: the same chunks as events or, where no events were asked for, as one list. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { geminiGenerate as dialect } from '../../src/dialects/gemini/gemini-generate.ts'
import { Refusal } from '../../src/errors.ts'
import { answer, CARD, inReply, JSON_HEAD, rules, run } from './screened.ts'
import { rule } from './subject.ts'

const chunk = (part: object, more: object = {}) => ({ candidates: [{ content: { parts: [part], role: 'model' }, index: 0, ...more }], modelVersion: 'm' })
const texts = (...pieces: string[]) => pieces.map((text) => chunk({ text }))
const end = chunk({ text: '' }, { finishReason: 'STOP' })
const tool = [rule(inReply('osprey', { target: 'response_tool_arguments' }), 'BLOCK')]
const stopped = (error: unknown): boolean => error instanceof Refusal && error.reason === 'blocked_by_rule'

/** Each sends chunks, and gives back what a client reads of them. */
const ways: Record<string, (chunks: readonly object[], policyRules?: typeof rules) => { chunks: ReturnType<typeof chunk>[]; written: string; sent: string }> = {
  events(chunks, policyRules) {
    const frames = chunks.map((one) => `data: ${JSON.stringify(one)}\r\n\r\n`)
    const { output } = run(dialect, frames, policyRules)
    const parsed = output.split('\r\n\r\n').filter((frame) => frame !== '')
    return { chunks: parsed.map((frame) => JSON.parse(frame.slice('data: '.length))), written: output, sent: frames.join('') }
  },
  'a list': (chunks, policyRules = rules) => listed(`[${chunks.map((one) => JSON.stringify(one, null, 2)).join('\n,\r\n')}\n]\n`, policyRules),
}
function listed(body: string, policyRules: typeof rules) {
  const { output } = answer(body, { dialect, policyRules, headers: [...JSON_HEAD, 'content-length', String(Buffer.byteLength(body))] })
  return { chunks: JSON.parse(output), written: output, sent: body }
}
const read = (chunks: ReturnType<typeof chunk>[]): string =>
  chunks.map(({ candidates: [candidate] }) => (candidate?.content.parts[0] as { text?: string } | undefined)?.text ?? '').join('|')

for (const [name, send] of Object.entries(ways))
  describe(`as ${name}`, () => {
    test('what nothing is found in is passed on byte for byte', () => {
      const { written, sent } = send([...texts('no', ' osprey, 4111 1111'), end])
      assert.equal(written, sent)
    })

    test('a text that goes on from chunk to chunk is one text, and is cut wherever it stands', () => {
      const { chunks, written, sent } = send([...texts('Pay 4111 11', '11 1111', ' 1111 for proj', 'ect osprey.'), end])
      assert.equal(read(chunks), 'Pay [CREDIT_CARD]|| for [REDACTED]|.|')
      assert.ok(!written.includes('osprey'))
      assert.ok(sent.includes('osprey'))
    })

    test('candidates and thoughts are texts apart', () => {
      const two = (index: number, text: string) => ({ candidates: [{ content: { parts: [{ text }], role: 'model' }, index }] })
      const apart = [two(0, 'project '), two(1, 'osprey'), chunk({ text: 'osprey', thought: true }), end]
      const { written, sent } = send(apart)
      assert.equal(written, sent)
    })

    test('a rule stops what it finds in two chunks together, and the arguments of a function in one', () => {
      assert.throws(() => send([...texts('the launch', ' codes'), end]), stopped)
      assert.throws(() => send([chunk({ functionCall: { name: 'f', args: { bird: 'an osprey' } } }), end], tool), stopped)
      assert.doesNotThrow(() => send([...texts('an osprey'), end], tool))
      assert.doesNotThrow(() => send([chunk({ functionCall: { name: 'f', args: { a: 'osp', b: 'rey' } } }), end], tool))
    })

    test('what tells the text in tokens does not leave', () => {
      const logprobsResult = { chosenCandidates: [{ token: CARD, logProbability: 0 }] }
      const { chunks, written } = send([chunk({ text: 'x' }, { logprobsResult }), end])
      assert.ok(!written.includes(CARD))
      assert.deepEqual(
        chunks.map(({ candidates: [candidate] }) => candidate && 'logprobsResult' in candidate && candidate.logprobsResult),
        [null, false],
      )
    })
  })

test('an empty list, and one that is no list of events, pass as they are', () => {
  for (const body of ['[]', ' [ ] ', '["a",1,null]']) assert.equal(answer(body, { dialect }).output, body)
  assert.equal(answer(`["${CARD}"]`, { dialect }).output, '["[CREDIT_CARD]"]')
})
