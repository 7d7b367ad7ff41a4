/** However a secret is cut into streamed pieces, nothing of it reaches the client. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { geminiGenerate } from '../../src/dialects/gemini/gemini-generate.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { openaiResponses } from '../../src/dialects/openai/openai-responses.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import type { Verdict } from '../../src/rules/policy.ts'
import { screenFor } from '../../src/rules/replies/screen.ts'
import type { Action, Condition } from '../../src/rules/rule.ts'
import { tenantNamed } from '../harness/nouns.ts'
import { CARD, inReply, SSE } from './screened.ts'
import { ask, rule } from './subject.ts'

const AWS = 'AKIAIOSFODNN7EXAMPLE' // of AWS's documentation
const IBAN = 'DE89 3704 0044 0532 0130 00'
const MAIL = 'jane.doe@example.com'
const finds = (value: string): Condition => ({ operator: 'detects', value, target: 'response' })
const says = (value: string): Condition => inReply(value)
const base64 = (text: string): string => Buffer.from(text).toString('base64')
/** Every character as an escape of JSON. */
const escaped = (text: string): string => Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
/** With characters between that nobody sees: zero-width space, non-joiner, joiner, word joiner. */
const zeroWidth = (text: string): string => text.replace(/(.{3})(.{3})(.{2})(.{3})/, '$1\u200b$2\u200c$3\u200d$4\u2060')

/** What is hidden, how it is written, and the rule that finds it. `kinds` where it is no secret in one of them. */
const cases: readonly { name: string; secret: string; condition: Condition; placeholder: string; kinds?: readonly Kind[]; escapes?: true }[] = [
  { name: 'a card number', secret: CARD, condition: finds('credit_card'), placeholder: '[CREDIT_CARD]' },
  { name: 'an AWS key', secret: AWS, condition: finds('secret'), placeholder: '[SECRET]' },
  { name: 'a phrase', secret: 'Project Osprey', condition: says('project osprey'), placeholder: '[REDACTED]' },
  { name: 'a phrase with letters of several bytes', secret: 'STRAẞE Übermorgen', condition: says('straße übermorgen'), placeholder: '[REDACTED]' },
  { name: 'an e-mail address', secret: MAIL, condition: finds('email'), placeholder: '[EMAIL]' },
  { name: 'an IBAN', secret: IBAN, condition: finds('iban'), placeholder: '[IBAN]' },
  { name: 'a card number that the provider escapes', secret: CARD, condition: finds('credit_card'), placeholder: '[CREDIT_CARD]', escapes: true },
  { name: 'a phrase that the provider escapes', secret: 'Straße Osprey', condition: says('straße osprey'), placeholder: '[REDACTED]', escapes: true },
  // Hidden on purpose.
  { name: 'an AWS key in Base64', secret: base64(`key ${AWS}`), condition: finds('secret'), placeholder: '[SECRET]' },
  { name: 'a card number in Base64', secret: base64(`no. ${CARD}`), condition: finds('credit_card'), placeholder: '[CREDIT_CARD]' },
  { name: 'an AWS key with zero-width characters', secret: zeroWidth(AWS), condition: finds('secret'), placeholder: '[SECRET]' },
  { name: 'a card number with zero-width characters', secret: zeroWidth(CARD), condition: finds('credit_card'), placeholder: '[CREDIT_CARD]' },
  { name: 'a phrase with zero-width characters', secret: zeroWidth('Project Osprey'), condition: says('project osprey'), placeholder: '[REDACTED]' },
  {
    name: 'a card number of which the arguments escape a part',
    secret: escaped(CARD.slice(0, 4)) + CARD.slice(4),
    condition: finds('credit_card'),
    placeholder: '[CREDIT_CARD]',
    kinds: ['args'],
  },
  { name: 'a phrase that the arguments escape', secret: escaped('osprey'), condition: says('osprey'), placeholder: '[REDACTED]', kinds: ['args'] },
]

