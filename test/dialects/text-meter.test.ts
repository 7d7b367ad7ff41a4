import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Role } from '../../src/call.ts'
import { type Dialect, WHOLE_TEXT } from '../../src/dialects/dialect.ts'
import { frameData, nextFrame } from '../../src/dialects/events/event-stream.ts'
import { formats } from '../../src/dialects/index.ts'
import { createTextMeter } from '../../src/dialects/text-meter.ts'
import { createTextScanner } from '../../src/dialects/text-scanner.ts'
import { createSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts'
import { readEvent, readReply, spellings } from './places.ts'

/** What a model wrote. */
const written: ReadonlySet<Role> = new Set<Role>(['assistant', 'thinking', 'tool_arguments'])

/** The bytes of text in a body, after the dialect's own reader. What an event tells whole counts only where nothing is told in pieces. */
function bytesRead(dialect: Dialect, body: Buffer): number {
  if (!/^(?:data|event|:)/.test(body.toString('latin1', 0, 8))) {
    return sumOf(readReply(dialect, body.toString()).found.filter(({ role }) => written.has(role)))
  }
  const retells = dialect.name === 'openai-responses' || dialect.name === 'openai-audio'
  let sum = 0
  for (let at = 0, end = nextFrame(body, 0); end > 0; at = end, end = nextFrame(body, at)) {
    const frame = body.subarray(at, end)
    const data = frameData(frame)
    if (data === null || data === 'several' || frame[data.start] !== 0x7b) continue
    const { pieces } = readEvent(dialect, JSON.parse(frame.toString('utf8', data.start, data.end)))
    sum += sumOf(pieces.flatMap(([channel, role, text]) => (written.has(role) && (channel !== WHOLE_TEXT || !retells) ? [{ text }] : [])))
  }
  return sum
}
const sumOf = (texts: readonly { text: string }[]): number => texts.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)

/** What the meter says of the chunks, asked after each of them. */
function metered(...chunks: readonly Buffer[]): number {
  const meter = createTextMeter()
  let tokens = 0
  for (const chunk of chunks) {
    meter.add(chunk)
    tokens = meter.tokens
  }
  return tokens
}
function scanned(...chunks: readonly (Buffer | string)[]): number {
  const scanner = createTextScanner()
  for (const chunk of chunks) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    scanner.scan(bytes, bytes.length)
  }
  return scanner.bytes
}
const cut = (body: Buffer, size: number): Buffer[] => Array.from({ length: Math.ceil(body.length / size) }, (_, i) => body.subarray(i * size, (i + 1) * size))

