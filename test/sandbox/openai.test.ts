import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import OpenAI, * as errors from 'openai'
import { createSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts'

let sandbox: Sandbox
let openai: OpenAI

before(async () => {
  sandbox = await createSandbox()
  openai = new OpenAI({ baseURL: `${sandbox.origin}/v1`, apiKey: 'unused', maxRetries: 0 })
})
after(() => sandbox.close())

const weather = {
  type: 'function' as const,
  name: 'get_weather',
  strict: false,
  parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 2 } }, required: ['city', 'days'] },
}
const forecast = { city: 'sandbox', days: 2 }

describe('responses', () => {
  test('echo what the user said last, and count tokens', async () => {
    const response = await openai.responses.create({
      model: 'sandbox',
      instructions: 'four',
      input: [
        { role: 'user', content: 'first' },
        { role: 'assistant', content: 'Yes?' },
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Grüße' },
            { type: 'input_text', text: '🌍' },
          ],
        },
      ],
    })
    assert.deepEqual([response.output_text, response.status], ['You said: Grüße\n🌍', 'completed'])
    assert.deepEqual([response.usage?.input_tokens, response.usage?.output_tokens], [6, 6])
    const counted = await openai.responses.inputTokens.count({ model: 'sandbox', input: 'Hello' })
    assert.equal(counted.input_tokens, 2)
  })

  test('stream every event the library puts a response together from', async () => {
    const stream = openai.responses.stream({ model: 'sandbox', input: 'one two' })
    const types: string[] = []
    for await (const { type } of stream) types.push(type)
    const said = 'response.output_text.delta'
    assert.deepEqual(types, [
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      ...[said, said, said, said],
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    const response = await stream.finalResponse()
    assert.deepEqual([response.output_text, response.usage?.total_tokens], ['You said: one two', 7])
  })

  test('call the first tool the client runs itself, plain and streamed, then report what it said', async () => {
    const ask = { model: 'sandbox', input: 'Rain?', tools: [{ type: 'web_search' as const }, weather] }
    const plain = await openai.responses.create(ask)
    const streamed = await openai.responses.stream(ask).finalResponse()
    for (const { output } of [plain, streamed]) {
      const [call] = output
      assert.ok(call?.type === 'function_call')
      assert.deepEqual([call.name, JSON.parse(call.arguments), call.status], ['get_weather', forecast, 'completed'])
    }
    const [call] = plain.output
    assert.ok(call?.type === 'function_call')
    const input = [{ role: 'user' as const, content: 'Rain?' }, call, { type: 'function_call_output' as const, call_id: call.call_id, output: 'wet' }]
    assert.equal((await openai.responses.create({ ...ask, input })).output_text, 'The tool said: wet')
    assert.equal((await openai.responses.create({ ...ask, tool_choice: 'none' })).output_text, 'You said: Rain?')
  })

  test('answer in the JSON schema asked for', async () => {
    const text = { format: { type: 'json_schema' as const, name: 'w', schema: weather.parameters } }
    assert.deepEqual(JSON.parse((await openai.responses.create({ model: 'sandbox', input: 'x', text })).output_text), forecast)
  })

  test('compact a conversation into what the user said and a seal', async () => {
    const { output } = await openai.responses.compact({ model: 'sandbox' as 'gpt-5.5', input: 'Hello' })
    assert.deepEqual(
      output.map(({ type }) => type),
      ['message', 'compaction'],
    )
  })

  test('misbehave on request', async () => {
    const ask = (model: string) => openai.responses.create({ model, input: 'x' })
    await assert.rejects(ask('sandbox-429'), errors.RateLimitError)
    await assert.rejects(ask('sandbox-cut'))
    await assert.rejects(openai.responses.create({ model: 'sandbox', input: [] }), errors.BadRequestError)
  })
})

describe('completions', () => {
  test('echo each prompt as often as asked, plain and streamed, with usage where it is asked for', async () => {
    const ask = { model: 'sandbox', prompt: ['one', 'two'], n: 2 }
    const plain = await openai.completions.create(ask)
    const texts = ['You said: one', 'You said: one', 'You said: two', 'You said: two']
    assert.deepEqual(
      plain.choices.map(({ text }) => text),
      texts,
    )
    assert.deepEqual([plain.usage?.prompt_tokens, plain.usage?.completion_tokens], [2, 16])
    const streamed = ['', '', '', '']
    const stops: string[] = []
    let counted: number | undefined
    for await (const chunk of await openai.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })) {
      counted = chunk.usage?.completion_tokens
      for (const { index, text, finish_reason } of chunk.choices) {
        streamed[index] += text
        if (finish_reason) stops.push(finish_reason)
      }
    }
    assert.deepEqual([streamed, stops, counted], [texts, ['stop', 'stop', 'stop', 'stop'], 16])
    assert.equal((await openai.completions.create({ model: 'sandbox', prompt: [1, 2] })).choices[0]?.text, 'You said: 1 2')
    await assert.rejects(openai.completions.create({ model: 'sandbox', prompt: null }), errors.BadRequestError)
  })
})

