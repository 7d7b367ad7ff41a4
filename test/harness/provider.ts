/** A scripted provider on loopback: each test says how it answers, and it remembers every byte it was sent. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  url: string
  body: Buffer
  request: IncomingMessage
  response: ServerResponse
  closed: boolean
}
export type Script = (seen: Seen) => void

export interface Provider {
  origin: string
  seen: Seen[]
  /** Answers from now on. */
  script: Script
  close(): void
}

export async function startProvider(script: Script = answerJson, port = 0): Promise<Provider> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const call: Seen = { url: request.url ?? '', body: Buffer.concat(chunks), request, response, closed: false }
      response.on('close', () => {
        call.closed = true
      })
      response.on('error', () => {})
      seen.push(call)
      provider.script(call)
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const provider: Provider = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    script,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
  return provider
}

export const chatAnswer =
  '{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}'

export const answerJson: Script = ({ response }) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(chatAnswer) }).end(chatAnswer)
}

/** One event of an OpenAI chat stream. */
export const chatEvent = (content: string): string =>
  `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}},"finish_reason":null}]}\n\n`
export const DONE = 'data: [DONE]\n\n'
export const SSE = { 'content-type': 'text/event-stream; charset=utf-8' }
