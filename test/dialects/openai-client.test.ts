/** What the official client library, in two majors, makes of a stream that is stopped by a server that begins as the sandbox does and ends as we do. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import OpenAI, { APIError, OpenAIError } from 'openai'
import OpenAI6, { APIError as APIError6 } from 'openai-6'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { openaiAudio } from '../../src/dialects/openai/openai-audio.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { openaiCompletions } from '../../src/dialects/openai/openai-completions.ts'
import { openaiImages } from '../../src/dialects/openai/openai-images.ts'
import { openaiResponses } from '../../src/dialects/openai/openai-responses.ts'
import { Refusal } from '../../src/errors.ts'
import { createSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts'

const FRAMES = 5

let sandbox: Sandbox
let server: Server
let openai: OpenAI
let openai6: OpenAI6
let soft = false
/** Where the frames went that the client has seen. */
let ends = ''

const dialects: readonly Dialect[] = [openaiChat, openaiCompletions, openaiResponses, openaiImages, openaiAudio]

before(async () => {
  sandbox = await createSandbox()
  server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    const asked = await fetch(sandbox.origin + req.url, {
      method: 'POST',
      headers: { 'content-type': req.headers['content-type'] ?? '' },
      body: Buffer.concat(chunks),
    })
    const frames = (await asked.text()).split(/(?<=\n\n)/)
    ends = frames.slice(0, Math.min(FRAMES, frames.length - 1)).join('')
    const dialect = dialects.find(({ paths }) => paths.includes(req.url as string)) as Dialect
    const refusal = new Refusal('blocked_by_rule', "The reply was stopped by policy: 'no secrets'.")
    res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    res.end(ends + dialect.stopStream({ refusal, requestId: 'req_1', soft, open: [0], ends }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const options = { baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, apiKey: 'unused', maxRetries: 0 }
  openai = new OpenAI(options)
  openai6 = new OpenAI6(options)
})
after(async () => {
  server.closeAllConnections()
  server.close()
  await sandbox.close()
})

const messages = [{ role: 'user' as const, content: 'one two three four five six' }]
const input = messages[0].content
const responses = () => openai.responses.create({ model: 'sandbox', input, stream: true })

/** The events a client sees, and what it throws in the end. */
async function hear(stream: AsyncIterable<unknown>): Promise<{ seen: unknown[]; thrown: unknown }> {
  const seen: unknown[] = []
  try {
    for await (const event of stream) seen.push(event)
    return { seen, thrown: null }
  } catch (thrown) {
    return { seen, thrown }
  }
}

describe('stopped hard', () => {
  test('every streamed format raises the error, with its message and its code, after what was said before', async () => {
    soft = false
    const file = new File(['sound'], 'a.wav')
    for (const stream of [
      await openai.chat.completions.create({ model: 'sandbox', messages, stream: true }),
      await openai.completions.create({ model: 'sandbox', prompt: input, stream: true }),
      await responses(),
      await openai.images.generate({ model: 'sandbox', prompt: input, stream: true }),
      await openai.audio.transcriptions.create({ model: 'sandbox', file, stream: true }),
    ]) {
      const { seen, thrown } = await hear(stream)
      assert.ok(seen.length > 0)
      assert.ok(thrown instanceof APIError)
      assert.deepEqual([thrown.code, thrown.message.includes('no secrets')], ['content_policy_violation', true])
    }
  })

  test('a response is told to have failed before the error is raised, for clients that wait for how it ends', async () => {
    soft = false
    const { seen } = await hear(await responses())
    const last = seen.at(-1) as OpenAI.Responses.ResponseFailedEvent
    const first = seen[0] as OpenAI.Responses.ResponseCreatedEvent
    assert.deepEqual([last.type, last.response.id, last.response.status], ['response.failed', first.response.id, 'failed'])
    assert.ok(last.sequence_number > (seen.at(-2) as { sequence_number: number }).sequence_number)
  })

  test('the helpers raise it too', async () => {
    soft = false
    const isStop = (error: unknown): boolean => error instanceof OpenAIError && error.message.includes('no secrets')
    await assert.rejects(openai.chat.completions.stream({ model: 'sandbox', messages }).finalChatCompletion(), isStop)
    await assert.rejects(openai.responses.stream({ model: 'sandbox', input }).finalResponse(), isStop)
  })
})

describe('stopped hard, as the major before hears it', () => {
  test('choices raise the error; a response hands its failure and the error over as events', async () => {
    soft = false
    const chat = await hear(await openai6.chat.completions.create({ model: 'sandbox', messages, stream: true }))
    assert.ok(chat.thrown instanceof APIError6)
    assert.equal(chat.thrown.code, 'content_policy_violation')
    const { seen, thrown } = await hear(await openai6.responses.create({ model: 'sandbox', input, stream: true }))
    const [failed, error] = seen.slice(-2) as [OpenAI6.Responses.ResponseFailedEvent, OpenAI6.Responses.ResponseErrorEvent]
    assert.deepEqual([thrown, failed.type, error.type, error.code], [null, 'response.failed', 'error', 'content_policy_violation'])
    assert.match(error.message, /no secrets/)
    await assert.rejects(openai6.responses.stream({ model: 'sandbox', input }).finalResponse(), { code: 'content_policy_violation' })
  })
})

describe('stopped softly', () => {
  test('choices end as filtered, and nothing is raised', async () => {
    soft = true
    for (const stream of [
      await openai.chat.completions.create({ model: 'sandbox', messages, stream: true }),
      await openai.completions.create({ model: 'sandbox', prompt: input, stream: true }),
    ]) {
      const { seen, thrown } = await hear(stream)
      const chunks = seen as { id: string; model: string; choices: { finish_reason: string | null }[] }[]
      assert.equal(thrown, null)
      assert.equal(chunks.at(-1)?.choices[0]?.finish_reason, 'content_filter')
      assert.deepEqual(new Set(chunks.map(({ id, model }) => `${id} ${model}`)).size, 1)
    }
    for (const client of [openai, openai6 as unknown as OpenAI]) {
      const completion = await client.chat.completions.stream({ model: 'sandbox', messages }).finalChatCompletion()
      assert.equal(completion.choices[0]?.finish_reason, 'content_filter')
      assert.match(completion.choices[0]?.message.content ?? '', /^You said:/)
    }
  })

  test('a response ends incomplete, and nothing is raised, by the helper neither', async () => {
    soft = true
    const { seen, thrown } = await hear(await responses())
    const last = seen.at(-1) as OpenAI.Responses.ResponseIncompleteEvent
    assert.deepEqual([thrown, last.type, last.response.incomplete_details], [null, 'response.incomplete', { reason: 'content_filter' }])
    for (const client of [openai, openai6 as unknown as OpenAI]) {
      const response = await client.responses.stream({ model: 'sandbox', input }).finalResponse()
      assert.deepEqual([response.status, response.incomplete_details], ['incomplete', { reason: 'content_filter' }])
    }
  })
})
