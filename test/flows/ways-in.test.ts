/** A word that is forbidden never reaches a provider, whatever the format of the call and wherever it stands: every string of every body is tried. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { formats } from '../../src/dialects/index.ts'
import { FORM_TYPE, form } from '../dialects/form.ts'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'

const WORD = 'forbidden fruit 7f3a'
const text = `Somebody wrote at some length about a ${WORD}, and then about other things that matter less, so that this is no short text.`
const base64 = (bytes: string | Buffer = text): string => Buffer.from(bytes).toString('base64')
let flow: Flow

before(async () => {
  flow = await startEarthflow({ script: ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('{}') })
  for (const [name, base] of Object.entries({ openai: '/v1', anthropic: '', gemini: '' })) {
    const dialects = formats.filter(({ vendor }) => vendor.name === name).map((dialect) => dialect.name)
    await flow.addUpstream({ name, dialects, base_url: flow.provider.origin + base, priority: 100 })
  }
  await flow.rule({ name: 'fruit', action: 'BLOCK', condition: { operator: 'contains', value: WORD } })
})
after(() => flow.close())

const schema = { type: 'object', title: 't', properties: { city: { type: 'string', enum: ['x'], description: 'd' } }, required: ['city'] }
const chat = {
  model: 'm',
  messages: [
    { role: 'system', content: 's', name: 'n' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'u' },
        { type: 'image_url', image_url: { url: 'https://e.org/a.png', detail: 'low' } },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'file', file: { file_data: 'AAAA', filename: 'f' } },
        { type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } },
      ],
    },
    { role: 'assistant', content: 'a', refusal: 'r', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"city":"x"}' } }] },
    { role: 'tool', tool_call_id: 'c', content: 'result' },
  ],
  tools: [{ type: 'function', function: { name: 'f', description: 'd', parameters: schema } }],
  response_format: { type: 'json_schema', json_schema: { name: 'n', schema } },
  stop: ['stop'],
  metadata: { team: 'x' },
  user: 'u',
}
const response = {
  model: 'm',
  instructions: 'i',
  input: [
    {
      role: 'user',
      content: [
        { type: 'input_text', text: 'u' },
        { type: 'input_image', image_url: 'https://e.org' },
        { type: 'input_file', file_data: 'AAAA', filename: 'f' },
      ],
    },
    { type: 'reasoning', id: 'r', summary: [{ type: 'summary_text', text: 's' }], encrypted_content: 'AAAA' },
    { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c', output: 'o' },
  ],
  tools: [
    { type: 'function', name: 'f', description: 'd', parameters: schema },
    { type: 'mcp', server_label: 'l', server_url: 'https://e.org', headers: { x: 'y' } },
  ],
  prompt: { id: 'p', variables: { city: 'x' } },
}
const message = {
  model: 'm',
  max_tokens: 9,
  system: [{ type: 'text', text: 's', cache_control: { type: 'ephemeral' } }],
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'u' },
        { type: 'document', title: 't', context: 'c', source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' } },
        { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'x' }] } },
      ],
    },
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 't', signature: 'AAAA' },
        { type: 'tool_use', id: 'i', name: 'n', input: { city: ['x'] } },
      ],
    },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'i', content: 'r' }] },
  ],
  tools: [{ name: 'n', description: 'd', input_schema: schema }],
  metadata: { user_id: 'u' },
  stop_sequences: ['x'],
  mcp_servers: [{ type: 'url', url: 'https://e.org', name: 'n' }],
}
const generate = {
  systemInstruction: { parts: [{ text: 's' }] },
  contents: [
    { role: 'user', parts: [{ text: 'u' }, { inlineData: { mimeType: 'image/png', data: 'AAAA' } }, { fileData: { fileUri: 'u', mimeType: 'm' } }] },
    {
      role: 'model',
      parts: [{ functionCall: { name: 'f', args: { city: 'x' } }, thoughtSignature: 'AAAA' }, { executableCode: { code: 'c', language: 'PYTHON' } }],
    },
    { role: 'user', parts: [{ functionResponse: { name: 'f', response: { result: 'r' } } }] },
  ],
  tools: [{ functionDeclarations: [{ name: 'f', description: 'd', parameters: schema }] }],
  generationConfig: { responseSchema: schema, stopSequences: ['x'], responseMimeType: 'application/json' },
  labels: { team: 'x' },
}
const snake = {
  system_instruction: { parts: [{ text: 's' }] },
  contents: { parts: { inline_data: { mime_type: 'image/png', data: 'AAAA' } } },
  tools: { function_declarations: { name: 'f', description: 'd', parameters: schema } },
  generation_config: { response_schema: schema },
}

/** Every path with a body like those that are sent there. */
const calls: readonly [path: string, body: object][] = [
  ['/v1/chat/completions', chat],
  ['/openai/deployments/m/chat/completions?api-version=1', chat],
  ['/u/openai/chat/completions', chat],
  ['/v1/responses', response],
  ['/v1/responses/compact', response],
  ['/v1/completions', { model: 'm', prompt: ['p', 'q'], suffix: 's', stop: 'x', user: 'u' }],
  ['/v1/embeddings', { model: 'm', input: ['a', 'b'], user: 'u' }],
  [
    '/v1/moderations',
    {
      model: 'm',
      input: [
        { type: 'text', text: 't' },
        { type: 'image_url', image_url: { url: 'https://e.org' } },
      ],
    },
  ],
  ['/v1/images/generations', { model: 'm', prompt: 'p', size: '1x1', user: 'u' }],
  ['/v1/images/edits', { model: 'm', prompt: 'p', images: [{ image_url: 'https://e.org' }], mask: { file_id: 'f' } }],
  ['/v1/audio/speech', { model: 'm', input: 'i', instructions: 'x', voice: { id: 'v' } }],
  ['/v1/messages', message],
  ['/v1/messages/count_tokens', message],
  ['/v1/messages/batches', { requests: [{ custom_id: 'a', params: message }] }],
  ['/v1beta/models/m:generateContent', generate],
  ['/v1/models/m:streamGenerateContent?alt=sse', snake],
  ['/v1beta/models/m:countTokens', { generateContentRequest: { model: 'models/m', ...generate } }],
  ['/v1beta/models/m:embedContent', { content: { parts: [{ text: 't' }] }, taskType: 'X', title: 't' }],
  ['/v1beta/models/m:batchEmbedContents', { requests: [{ model: 'models/m', content: { parts: [{ text: 't' }] } }] }],
  [
    '/v1beta/models/m:batchGenerateContent',
    { batch: { displayName: 'd', inputConfig: { requests: { requests: [{ request: generate, metadata: { key: 'k' } }] } } } },
  ],
  ['/v1beta/cachedContents', { model: 'models/m', ...generate, displayName: 'd' }],
  ['/v1/proxy', { model: 'm', messages: [{ role: 'user', content: [{ type: 'text', text: 't' }] }], metadata: { team: 'x' } }],
  ['/v1/assistants', { model: 'm', instructions: 'i', tools: [{ type: 'file_search' }], x: [{ y: 'z' }] }],
  ['/v1beta/corpora/c/documents:later', { chunks: [{ data: { stringValue: 's' } }] }],
]