describe('what the sandbox answers', () => {
  let sandbox: Sandbox
  before(async () => {
    sandbox = await createSandbox()
  })
  after(() => sandbox.close())
  const text = 'Grüße "an\\alle"\n🌍 \u0001 data: {"content":"x"} '
  const messages = [{ role: 'user', content: text }]
  const schema = { type: 'object', properties: { city: { type: 'string', minLength: 80 }, days: { type: 'integer' } }, required: ['city', 'days'] }
  const model = 'sandbox'
  const contents = [{ role: 'user', parts: [{ text }] }]
  const functionDeclarations = [{ name: 'f', parameters: schema }]
  const asks: readonly [dialect: string, path: string, body: object][] = [
    ['openai-chat', '/v1/chat/completions', { model, messages, n: 2 }],
    ['openai-chat', '/v1/chat/completions', { model, messages, tools: [{ type: 'function', function: { name: 'f', parameters: schema } }] }],
    ['openai-completions', '/v1/completions', { model, prompt: [text, 'again'] }],
    ['openai-responses', '/v1/responses', { model, input: text, instructions: text, metadata: { text } }],
    ['openai-responses', '/v1/responses', { model, input: text, tools: [{ type: 'function', name: 'f', parameters: schema }] }],
    ['anthropic-messages', '/v1/messages', { model, max_tokens: 9, messages }],
    ['anthropic-messages', '/v1/messages', { model, max_tokens: 9, messages, tools: [{ name: 'f', input_schema: schema }] }],
    ['gemini', '/v1beta/models/sandbox:generateContent', { contents }],
    ['gemini', '/v1beta/models/sandbox:generateContent', { contents, tools: [{ functionDeclarations }] }],
    ['openai-audio', '/v1/audio/transcriptions', { model, prompt: text }],
  ]
  const streamed = (path: string): string => (path.endsWith(':generateContent') ? `${path.replace(/:.*/, ':streamGenerateContent')}?alt=sse` : path)
  async function ask(path: string, body: object): Promise<Buffer> {
    const form = new FormData()
    for (const [name, value] of Object.entries(body)) form.set(name, String(value))
    form.set('file', new Blob(['x']), 'a.wav')
    const isForm = path.endsWith('/transcriptions')
    const response = await fetch(sandbox.origin + path, {
      method: 'POST',
      body: isForm ? form : JSON.stringify(body),
      ...(!isForm && { headers: { 'content-type': 'application/json' } }),
    })
    const answer = Buffer.from(await response.arrayBuffer())
    assert.equal(response.status, 200, answer.toString())
    return answer
  }

  for (const [name, path, body] of asks) {
    const dialect = formats.find((one) => one.name === name) as Dialect
    for (const stream of [false, true]) {
      test(`${name}, ${Object.keys(body)}, ${stream ? 'streamed' : 'plain'}: the meter says what the dialect's reader says, however the bytes are cut`, async () => {
        const answer = await ask(stream ? streamed(path) : path, stream && name !== 'gemini' ? { ...body, stream: true } : body)
        const bytes = bytesRead(dialect, answer)
        assert.ok(bytes > 20, answer.toString())
        const tokens = metered(answer)
        // Arguments that come as an object count with their names and brackets.
        const most = 'tools' in body && /gemini|anthropic/.test(name) ? bytes * 1.5 + 40 : bytes
        assert.ok(tokens >= Math.ceil(bytes / 4) && tokens <= Math.ceil(most / 4), `${tokens} of ${bytes} bytes`)
        assert.equal(metered(...cut(answer, 1)), tokens)
        const exactly = scanned(answer)
        for (let at = 1; at < answer.length; at += 11) assert.equal(scanned(answer.subarray(0, at), answer.subarray(at)), exactly, `cut at ${at}`)
      })
    }

    test(`${name}, ${Object.keys(body)}: a stream that is left early has been counted as far as it came`, async () => {
      const answer = await ask(streamed(path), name === 'gemini' ? body : { ...body, stream: true })
      const meter = createTextMeter()
      for (let at = 0, end = nextFrame(answer, 0); end > 0; at = end, end = nextFrame(answer, at)) {
        meter.add(answer.subarray(at, end))
        assert.ok(meter.tokens >= Math.ceil(bytesRead(dialect, answer.subarray(0, end)) / 4), answer.toString('utf8', 0, end))
      }
    })
  }
})

const sse = (...events: readonly object[]): string => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
const chat = (delta: object): object => ({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: null }], usage: null })