describe('embeddings', () => {
  test('are the same for the same text, of length 1, as long as asked, and the same in both encodings', async () => {
    // The library asks for base64 of its own accord and decodes it.
    const { data, usage } = await openai.embeddings.create({ model: 'sandbox', input: ['one', 'two', 'one'] })
    const [one, two, again] = data.map(({ embedding }) => embedding)
    assert.deepEqual(again, one)
    assert.notDeepEqual(two, one)
    assert.ok(Math.abs(Math.hypot(...(one as number[])) - 1) < 1e-6)
    assert.equal(usage.prompt_tokens, 3)
    const floats = await openai.embeddings.create({ model: 'sandbox', input: 'one', encoding_format: 'float' })
    assert.deepEqual(floats.data[0]?.embedding, one)
    assert.equal((await openai.embeddings.create({ model: 'sandbox', input: [1, 2], dimensions: 3072 })).data[0]?.embedding.length, 3072)
    await assert.rejects(openai.embeddings.create({ model: 'sandbox', input: 'x', dimensions: 0 }), errors.BadRequestError)
  })
})

describe('moderations', () => {
  test('find nothing wrong with texts, one by one, or with the parts of a message', async () => {
    const texts = await openai.moderations.create({ input: ['one', 'two'] })
    assert.deepEqual(
      texts.results.map(({ flagged, categories }) => [flagged, categories['violence/graphic']]),
      [
        [false, false],
        [false, false],
      ],
    )
    assert.equal(
      (
        await openai.moderations.create({
          model: 'sandbox',
          input: [
            { type: 'text', text: 'one' },
            { type: 'text', text: 'two' },
          ],
        })
      ).results.length,
      1,
    )
  })
})

/** PNG's own beginning. */
const PNG = '89504e470d0a1a0a'
const isPicture = (base64: string | undefined): boolean =>
  Buffer.from(base64 ?? '', 'base64')
    .toString('hex')
    .startsWith(PNG)
const picture = () => new File([Buffer.from(PNG, 'hex')], 'image.png', { type: 'image/png' })

describe('images', () => {
  test('are a picture of what was said, in JSON and from a form, also without a model', async () => {
    const drawn = await openai.images.generate({ prompt: 'A cat', n: 2 })
    assert.deepEqual(
      drawn.data?.map(({ revised_prompt }) => revised_prompt),
      ['You said: A cat', 'You said: A cat'],
    )
    assert.ok(drawn.data?.every(({ b64_json }) => isPicture(b64_json)))
    assert.deepEqual([drawn.usage?.input_tokens, drawn.usage?.output_tokens], [2, 2])
    const edited = await openai.images.edit({ model: 'sandbox', prompt: 'A dog', image: picture() })
    assert.equal(edited.data?.[0]?.revised_prompt, 'You said: A dog')
    assert.ok(isPicture((await openai.images.createVariation({ image: picture() })).data?.[0]?.b64_json))
    await assert.rejects(openai.images.generate({ prompt: 'x', n: 11 }), errors.BadRequestError)
  })

  test('are streamed as they emerge', async () => {
    const generated = await Array.fromAsync(await openai.images.generate({ prompt: 'A cat', model: 'sandbox', stream: true }))
    const edited = await Array.fromAsync(await openai.images.edit({ prompt: 'A dog', model: 'sandbox', image: picture(), stream: true }))
    assert.deepEqual(
      generated.map(({ type }) => type),
      ['image_generation.partial_image', 'image_generation.completed'],
    )
    assert.deepEqual(
      edited.map(({ type }) => type),
      ['image_edit.partial_image', 'image_edit.completed'],
    )
  })
})

describe('audio', () => {
  const sound = () => new File([Buffer.alloc(1000)], 'speech.wav', { type: 'audio/wav' })

  test('is spoken as WAV, in one piece and as events', async () => {
    const response = await openai.audio.speech.create({ model: 'sandbox', voice: 'alloy', input: 'Hello' })
    const bytes = Buffer.from(await response.arrayBuffer())
    assert.deepEqual([response.headers.get('content-type'), bytes.toString('latin1', 0, 4), bytes.readUInt32LE(4)], ['audio/wav', 'RIFF', bytes.length - 8])
    const streamed = await (await openai.audio.speech.create({ model: 'sandbox', voice: 'alloy', input: 'Hello', stream_format: 'sse' })).text()
    assert.match(streamed, /^event: speech\.audio\.delta\ndata: \{"type":"speech\.audio\.delta","audio":"UklGR/)
  })

  test('is written down in every format, and streamed', async () => {
    const text = 'You said: 1000 bytes of audio'
    const ask = { model: 'sandbox', file: sound() }
    const plain = await openai.audio.transcriptions.create(ask)
    assert.equal(plain.text, text)
    assert.equal((await openai.audio.transcriptions.create({ ...ask, response_format: 'verbose_json' })).segments?.[0]?.text, text)
    assert.equal(await openai.audio.transcriptions.create({ ...ask, response_format: 'text' }), `${text}\n`)
    assert.match(await openai.audio.transcriptions.create({ ...ask, response_format: 'vtt' }), /^WEBVTT\n/)
    assert.equal((await openai.audio.translations.create(ask)).text, text)
    const events = await Array.fromAsync(await openai.audio.transcriptions.create({ ...ask, stream: true }))
    assert.equal(events.map((event) => (event.type === 'transcript.text.delta' ? event.delta : '')).join(''), text)
    const last = events.at(-1)
    assert.ok(last?.type === 'transcript.text.done' && last.text === text)
  })
})

test('Azure’s client reaches every format under a deployment’s name', async () => {
  const azure = new OpenAI({ baseURL: `${sandbox.origin}/openai/deployments/sandbox-azure`, apiKey: 'unused', maxRetries: 0 })
  assert.equal((await azure.embeddings.create({ model: 'ignored', input: 'x' })).model, 'sandbox-azure')
  assert.equal((await azure.audio.transcriptions.create({ model: '', file: new File(['12'], 'a.wav') })).text, 'You said: 2 bytes of audio')
})