/** The same body with the word at every string, as a further member's name and value in every object, and as an item of every list. */
function* spoiled(body: object): Generator<[place: string, body: string]> {
  let seen = 0
  for (let index = 0; ; index++) {
    let at = 0
    let place = ''
    const copy = (value: unknown, path: string): unknown => {
      const here = (what: string): boolean => {
        if (at++ !== index) return false
        place = `${path} ${what}`
        return true
      }
      if (typeof value === 'string') return here('value') ? `a ${WORD}.` : value
      if (Array.isArray(value)) {
        const items = value.map((item, i) => copy(item, `${path}[${i}]`))
        return here('item') ? [...items, `a ${WORD}.`] : items
      }
      if (typeof value !== 'object' || value === null) return value
      const members = Object.entries(value).map(([name, item]): [string, unknown] => [name, copy(item, `${path}.${name}`)])
      if (here('member')) members.push(['note', { deep: [`a ${WORD}.`] }])
      if (here('name')) members.push([`a ${WORD}.`, 1])
      return Object.fromEntries(members)
    }
    const spoilt = JSON.stringify(copy(body, ''))
    if (place === '') break
    seen++
    yield [place, spoilt]
    yield [`${place}, escaped`, spoilt.replace(WORD, WORD.replace('f', '\\u0066').replace('t', '\\u0074'))]
  }
  assert.ok(seen > 3)
}

