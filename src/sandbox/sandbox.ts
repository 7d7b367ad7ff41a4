/**
 * A provider to try Earthflow with: a real HTTP server on loopback that echoes what it is told, in every dialect. It logs nothing and keeps nothing
 * of a call.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { newId } from '../ids.ts'
import { anthropicMessages } from './anthropic/anthropic-messages.ts'
import { behaviourOf, models } from './behaviour.ts'
import { geminiGenerate } from './gemini/gemini-generate.ts'
import { openaiAudio } from './openai/openai-audio.ts'
import { openaiChat } from './openai/openai-chat.ts'
import { openaiCompletions } from './openai/openai-completions.ts'
import { openaiEmbeddings } from './openai/openai-embeddings.ts'
import { openaiImages } from './openai/openai-images.ts'
import { openaiModerations } from './openai/openai-moderations.ts'
import { openaiResponses } from './openai/openai-responses.ts'
import { type Ask, type Operation, type PlayedDialect, type PlayedVendor, type Problem, UnreadableAsk } from './played-dialect.ts'
import { decodeSegment } from './read-body.ts'
import { sendAnswer, sendDocument } from './send.ts'

export interface Sandbox {
  /** `http://127.0.0.1:<port>`, without a path. */
  origin: string
  /** Ends every connection at once. */
  close(): Promise<void>
}

/** Every dialect the sandbox plays. */
const dialects: readonly PlayedDialect[] = [
  openaiChat,
  openaiResponses,
  openaiCompletions,
  openaiEmbeddings,
  openaiModerations,
  openaiImages,
  openaiAudio,
  anthropicMessages,
  geminiGenerate,
]

/** The names of the dialects, for the upstream's row. */
export const sandboxDialects: readonly string[] = dialects.map((dialect) => dialect.name)

/** Twice what Earthflow lets through by default. A larger body is refused with 413. */
const BODY_BYTES_MAX = 64 * 1024 * 1024
const RETRY_AFTER_SECONDS = 1

/** Starts listening on a free port of 127.0.0.1. Needs no credential and reaches nothing: whoever connects only hears themselves. */
export async function createSandbox(): Promise<Sandbox> {
  const server = createServer((req, res) => void serve(req, res))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen({ port: 0, host: '127.0.0.1', exclusive: true }, resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = promisify(server.close.bind(server))()
      server.closeAllConnections()
      await closed
    },
  }
}

async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { path, query, deployment } = readTarget(req.url ?? '')
  const { vendor, operation } = route(req, path)
  const requestId = newId('req')
  const refuse = (problem: Problem, headers: Record<string, string> = {}): void =>
    sendDocument(res, problem.status, { ...vendor.headers(requestId), ...headers }, vendor.problem(problem, requestId))
  try {
    const model = req.method === 'GET' ? modelAt(vendor, path) : null
    if (model === '') return sendDocument(res, 200, vendor.headers(requestId), vendor.listModels(models))
    if (model !== null) return behaviourOf(model) ? sendDocument(res, 200, vendor.headers(requestId), vendor.showModel(model)) : refuse(unknownModel)
    if (!operation) return refuse({ kind: 'unknown_path', status: 404, message: 'The sandbox has nothing under this method and path.' })
    const bytes = await readBody(req)
    if (bytes === null) return refuse({ kind: 'too_large', status: 413, message: 'The body is larger than the sandbox reads.' }, { connection: 'close' })
    const body = await parse(bytes, req.headers['content-type'] ?? '')
    const ask = readAsk(operation, deployment === null ? body : withModel(body, deployment), path, query)
    if (!('model' in ask)) return refuse(ask)
    const behaviour = behaviourOf(ask.model)
    if (!behaviour) return refuse(unknownModel)
    if (behaviour.kind !== 'refuses') return await sendAnswer(res, vendor.headers(requestId), ask.answer, behaviour)
    if (behaviour.status === 500) return refuse(failure)
    const headers = { 'retry-after': String(RETRY_AFTER_SECONDS), ...vendor.limitHeaders(RETRY_AFTER_SECONDS * 1000) }
    return refuse({ kind: 'rate_limit', status: 429, message: `Rate limit reached for ${ask.model}. Please try again in ${RETRY_AFTER_SECONDS}s.` }, headers)
  } catch {
    // The client went away, mostly; then nobody is left to tell. The cause may quote the body.
    if (res.destroyed || res.headersSent) res.destroy()
    else refuse(failure)
  }
}

