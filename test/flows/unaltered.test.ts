/** What the official client libraries send arrives byte for byte under the default rules, whatever method sends it: bodies, forms, files, queries, types. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import Anthropic, { toFile as anthropicFile } from '@anthropic-ai/sdk'
import * as genai from '@google/genai'
import Anthropic0 from 'anthropic-0'
import * as genai1 from 'genai-1'
import OpenAI, { toFile } from 'openai'
import OpenAI6 from 'openai-6'
import { formats } from '../../src/dialects/index.ts'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'
import type { Script } from '../harness/provider.ts'

interface Sent {
  method: string
  url: string
  type: string | null
  body: Buffer
  status: number
}
let flow: Flow
let sent: Sent[] = []
const platformFetch = globalThis.fetch

/** Remembers what the library sends; a form is sent as the bytes that were remembered. */
const remembering: typeof fetch = async (input, init) => {
  const request = new Request(input, init)
  const body = Buffer.from(await request.arrayBuffer())
  const { method, url, headers } = request
  const response = await platformFetch(url, { method, headers, ...(body.length > 0 ? { body } : {}) })
  // The libraries try what a platform's fetch can do, at an address of no server.
  if (url.startsWith(flow.origin)) sent.push({ method, url: url.slice(flow.origin.length), type: headers.get('content-type'), body, status: response.status })
  return response
}

/** Answers everything, and as Google does where an upload begins. */
const answer: Script = ({ request, response }) => {
  const command = String(request.headers['x-goog-upload-command'] ?? '')
  response
    .writeHead(200, {
      'content-type': 'application/json',
      ...(command === 'start' ? { 'x-goog-upload-url': `${flow.provider.origin}${request.url}?upload_id=7` } : {}),
      ...(command.includes('finalize') ? { 'x-goog-upload-status': 'final' } : {}),
    })
    .end('{"id":"x","name":"files/abc","file":{"name":"files/abc"}}')
}

before(async () => {
  flow = await startEarthflow({ preset: 'default', script: answer })
  for (const [name, base] of Object.entries({ openai: '/v1', anthropic: '', gemini: '' })) {
    const dialects = formats.filter(({ vendor }) => vendor.name === name).map((dialect) => dialect.name)
    await flow.addUpstream({ name, dialects, base_url: flow.provider.origin + base, priority: 500 })
  }
  globalThis.fetch = remembering // @google/genai takes no other
})
after(async () => {
  globalThis.fetch = platformFetch
  await flow.close()
})

const picture = randomBytes(3000)
const base64 = picture.toString('base64')
const png = () => toFile(picture, 'a "picture" ü.png', { type: 'image/png' })
const schema = { type: 'object' as const, properties: { city: { type: 'string' as const, enum: ['x'] } } }
/** Beyond what the types of a library allow, or of its older major. */
const any = <T>(value: unknown): T => value as T

type Methods = Readonly<Record<string, () => PromiseLike<unknown> | Promise<unknown>>>

const openaiMethods = (client: OpenAI): Methods => ({
  'chat with all kinds of parts': () =>
    client.chat.completions.create({
      model: 'm',
      messages: [
        { role: 'developer', content: 'Say "hi" – ü 😀 \u2028' },
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } },
            { type: 'input_audio', input_audio: { data: base64, format: 'mp3' } },
            { type: 'file', file: { file_data: `data:application/pdf;base64,${base64}`, filename: 'a.pdf' } },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"a":"\\u00fc"}' } }] },
        { role: 'tool', tool_call_id: 'c', content: 'r' },
      ],
      tools: [{ type: 'function', function: { name: 'f', parameters: schema } }],
    }),
  'responses with items': () =>
    client.responses.create({
      model: 'm',
      include: ['reasoning.encrypted_content'],
      tools: any([
        { type: 'web_search' },
        { type: 'mcp', server_label: 'l', server_url: 'https://e.org' },
        { type: 'code_interpreter', container: { type: 'auto' } },
      ]),
      input: any([
        { type: 'reasoning', id: 'r', summary: [], encrypted_content: base64 },
        { role: 'user', content: [{ type: 'input_image', image_url: `data:image/png;base64,${base64}`, detail: 'auto' }] },
        { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: 'r' },
      ]),
    }),
  'embeddings of 300,000 tokens': () =>
    client.embeddings.create({ model: 'm', input: Array.from({ length: 600 }, () => Array.from({ length: 500 }, (_, i) => i)) }),
  moderations: () => client.moderations.create({ model: 'm', input: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } }] }),
  transcriptions: async () =>
    client.audio.transcriptions.create({
      file: await toFile(picture, 'a.mp3'),
      model: 'm',
      prompt: 'p',
      timestamp_granularities: ['word'],
      include: ['logprobs'],
    }),
  speech: () => client.audio.speech.create({ model: 'm', input: 'i', voice: 'alloy' }),
  'edited images': async () => client.images.edit({ image: [await png(), await png()], mask: await png(), prompt: 'p', model: 'm' }),
  'a file of lines': async () => client.files.create({ file: await toFile(Buffer.from('{"a":1}\n{"a":2}\n'), 'b.jsonl'), purpose: 'batch' }),
  'a table of lines': async () => {
    const rows = Array.from({ length: 100 }, (_, i) => JSON.stringify({ make: 'Ford', model: `Focus ${i}` }))
    return client.files.create({ file: await toFile(Buffer.from(rows.join('\n')), 'cars.jsonl'), purpose: 'user_data' })
  },
  'a file with a byte order mark': async () => client.files.create({ file: await toFile(Buffer.from('\ufeff{"a":1}'), 'a.json'), purpose: 'user_data' }),
  'a file in Latin-1': async () => client.files.create({ file: await toFile(Buffer.from('M\xfcller', 'latin1'), 'a.txt'), purpose: 'user_data' }),
  'a part of an upload': async () => client.uploads.parts.create('u', { data: await toFile(Buffer.from('{"a":1}\n{"a":'), 'part') }),
  batches: () => client.batches.create({ input_file_id: 'f', endpoint: '/v1/responses', completion_window: '24h' }),
  'a search': () => client.vectorStores.search('v', { query: 'q' }),
})