/** Tried by so many at once. */
const AT_ONCE = 8

for (const [path, body] of calls) {
  test(`${path}: the body arrives; with the word at any of its strings, names, lists and members it does not`, async () => {
    flow.provider.seen.length = 0
    const plain = await flow.post(path, JSON.stringify(body))
    assert.deepEqual([plain.status, flow.provider.seen.length], [200, 1], plain.text)
    const places = [...spoiled(body)]
    while (places.length > 0) {
      const tried = places.splice(0, AT_ONCE)
      const answers = await Promise.all(tried.map(([, spoilt]) => flow.post(path, spoilt)))
      for (const [i, { status, headers }] of answers.entries()) {
        const isBlocked = status === 403 || headers.get('x-earthflow-decision') === 'block'
        assert.ok(isBlocked || status === 400 || status === 404, `${tried[i][0]}: ${status}`)
      }
    }
    assert.equal(flow.provider.seen.length, 1)
  })
}

const JSON_TYPE = 'application/json'
const user = (content: unknown): string => JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] })
const inline = (mimeType: string, data: string): string => JSON.stringify({ contents: [{ parts: [{ inlineData: { mimeType, data } }] }] })
const document = (media_type: string, data: string): string => user([{ type: 'document', source: { type: 'base64', media_type, data } }])
const file = (file_data: string): string => user([{ type: 'file', file: { file_data, filename: 'notes.txt' } }])
const upload = (content: string | Buffer, filename = 'notes.txt', type = 'text/plain'): Buffer => form({ name: 'file', filename, type, content })
const GEMINI = '/v1beta/models/m:generateContent'
const FILES = '/v1/files'

