import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { ApiError, GoogleGenAI } from '@google/genai'
import { GoogleGenAI as Google1 } from 'genai-1'
import { endpointOf } from '../../src/dialects/endpoint.ts'
import { geminiGenerate as dialect } from '../../src/dialects/gemini/gemini-generate.ts'
import { Refusal } from '../../src/errors.ts'
import { readCall } from './places.ts'

interface Seen {
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: string
}

let server: Server
let google: GoogleGenAI
let vertex: GoogleGenAI
let google1: Google1
let seen: Seen[]
let answer: { type: string; body: string }

before(async () => {
  server = createServer(async (req, res) => {
    const [path = '', query] = (req.url ?? '').split('?')
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    seen.push({ path, query: new URLSearchParams(query), headers: req.headers, body: Buffer.concat(chunks).toString() })
    res.writeHead(200, { 'content-type': answer.type }).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const httpOptions = { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  google = new GoogleGenAI({ apiKey: 'key', httpOptions })
  google1 = new Google1({ apiKey: 'key', httpOptions })
  vertex = new GoogleGenAI({ vertexai: true, apiKey: 'key', httpOptions })
})
after(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  seen = []
  answer = { type: 'application/json', body: '{}' }
})

const turn = (text: string) => ({ role: 'user', parts: [{ text }] })
const events = (...frames: string[]) => ({ type: 'text/event-stream', body: frames.join('') })
const chunk = (text: string) => `data: ${JSON.stringify({ candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0 }] })}\r\n\r\n`

/** What we make of the call that came last. */
function lastCall(): { model: string | null; models: readonly string[]; prompt: string; streaming: boolean; found: Record<string, string[]> } {
  const { path, headers, body } = seen.at(-1) as Seen
  const endpoint = endpointOf('POST', path, headers)
  assert.ok(!(endpoint instanceof Refusal) && endpoint.kind === 'call' && endpoint.dialect === dialect, path)
  const { models, prompt, streaming, found } = readCall(dialect, body, path, endpoint.model)
  const byRole: Record<string, string[]> = {}
  for (const { role, text } of found) byRole[role] = [...(byRole[role] ?? []), text]
  return { model: endpoint.model, models, prompt, streaming, found: byRole }
}

describe('what the client library sends', () => {
  test('is read whole: the conversation, functions, media, settings', async () => {
    await google.models.generateContent({
      model: 'gemini-2.5-flash',
      contents: [
        turn('Look'),
        { role: 'model', parts: [{ functionCall: { name: 'f', args: { a: 'arg' } } }] },
        { role: 'user', parts: [{ functionResponse: { name: 'f', response: { output: 'result' } } }] },
      ],
      config: {
        systemInstruction: 'Be kind.',
        maxOutputTokens: 9,
        stopSequences: ['END'],
        tools: [{ functionDeclarations: [{ name: 'f', description: 'Does it', parametersJsonSchema: { type: 'object' } }] }],
        safetySettings: [],
        cachedContent: 'cachedContents/1',
      },
    })
    const { model, models, prompt, streaming, found } = lastCall()
    assert.deepEqual([model, models, streaming], ['gemini-2.5-flash', ['gemini-2.5-flash'], false])
    assert.equal(prompt, 'Be kind.\nLook\nresult')
    assert.deepEqual([found.tool_arguments, found.tool_name], [['arg'], ['f', 'f', 'f']])
    assert.deepEqual(found.other?.toSorted(), ['Does it', 'END'])
  })

  test('is known by its path: streams, counts, embeddings, batches, tuned models, Vertex AI', async () => {
    answer = events(chunk('a'))
    await Array.fromAsync(await google.models.generateContentStream({ model: 'models/m', contents: 'x' }))
    assert.deepEqual([lastCall().model, lastCall().streaming, seen.at(-1)?.query.get('alt')], ['m', true, 'sse'])
    await Array.fromAsync(await vertex.models.generateContentStream({ model: 'm', contents: 'x' }))
    assert.deepEqual([lastCall().model, lastCall().streaming], ['m', true])

    answer = { type: 'application/json', body: '{}' }
    const calls: [() => Promise<unknown>, model: string, prompt: string][] = [
      [() => google.models.generateContent({ model: 'tunedModels/t', contents: 'x' }), 't', 'x'],
      [() => google.models.countTokens({ model: 'm', contents: 'x' }), 'm', 'x'],
      [() => vertex.models.countTokens({ model: 'm', contents: 'x', config: { systemInstruction: 's' } }), 'm', 's\nx'],
      [() => vertex.models.computeTokens({ model: 'm', contents: 'x' }), 'm', 'x'],
      [() => google.models.embedContent({ model: 'm', contents: ['x', 'y'] }), 'm', 'x\ny'],
      [() => vertex.models.generateContent({ model: 'm', contents: 'x' }), 'm', 'x'],
      [
        () => google.batches.create({ model: 'm', src: { inlinedRequests: [{ contents: 'x', config: { systemInstruction: 's' } }, { contents: 'y' }] } }),
        'm',
        's\nx\ny',
      ],
    ]
    for (const [call, model, prompt] of calls) {
      await call()
      assert.deepEqual([lastCall().model, lastCall().prompt], [model, prompt], seen.at(-1)?.path ?? '')
    }
    await google.caches.create({ model: 'm', config: { contents: 'x', systemInstruction: 's' } })
    assert.deepEqual([lastCall().models, lastCall().prompt], [['m'], 's\nx'])
  })

  test('a key and a mark of the library come with every call', async () => {
    await google.models.countTokens({ model: 'm', contents: 'x' })
    assert.equal(seen[0]?.headers['x-goog-api-key'], 'key')
    assert.match(String(seen[0]?.headers['x-goog-api-client']), /^google-genai-sdk/)
  })
})

describe('how the client library takes a stream that is stopped', () => {
  const refusal = new Refusal('blocked_by_rule', 'Stopped by policy.')
  const stopped = (soft: boolean) => events(chunk('one'), chunk(' two'), dialect.stopStream({ refusal, requestId: 'req_1', soft, open: [0] }))
  const heard = async (texts: (string | undefined)[]) => {
    for await (const part of await google.models.generateContentStream({ model: 'm', contents: 'x' }))
      texts.push(part.candidates?.[0]?.finishReason ?? part.text)
  }

  test('hard: as an error with our status and message', async () => {
    answer = stopped(false)
    await assert.rejects(heard([]), (error) => error instanceof ApiError && error.status === 403 && error.message.includes('Stopped by policy.'))
  })

  test('soft: as an answer that ended early', async () => {
    answer = stopped(true)
    const texts: (string | undefined)[] = []
    await heard(texts)
    assert.deepEqual(texts, ['one', ' two', 'PROHIBITED_CONTENT'])
  })

  test('version 1 raises, or ends early, as well', async () => {
    const heard = async () =>
      Array.fromAsync(await google1.models.generateContentStream({ model: 'm', contents: 'x' }), ({ candidates }) => candidates?.[0]?.finishReason)
    answer = stopped(false)
    await assert.rejects(heard())
    answer = stopped(true)
    assert.deepEqual(await heard(), [undefined, undefined, 'PROHIBITED_CONTENT'])
  })
})