const failure: Problem = { kind: 'failure', status: 500, message: 'The server had an error while processing your request. Sorry about that!' }
const unknownModel: Problem = {
  kind: 'unknown_model',
  status: 404,
  message: 'The sandbox only has the model `sandbox` and names that begin with `sandbox-`.',
  param: 'model',
}

/** Where a request goes. Azure's paths are read as OpenAI's: the deployment, if the path names one, stands for the model. */
function readTarget(url: string): { path: string; query: URLSearchParams; deployment: string | null } {
  const [path, query] = url.split('?', 2) as [string, string?]
  const [, deployment, rest] = /^\/openai(?:\/v1|\/deployments\/([^/]+))?(\/.*)$/.exec(path) ?? []
  return {
    path: rest === undefined ? path : `/v1${rest}`,
    query: new URLSearchParams(query),
    deployment: deployment === undefined ? null : decodeSegment(deployment),
  }
}

/** The path tells the vendor, else a header of the client library. */
function route(req: IncomingMessage, path: string): { vendor: PlayedVendor; operation: Operation | null } {
  for (const dialect of dialects) {
    const operation = dialect.operations.find((one) => one.path.test(path))
    if (operation) return { vendor: dialect.vendor, operation: req.method === 'POST' ? operation : null }
  }
  return { vendor: vendorOf(req, path), operation: null }
}

function vendorOf({ headers }: IncomingMessage, path: string): PlayedVendor {
  if (headers['anthropic-version'] !== undefined) return anthropicMessages.vendor
  const isGoogle = headers['x-goog-api-client'] !== undefined || headers['x-goog-api-key'] !== undefined || !path.startsWith('/v1/')
  return isGoogle ? geminiGenerate.vendor : openaiChat.vendor
}

/** The model a path shows, '' where it lists all, null where it does neither. */
function modelAt({ modelPaths }: PlayedVendor, path: string): string | null {
  const below = modelPaths.find((one) => path === one || path.startsWith(`${one}/`))
  return below === undefined ? null : decodeSegment(path.slice(below.length + 1))
}

/** Null when the body is larger than the bound. Rejects when the client leaves. */
async function readBody(req: IncomingMessage): Promise<Buffer | null> {
  if (Number(req.headers['content-length']) > BODY_BYTES_MAX) return null
  const chunks: Buffer[] = []
  let bytes = 0
  // Left open, so that the refusal can still be written.
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** A form, or a JSON value; undefined where it is neither. */
async function parse(bytes: Buffer, contentType: string): Promise<unknown> {
  try {
    if (/^multipart\/form-data\b/i.test(contentType)) return await new Response(bytes, { headers: { 'content-type': contentType } }).formData()
    return JSON.parse(bytes.toString())
  } catch {
    return undefined // V8's message quotes the body
  }
}

function withModel(body: unknown, model: string): unknown {
  if (body instanceof FormData) body.set('model', model)
  else if (typeof body === 'object' && body !== null) return { ...body, model }
  return body
}

function readAsk(operation: Operation, body: unknown, path: string, query: URLSearchParams): Ask | Problem {
  if (body === undefined) return { kind: 'invalid', status: 400, message: 'We could not parse the JSON body of your request.' }
  try {
    return operation.read(body, path, query)
  } catch (error) {
    if (error instanceof UnreadableAsk) return { kind: 'invalid', status: 400, message: error.message, param: error.param }
    throw error
  }
}