type Kind = 'text' | 'args'
interface Format {
  dialect: Dialect
  /** An event with a piece of a text. `json` writes a string of JSON. */
  piece: Record<Kind, (json: string) => string>
  /** What a client reads of an event, as a path. */
  read: (event: never) => string | undefined
  /** How the stream ends; some tell the text once more. */
  end: (kind: Kind, json: string) => string
  /** The text that the end tells, if it does. */
  retold?: (event: never) => string | undefined
}
const typed = (type: string, more: string): string => `event: ${type}\ndata: {"type":"${type}",${more}}\n\n`
const at = '"item_id":"i","output_index":0,"content_index":0'
const formats: readonly Format[] = [
  {
    dialect: openaiChat,
    piece: {
      text: (json) => `data: {"id":"c","choices":[{"index":0,"delta":{"content":${json}},"finish_reason":null}]}\n\n`,
      args: (json) => `data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":${json}}}]},"finish_reason":null}]}\n\n`,
    },
    read: ({ choices: [{ delta }] }: { choices: { delta: { content?: string; tool_calls?: { function: { arguments: string } }[] } }[] }) =>
      delta.content ?? delta.tool_calls?.[0].function.arguments,
    end: () => 'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
  },
  {
    dialect: openaiResponses,
    piece: {
      text: (json) => typed('response.output_text.delta', `${at},"delta":${json}`),
      args: (json) => typed('response.function_call_arguments.delta', `${at},"delta":${json}`),
    },
    read: ({ delta }: { delta?: string }) => delta,
    end: (kind, json) =>
      kind === 'text'
        ? typed('response.output_text.done', `${at},"text":${json}`)
        : typed('response.function_call_arguments.done', `${at},"arguments":${json}`),
    retold: ({ text, arguments: args }: { text?: string; arguments?: string }) => text ?? args,
  },
  {
    dialect: anthropicMessages,
    piece: {
      text: (json) => typed('content_block_delta', `"index":0,"delta":{"type":"text_delta","text":${json}}`),
      args: (json) => typed('content_block_delta', `"index":0,"delta":{"type":"input_json_delta","partial_json":${json}}`),
    },
    read: ({ delta }: { delta?: { text?: string; partial_json?: string } }) => delta?.text ?? delta?.partial_json,
    end: () => typed('content_block_stop', '"index":0') + typed('message_stop', '"x":0'),
  },
  {
    dialect: geminiGenerate,
    piece: {
      text: (json) => `data: {"candidates":[{"content":{"parts":[{"text":${json}}],"role":"model"},"index":0}]}\r\n\r\n`,
      args: (json) =>
        `data: {"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.q","stringValue":${json}}],"willContinue":true}}],"role":"model"},"index":0}]}\r\n\r\n`,
    },
    read: ({
      candidates: [{ content }],
    }: {
      candidates: { content?: { parts: { text?: string; functionCall?: { partialArgs: { stringValue: string }[] } }[] } }[]
    }) => content?.parts[0].text ?? content?.parts[0].functionCall?.partialArgs[0].stringValue,
    end: () => 'data: {"candidates":[{"finishReason":"STOP","index":0}]}\r\n\r\n',
  },
]

const verdictOf = (condition: Condition, action: Action): Verdict => compile(1, [rule(condition, action, { id: 'r' })]).judge(ask('hi'))
const tenant = tenantNamed('t_1')