test('whatever the texts, the writing and the cuts: every byte of a text counts once', () => {
  const shapes: readonly ((text: string) => object)[] = [
    (text) => chat({ content: text }),
    (text) => chat({ reasoning_content: text }),
    (text) => chat({ content: [{ type: 'text', text }] }),
    (text) => chat({ tool_calls: [{ index: 0, id: 'call', function: { name: 'content', arguments: text } }] }),
    (text) => chat({ audio: { id: 'a', transcript: text, data: 'content' } }),
    (text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: text } }),
    (text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: text } }),
    (text) => ({ candidates: [{ content: { role: 'model', parts: [{ text, thoughtSignature: 'text' }] } }] }),
    (text) => ({ type: 'response.reasoning_summary_text.delta', item_id: 'text', delta: text, obfuscation: 'content' }),
  ]
  const events = fc.array(fc.tuple(fc.constantFrom(...shapes), fc.string({ unit: 'binary', maxLength: 40 })), { minLength: 1, maxLength: 8 })
  const property = fc.property(events, fc.constantFrom('tight', 'escaped'), fc.integer({ min: 1, max: 97 }), (told, spelling, size) => {
    const body = Buffer.from(told.map(([shape, text]) => `data: ${spellings[spelling](shape(text))}\r\n\r\n`).join(''))
    assert.equal(scanned(...cut(body, size)), sumOf(told.map(([, text]) => ({ text }))))
  })
  fc.assert(property, { numRuns: 400 })
})

test('a plain reply counts while it comes, also when it is written over many lines, and holds the words of the format as text', () => {
  const text = '"content": "x", {\n'.repeat(500)
  const choices = [{ message: { role: 'assistant', content: text, refusal: null, tool_calls: [{ function: { name: 'f', arguments: '{"a":[true]}' } }] } }]
  for (const write of Object.values(spellings)) {
    const body = Buffer.from(write({ id: 'x', choices, usage: { prompt_tokens: 1 } }))
    assert.equal(scanned(...cut(body, 1000)), text.length + 12)
    assert.ok(Math.abs(scanned(body.subarray(0, 5000)) - 4000) < 1200)
  }
})

test('arguments that are an object count as if they were a string, without the blanks between', () => {
  const input = { city: 'Rome', days: [1, 2.5, true, null], deep: { text: 'a  b', type: 'response.completed' } }
  const block = { type: 'tool_use', id: 't', name: 'f', input }
  for (const write of [spellings.tight, spellings.spaced])
    for (const size of [1, 7, 1000])
      assert.equal(scanned(...cut(Buffer.from(write({ content: [block, { type: 'text', text: 'after' }] })), size)), JSON.stringify(input).length - 2 + 5)
})

test('a text of a response counts once, in pieces or whole, and one that never came in pieces counts too', () => {
  const item = (text: string) => ({ type: 'message', content: [{ type: 'output_text', text }] })
  const pieces = ['Hello ', 'world'].map((delta) => ({ type: 'response.output_text.delta', delta }))
  const done = [
    { type: 'response.output_text.done', text: 'Hello world' },
    { type: 'response.output_item.done', item: item('Hello world') },
  ]
  const completed = { type: 'response.completed', response: { instructions: [item('ignored')], output: [item('Hello world'), item('!')], text: {} } }
  assert.equal(scanned(sse(...pieces)), 11)
  assert.equal(scanned(sse(...pieces, ...done)), 11)
  assert.equal(scanned(sse(...pieces, ...done, { type: 'response.output_text.delta', delta: '!' })), 12)
  assert.equal(scanned(sse(...pieces, ...done, completed)), 12)
  assert.equal(scanned(sse(completed)), 12, 'whole only')
  assert.equal(scanned(sse({ type: 'response.output_item.done', item: item('one') }, { type: 'response.output_item.done', item: item('two!') })), 7)
  // Some servers write the type last.
  const typedLast = [...pieces, ...done].map(({ type, ...rest }) => ({ ...rest, type }))
  assert.equal(scanned(sse(...typedLast, completed)), 12)
  // And an event may be asked about in its middle.
  assert.equal(scanned(sse(...pieces), 'data: {"type":"response.output_text.done","text":"Hello world'), 11)
  assert.equal(scanned(sse(...typedLast.slice(0, 2)), 'data: {"text":"Hello world"'), 11)
  assert.equal(scanned('data: {"type":"response.completed","response":{"output":[{"content":[{"text":"Hello'), 5)
})