/** Texts in other clothes than a string of JSON. */
const disguises: readonly [name: string, path: string, body: string | Buffer, type: string, headers?: Record<string, string>][] = [
  ['a text file inline at Gemini', GEMINI, inline('text/plain', base64()), JSON_TYPE],
  ['a short text file inline at Gemini', GEMINI, inline('text/plain', base64(WORD)), JSON_TYPE],
  ['a program inline at Gemini', GEMINI, inline('application/x-python-code', base64()), JSON_TYPE],
  ['a text that says it is a picture', GEMINI, inline('image/png', base64()), JSON_TYPE],
  ['a text in base64 for URLs', GEMINI, inline('text/plain', Buffer.from(`??>>${text}`).toString('base64url')), JSON_TYPE],
  ['a text document inline at Anthropic', '/v1/messages', document('text/plain', base64()), JSON_TYPE],
  ['a text that says it is a PDF', '/v1/messages', document('application/pdf', base64()), JSON_TYPE],
  ['a text in Latin-1 that says it is a PDF', '/v1/messages', document('application/pdf', base64(Buffer.from(`é ${text}`, 'latin1'))), JSON_TYPE],
  ['a text in UTF-16 that says it is a PDF', '/v1/messages', document('application/pdf', base64(Buffer.from(text, 'utf16le'))), JSON_TYPE],
  ['a text file as a data URI', '/v1/chat/completions', file(`data:text/plain;base64,${base64()}`), JSON_TYPE],
  ['a text file as a data URI with parameters', '/v1/chat/completions', file(`data:text/plain;charset=utf-8;name=a;base64,${base64()}`), JSON_TYPE],
  ['a text file as a data URI of an unknown type', '/v1/chat/completions', file(`data:application/octet-stream;base64,${base64()}`), JSON_TYPE],
  ['a text file as a data URI with percent signs', '/v1/chat/completions', file(`data:text/plain,${encodeURIComponent(text)}`), JSON_TYPE],
  ['a text file as bare base64', '/v1/chat/completions', file(base64()), JSON_TYPE],
  ['a text file as base64 with slashes escaped', '/v1/chat/completions', file(base64(`???${text}`)).replaceAll('/', '\\/'), JSON_TYPE],
  ['a text file as base64 in lines', GEMINI, inline('text/plain', base64().replaceAll(/.{64}/g, '$&\r\n')), JSON_TYPE],
  ['a text file inline on a path nobody describes', '/v1/later', JSON.stringify({ image: `data:image/png;base64,${base64()}` }), JSON_TYPE],
  ['a compressed call', '/v1/chat/completions', gzipSync(user(text)), JSON_TYPE, { 'content-encoding': 'gzip' }],
  [
    'a call in two compressed pieces',
    '/v1/chat/completions',
    Buffer.concat([gzipSync(user(text).slice(0, 60)), gzipSync(user(text).slice(60))]),
    JSON_TYPE,
    { 'content-encoding': 'gzip' },
  ],
  ['a file that is compressed on its way', FILES, brotliCompressSync(upload(text)), FORM_TYPE, { 'content-encoding': 'br' }],
  ['a text file', FILES, upload(text), FORM_TYPE],
  ['a text file that says it is a picture', FILES, upload(text, 'a.png', 'image/png'), FORM_TYPE],
  ['a text file in Latin-1', FILES, upload(Buffer.from(`é ${text}`, 'latin1')), FORM_TYPE],
  ['a text file in UTF-16', FILES, upload(Buffer.from(`\ufeff${text}`, 'utf16le')), FORM_TYPE],
  ['a text file with a byte of no character', FILES, upload(Buffer.concat([Buffer.from(text), Buffer.from([0xff])])), FORM_TYPE],
  ['a text file with a control character', FILES, upload(`${text}\u0001`), FORM_TYPE],
  ['a JSON file', FILES, upload(JSON.stringify({ a: WORD }).replace('f', '\\u0066'), 'a.json', JSON_TYPE), FORM_TYPE],
  ['a JSON file with a byte order mark', FILES, upload(`\ufeff${JSON.stringify({ a: WORD })}`, 'a.json', JSON_TYPE), FORM_TYPE],
  [
    'a line of a batch',
    FILES,
    upload(`${JSON.stringify({ url: '/v1/chat/completions', body: JSON.parse(user(text)) as object })}\n`, 'b.jsonl', ''),
    FORM_TYPE,
  ],
  ['a name of a file', FILES, upload('x', `${WORD}.txt`), FORM_TYPE],
  ['a name of a field', FILES, form({ name: WORD, content: 'x' }), FORM_TYPE],
  [
    'the second of two fields',
    '/v1/audio/transcriptions',
    form({ name: 'model', content: 'm' }, { name: 'prompt', content: 'x' }, { name: 'prompt', content: text }),
    FORM_TYPE,
  ],
  ['a field with JSON', FILES, form({ name: 'metadata', content: JSON.stringify({ a: WORD }).replace('f', '\\u0066') }), FORM_TYPE],
  ['a text as a body', '/v1/later', text, 'text/csv'],
  ['a text as a body of unknown bytes', '/v1/later', Buffer.from(`é ${text}`, 'latin1'), 'application/octet-stream'],
  ['a part of a file at Gemini', '/upload/v1beta/files?upload_id=1', Buffer.from(`ß${text}`).subarray(1), JSON_TYPE, { 'x-goog-upload-command': 'upload' }],
  ['lines of JSON as a body', '/v1/later', `{}\n{"a":"${WORD}"}\n`, 'application/x-ndjson'],
  ['a query', `/v1/chat/completions?note=${encodeURIComponent(WORD)}`, user('x'), JSON_TYPE],
  ['a path', `/v1/threads/${encodeURIComponent(WORD)}`, '{}', JSON_TYPE],
  ['a model in a path', `/v1beta/models/${encodeURIComponent(WORD)}:generateContent`, JSON.stringify(snake), JSON_TYPE],
  ['a deployment in a path', `/openai/deployments/${encodeURIComponent(WORD)}/chat/completions`, user('x'), JSON_TYPE],
  ['a header', '/v1/chat/completions', user('x'), JSON_TYPE, { 'x-note': WORD }],
]
for (const [name, path, body, type, headers] of disguises) {
  test(`${name}: the word in it does not reach a provider`, async () => {
    flow.provider.seen.length = 0
    const { status, text: said } = await flow.post(path, body, { 'content-type': type, ...headers })
    assert.deepEqual([status, flow.provider.seen.length], [403, 0], said)
  })
}