/** Chunk by chunk through a screen, up to where a rule stops it. */
function send(dialect: Dialect, verdict: Verdict, chunks: readonly (string | Buffer)[]): { output: string; isStopped: boolean } {
  const screen = screenFor(verdict, dialect, { tenant }) ?? assert.fail('no screen')
  let output = ''
  const data = (chunk: Buffer): boolean => {
    output += chunk.toString()
    return true
  }
  const sink = screen.wrap({ head() {}, data, end() {}, error() {} })
  sink.head(200, [...SSE])
  try {
    for (const chunk of chunks) sink.data(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    sink.end()
    return { output, isStopped: false }
  } catch (error) {
    if (!(error instanceof Refusal) || error.reason !== 'blocked_by_rule') throw error
    sink.error()
    return { output, isStopped: true }
  }
}

/** What a client reads: the pieces together, and where the end tells it again, that too. */
function heard({ read, retold }: Format, output: string): { said: string; again: string | undefined } {
  let said = ''
  let again: string | undefined
  for (const line of output.split(/\r?\n/)) {
    if (!line.startsWith('data: {')) continue
    const event = JSON.parse(line.slice('data: '.length)) as never
    said += read(event) ?? ''
    again ??= retold?.(event)
  }
  return { said, again }
}

const edges = { text: ['Note: ', ', ok? Bye.'], args: ['{"q":"Note: ', ', ok?"}'] } as const

/** Every way to cut the text into three, of which both cuts lie in the secret or up to this far beside it; never within a character. */
const BESIDE = 2
function* threePieces(before: string, secret: string, text: string): Generator<[string, string, string]> {
  const from = Math.max(0, before.length - BESIDE)
  const to = Math.min(text.length, before.length + secret.length + BESIDE)
  for (let a = from; a <= to; a++) for (let b = a; b <= to; b++) yield [text.slice(0, a), text.slice(a, b), text.slice(b)]
}

for (const format of formats)
  for (const kind of ['text', 'args'] as const)
    describe(`${format.dialect.name} ${kind}`, () => {
      for (const { name, secret, condition, placeholder, kinds, escapes } of cases) {
        if (kinds && !kinds.includes(kind)) continue
        const [before, after] = edges[kind]
        const text = before + secret + after
        const json = (piece: string): string => (escapes ? `"${escaped(piece)}"` : JSON.stringify(piece))
        const chunksOf = (pieces: readonly string[]): string[] => [...pieces.map((piece) => format.piece[kind](json(piece))), format.end(kind, json(text))]

        test(`${name}: however it is cut, a client reads what it reads of the whole, in which the placeholder stands for all of it`, () => {
          const verdict = verdictOf(condition, 'REDACT')
          const whole = heard(format, send(format.dialect, verdict, chunksOf([text])).output)
          assert.equal(whole.said, before + placeholder + after)
          assert.equal(whole.again, format.retold && whole.said)
          for (const pieces of threePieces(before, secret, text)) {
            const { output, isStopped } = send(format.dialect, verdict, chunksOf(pieces))
            const { said, again } = heard(format, output)
            if (said !== whole.said || again !== whole.again || isStopped) assert.deepEqual({ pieces, said, again, isStopped }, { ...whole, isStopped: false })
          }
        })

        test(`${name}: however it is cut, a rule that blocks stops the reply before anything of it has left`, () => {
          const verdict = verdictOf(condition, 'BLOCK')
          for (const pieces of threePieces(before, secret, text)) {
            const { output, isStopped } = send(format.dialect, verdict, chunksOf(pieces))
            const { said } = heard(format, output)
            if (!isStopped || !before.startsWith(said)) assert.deepEqual({ pieces, said, isStopped }, { said: before, isStopped: true })
          }
        })
      }
    })

for (const format of formats)
  test(`${format.dialect.name}: cut at any byte into network chunks, and byte by byte, the stream that leaves is the same`, () => {
    for (const [kind, secret] of [
      ['text', `é ${CARD}`],
      ['args', CARD],
    ] as const) {
      const [before, after] = edges[kind]
      const text = before + secret + after
      const cuts = [0, before.length + 3, before.length + 9, text.length]
      const pieces = cuts.slice(1).map((end, i) => format.piece[kind](JSON.stringify(text.slice(cuts[i], end))))
      const bytes = Buffer.from(pieces.join('') + format.end(kind, JSON.stringify(text)))
      for (const action of ['REDACT', 'BLOCK'] as const) {
        const verdict = verdictOf(finds('credit_card'), action)
        const whole = send(format.dialect, verdict, [bytes])
        assert.equal(whole.isStopped, action === 'BLOCK')
        assert.ok(!whole.output.includes('11'), whole.output)
        for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(send(format.dialect, verdict, [bytes.subarray(0, cut), bytes.subarray(cut)]), whole)
        const bytewise = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))
        assert.deepEqual(send(format.dialect, verdict, bytewise), whole)
      }
    }
  })