test('sound, pictures, signatures, citations, tokens with their probabilities and what the caller said do not count', () => {
  const base64 = 'QUFB'.repeat(100)
  for (const event of [
    chat({ audio: { data: base64 } }),
    { type: 'response.audio.delta', delta: base64 },
    { type: 'response.image_generation_call.partial_image', partial_image_b64: base64 },
    { type: 'speech.audio.delta', audio: base64 },
    { candidates: [{ content: { parts: [{ inlineData: { mimeType: 'image/png', data: base64 } }, { thoughtSignature: base64 }] } }] },
    { candidates: [{ groundingMetadata: { groundingSupports: [{ segment: { text: 'x' } }] }, logprobsResult: { chosenCandidates: [{ token: 'x' }] } }] },
    { type: 'content_block_delta', delta: { type: 'signature_delta', signature: base64 } },
    { type: 'content_block_delta', delta: { type: 'citations_delta', citation: { cited_text: 'x', title: 'y' } } },
    { choices: [{ logprobs: { content: [{ token: 'x', bytes: [1], top_logprobs: [{ token: 'x' }] }] } }] },
    { data: [{ embedding: base64, index: 0 }] },
    { error: { message: 'The model is overloaded.' } },
  ])
    assert.equal(scanned(sse(event)), 0, JSON.stringify(event).slice(0, 80))
})

test('a list of texts counts, and a list of anything else does not', () => {
  const item = { type: 'file_search_call', queries: ['ab', 'cd', 'e'], results: ['no', 'no'], action: { type: 'exec', command: ['ls', '-l'] } }
  assert.equal(scanned(JSON.stringify({ output: [item] })), 9)
  assert.equal(scanned(JSON.stringify({ output: [item] }, null, 1)), 9)
})

test('reasoning that is told twice in one event counts once', () => {
  const details = (text: string) => [{ type: 'reasoning.text', text, index: 0 }]
  assert.equal(scanned(sse(chat({ content: '', reasoning: 'abc', reasoning_details: details('abc') }))), 3)
  assert.equal(scanned(sse(chat({ content: 'x', reasoning: '', reasoning_details: details('abc') }), chat({ reasoning_details: details('de') }))), 6)
})

test('bytes that are no such format count for nothing, and an event that is cut spoils no other', () => {
  for (const text of [
    '',
    'plain text',
    '"',
    '{"content":',
    'data: [DONE]\n\n',
    ': "comment\n\n',
    'data: "text"\n\n',
    '<html>"text": 1</html>',
    '\u0000\\"{[}]:,',
  ])
    assert.equal(scanned(text), 0, text)
  for (const broken of [
    'data: {"x":"cut\n\n',
    'data: {"arguments":{"a":[\n\n',
    'data: {"tools":[{"a"\n\n',
    ': it"s\n\n',
    'data: {"type":"response.completed"\n\n',
  ])
    assert.equal(scanned(broken, sse(chat({ content: 'whole' }))) - scanned(broken), 5, broken)
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => scanned(Buffer.from(bytes)) <= bytes.length * 3))
})

test('a chunk is read after its buffer was used for something else', () => {
  const meter = createTextMeter()
  const chunk = Buffer.from(sse(chat({ content: 'x'.repeat(400) })))
  for (let i = 0; i < 100; i++) {
    const own = Buffer.from(chunk)
    meter.add(own)
    own.fill(0)
  }
  assert.equal(meter.tokens, 10_000)
  meter.add(Buffer.concat(Array(100).fill(chunk)))
  assert.equal(meter.tokens, 20_000)
})

test('of a reply that others keep as well the first chunk is read where it lies, and counts once', () => {
  const chunk = Buffer.from(sse(chat({ content: 'x'.repeat(400) })))
  for (const chunks of [1, 2, 100]) {
    const meter = createTextMeter()
    for (let i = 0; i < chunks; i++) meter.add(chunk, true)
    assert.equal(meter.tokens, 100 * chunks)
    meter.add(chunk, true)
    assert.equal(meter.tokens, 100 * chunks + 100)
  }
})