const document = any<Anthropic.MessageParam[]>([
  {
    role: 'user',
    content: [
      { type: 'document', title: 't', citations: { enabled: true }, source: { type: 'base64', media_type: 'application/pdf', data: base64 } },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'hello' } },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: base64 } },
    ],
  },
  {
    role: 'assistant',
    content: [
      { type: 'thinking', thinking: 't', signature: base64 },
      { type: 'redacted_thinking', data: base64 },
      { type: 'tool_use', id: 'i', name: 'n', input: { n: 1.0e2 } },
    ],
  },
  { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'i', content: [{ type: 'text', text: 'r' }] }] },
])
const message = { model: 'm', max_tokens: 9, messages: document }
const anthropicMethods = (client: Anthropic): Methods => ({
  messages: () => client.messages.create(message),
  'beta messages with servers': () =>
    client.beta.messages.create(any({ ...message, mcp_servers: [{ type: 'url', url: 'https://e.org', name: 'n' }], betas: ['b'] })),
  batches: () => client.messages.batches.create({ requests: [{ custom_id: 'a', params: message }] }),
  'counted tokens': () => client.messages.countTokens({ model: 'm', messages: document }),
  'a file': async () => client.beta.files.upload({ file: await anthropicFile(picture, 'a.png', { type: 'image/png' }) }),
})

const contents = [
  {
    role: 'user',
    parts: [{ text: 'x' }, { inlineData: { mimeType: 'image/png', data: base64 } }, { fileData: { fileUri: 'https://e.org', mimeType: 'application/pdf' } }],
  },
  { role: 'model', parts: [{ functionCall: { name: 'f', args: { a: 1 } }, thoughtSignature: base64 }] },
  { role: 'user', parts: [{ functionResponse: { name: 'f', response: { r: 'x' } } }] },
]
const geminiMethods = (client: genai.GoogleGenAI): Methods => ({
  generating: () =>
    client.models.generateContent({
      model: 'm',
      contents,
      config: { systemInstruction: 's', tools: [{ codeExecution: {} }], cachedContent: 'cachedContents/c' },
    }),
  'counted tokens': () => client.models.countTokens({ model: 'm', contents }),
  embedding: () => client.models.embedContent({ model: 'm', contents: ['a', 'b'] }),
  'a cache': () => client.caches.create({ model: 'm', config: { contents, ttl: '300s', displayName: 'd' } }),
  'a batch': () => client.batches.create({ model: 'm', src: [{ contents }], config: { displayName: 'd' } }),
  'a text file': () => client.files.upload({ file: new Blob(['hello "text" {}'], { type: 'text/plain' }) }),
  'a picture': () => client.files.upload({ file: new Blob([picture], { type: 'image/png' }) }),
  'a file of lines': () => client.files.upload({ file: new Blob(['{"key":"a","request":{"contents":[]}}\n'], { type: 'application/jsonl' }) }),
})

const key = (): string => flow.tenant.api_key
const libraries: Readonly<Record<string, () => Methods>> = {
  'openai 7': () => openaiMethods(new OpenAI({ apiKey: key(), baseURL: `${flow.origin}/v1`, fetch: remembering, maxRetries: 0 })),
  'openai 6': () => openaiMethods(any(new OpenAI6({ apiKey: key(), baseURL: `${flow.origin}/v1`, fetch: remembering, maxRetries: 0 }))),
  '@anthropic-ai/sdk 1': () => anthropicMethods(new Anthropic({ apiKey: key(), baseURL: flow.origin, fetch: remembering, maxRetries: 0 })),
  '@anthropic-ai/sdk 0': () => anthropicMethods(any(new Anthropic0({ apiKey: key(), baseURL: flow.origin, fetch: remembering, maxRetries: 0 }))),
  '@google/genai 2': () => geminiMethods(new genai.GoogleGenAI({ apiKey: key(), httpOptions: { baseUrl: flow.origin } })),
  '@google/genai 1': () => geminiMethods(any(new genai1.GoogleGenAI({ apiKey: key(), httpOptions: { baseUrl: flow.origin } }))),
}
for (const [name, methods] of Object.entries(libraries)) {
  test(`${name}: every body arrives at the provider as the library wrote it, with its type and query`, async () => {
    for (const [method, call] of Object.entries(methods())) {
      sent = []
      flow.provider.seen.length = 0
      await call()
      assert.ok(sent.length > 0, method)
      assert.deepEqual(
        flow.provider.seen.map(({ request, url }) => [request.method, url, request.headers['content-type'] ?? null]),
        sent.map(({ method, url, type }) => [method, url, type]),
        method,
      )
      for (const [i, { body, status }] of sent.entries()) assert.deepEqual([status, flow.provider.seen[i].body.equals(body)], [200, true], method)
    }
  })
}
