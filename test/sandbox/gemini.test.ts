import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ApiError, FunctionCallingConfigMode, GoogleGenAI, type Part, Type } from '@google/genai'
import { createSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts'

let sandbox: Sandbox
let google: GoogleGenAI

before(async () => {
  sandbox = await createSandbox()
  google = new GoogleGenAI({ apiKey: 'unused', httpOptions: { baseUrl: sandbox.origin } })
})
after(() => sandbox.close())

const weather = {
  name: 'get_weather',
  description: 'Tells the weather',
  parameters: {
    type: Type.OBJECT,
    properties: { city: { type: Type.STRING }, unit: { type: Type.STRING, enum: ['celsius'] }, days: { type: Type.INTEGER, minimum: 2 } },
    required: ['city', 'unit', 'days'],
  },
}
const forecast = { city: 'sandbox', unit: 'celsius', days: 2 }
const ask = (model: string) => google.models.generateContent({ model, contents: 'x' })

async function post(path: string, body: object): Promise<{ response: Response; text: string }> {
  const response = await fetch(sandbox.origin + path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
  return { response, text: await response.text() }
}

describe('gemini', () => {
  test('echoes the text parts of the last words of the user and counts tokens', async () => {
    const reply = await google.models.generateContent({
      model: 'sandbox',
      config: { systemInstruction: 'four' },
      contents: [
        { role: 'user', parts: [{ text: 'first' }] },
        { role: 'model', parts: [{ text: 'Yes?' }] },
        { role: 'user', parts: [{ text: 'Grüße' }, { inlineData: { mimeType: 'image/png', data: 'AA==' } }, { text: '🌍' }] },
      ],
    })
    assert.equal(reply.text, 'You said: Grüße\n🌍')
    assert.equal(reply.candidates?.[0]?.finishReason, 'STOP')
    // 4 + 5 + 4 + 7 + 4 bytes in, 22 out, by four.
    const { promptTokenCount, candidatesTokenCount, totalTokenCount } = reply.usageMetadata ?? {}
    assert.deepEqual([promptTokenCount, candidatesTokenCount, totalTokenCount], [6, 6, 12])
    assert.deepEqual([reply.modelVersion, reply.responseId?.startsWith('resp_')], ['sandbox', true])
    assert.equal((await google.models.countTokens({ model: 'sandbox', contents: 'Hello' })).totalTokens, 2)
  })

  test('streams words as events, or as one list where no events were asked for', async () => {
    const chunks = await Array.fromAsync(await google.models.generateContentStream({ model: 'sandbox', contents: 'one two', config: { candidateCount: 2 } }))
    assert.deepEqual(
      chunks.map((chunk) => [chunk.candidates?.[0]?.content?.parts?.[0]?.text, chunk.candidates?.length, chunk.candidates?.[1]?.finishReason]),
      [
        ['You', 2, undefined],
        [' said:', 2, undefined],
        [' one', 2, undefined],
        [' two', 2, 'STOP'],
      ],
    )
    const { response, text } = await post('/v1beta/models/sandbox:streamGenerateContent', { contents: [{ parts: [{ text: 'one' }] }] })
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
    const list = JSON.parse(text) as { candidates: { content: { parts: Part[] } }[] }[]
    assert.deepEqual(
      list.map(({ candidates }) => candidates[0]?.content.parts[0]?.text),
      ['You', ' said:', ' one'],
    )
  })

  test('calls the first function with arguments that satisfy its schema, then reports what it said', async () => {
    const tools = [{ functionDeclarations: [weather] }]
    const reply = await google.models.generateContent({ model: 'sandbox', contents: 'Rain?', config: { tools } })
    assert.deepEqual([reply.functionCalls?.[0]?.name, reply.functionCalls?.[0]?.args], ['get_weather', forecast])
    const streamed = await Array.fromAsync(await google.models.generateContentStream({ model: 'sandbox', contents: 'Rain?', config: { tools } }))
    assert.deepEqual(
      streamed.map((chunk) => chunk.functionCalls?.[0]?.args),
      [forecast],
    )
    const result: Part = { functionResponse: { name: 'get_weather', response: { output: 'wet', more: ['cold'] } } }
    const next = await google.models.generateContent({
      model: 'sandbox',
      contents: [
        { role: 'user', parts: [{ text: 'Rain?' }] },
        { role: 'model', parts: [{ functionCall: reply.functionCalls?.[0] ?? {} }] },
        { role: 'user', parts: [result] },
      ],
      config: { tools },
    })
    assert.equal(next.text, 'The tool said: wet\ncold')
    const none = { functionCallingConfig: { mode: FunctionCallingConfigMode.NONE } }
    assert.equal((await google.models.generateContent({ model: 'sandbox', contents: 'Rain?', config: { tools, toolConfig: none } })).text, 'You said: Rain?')
  })

  test('answers in the schema asked for, in either spelling of schemas', async () => {
    const inJson = async (config: object) =>
      JSON.parse(
        (await google.models.generateContent({ model: 'sandbox', contents: 'x', config: { responseMimeType: 'application/json', ...config } })).text ?? '',
      )
    assert.deepEqual(await inJson({ responseSchema: weather.parameters }), forecast)
    assert.deepEqual(await inJson({ responseJsonSchema: { type: 'object', properties: { a: { const: 1 } }, required: ['a'] } }), { a: 1 })
  })

  test('embeds texts, each the same way every time, in as many dimensions as asked for', async () => {
    const embed = async (contents: string[], outputDimensionality: number) =>
      (await google.models.embedContent({ model: 'sandbox', contents, config: { outputDimensionality } })).embeddings?.map(({ values }) => values ?? []) ?? []
    const [one, two, again] = await embed(['one', 'two', 'one'], 16)
    assert.deepEqual([one?.length, one], [16, again])
    assert.notDeepEqual(one, two)
    assert.ok(Math.abs(Math.hypot(...(one ?? [])) - 1) < 1e-9)
    const { text } = await post('/v1/models/sandbox:embedContent', { content: { parts: [{ text: 'one' }] }, outputDimensionality: 16 })
    assert.deepEqual((JSON.parse(text) as { embedding: { values: number[] } }).embedding.values, one)
  })

  test('lists and shows its models in its own shape, whoever asks at /v1', async () => {
    const names = (await Array.fromAsync(await google.models.list())).map(({ name }) => name)
    assert.deepEqual(names.slice(0, 2), ['models/sandbox', 'models/sandbox-429'])
    assert.equal((await google.models.get({ model: 'sandbox-x' })).name, 'models/sandbox-x')
    const first = new GoogleGenAI({ apiKey: 'unused', apiVersion: 'v1', httpOptions: { baseUrl: sandbox.origin } })
    assert.equal((await Array.fromAsync(await first.models.list()))[0]?.name, 'models/sandbox')
    await assert.rejects(google.models.get({ model: 'other' }), (error) => error instanceof ApiError && error.status === 404)
  })

  test('answers at the paths of Vertex AI and for tuned models', async () => {
    const body = { contents: [{ parts: [{ text: 'x' }] }] }
    for (const path of [
      '/v1beta1/projects/p/locations/eu/publishers/google/models/sandbox:generateContent',
      '/v1/projects/p/locations/eu/endpoints/sandbox:generateContent',
      '/v1alpha/tunedModels/sandbox:generateContent',
    ])
      assert.ok((await post(path, body)).text.includes('You said: x'), path)
  })

  test('misbehaves on request', async () => {
    await assert.rejects(ask('sandbox-429'), (error) => {
      assert.ok(error instanceof ApiError && error.status === 429)
      assert.match(error.message, /RESOURCE_EXHAUSTED.*retryDelay":"1s/)
      return true
    })
    await assert.rejects(ask('sandbox-500'), (error) => error instanceof ApiError && error.status === 500)
    await assert.rejects(ask('other'), (error) => error instanceof ApiError && error.status === 404)
    await assert.rejects(ask('sandbox-cut'))
    await assert.rejects(google.models.generateContent({ model: 'sandbox', contents: 'x', config: { candidateCount: 9 } }), /candidateCount/)
    let chunks = 0
    await assert.rejects(async () => {
      for await (const _ of await google.models.generateContentStream({ model: 'sandbox-cut', contents: 'a b c d e f' })) chunks++
    })
    assert.ok(chunks > 2)
  })

  test('what it cannot read is a 400 that names the member and never quotes the body', async () => {
    for (const [path, body] of [
      ['/v1beta/models/sandbox:generateContent', { secret: 'my-secret-words' }],
      ['/v1beta/models/sandbox:countTokens', { contents: 'my-secret-words' }],
      ['/v1beta/models/sandbox:embedContent', { content: 'my-secret-words' }],
    ] as const) {
      const { response, text } = await post(path, body)
      assert.deepEqual([response.status, JSON.parse(text).error.status], [400, 'INVALID_ARGUMENT'])
      assert.ok(!text.includes('my-secret-words'))
    }
  })
})
