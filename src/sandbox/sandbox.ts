/**
 * A provider to try Earthflow with: a real HTTP server on loopback that echoes what it is told, in every dialect. It logs nothing and keeps nothing
 * of a call.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { newId } from '../ids.ts'
import { anthropicMessages } from './anthropic-messages.ts'
import { behaviourOf, models } from './behaviour.ts'
import { openaiChat } from './openai-chat.ts'
import { type Ask, type Operation, type PlayedDialect, type Problem, UnreadableAsk } from './played-dialect.ts'
import { sendAnswer, sendDocument } from './send.ts'

export interface Sandbox {
  /** `http://127.0.0.1:<port>`, without a path. */
  origin: string
  /** Ends every connection at once. */
  close(): Promise<void>
}

/** Every dialect the sandbox plays. The first one phrases errors where nothing tells the dialect. */
const dialects: readonly PlayedDialect[] = [openaiChat, anthropicMessages]

/** The names of the dialects, for the upstream's row. */
export const sandboxDialects: readonly string[] = dialects.map((dialect) => dialect.name)

/** Twice what Earthflow lets through by default. A larger body is refused with 413. */
const BODY_BYTES_MAX = 64 * 1024 * 1024
const RETRY_AFTER_SECONDS = 1

/** Starts listening on a free port of 127.0.0.1. Needs no credential and reaches nothing: whoever connects only hears themselves. */
export async function createSandbox(): Promise<Sandbox> {
  const server = createServer((req, res) => void serve(req, res))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
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
  const path = (req.url ?? '').split('?', 1)[0]!
  const { dialect, operation } = route(req, path)
  const requestId = newId('req')
  const refuse = (problem: Problem, headers: Record<string, string> = {}): void =>
    sendDocument(res, problem.status, { ...dialect.headers(requestId), ...headers }, dialect.problem(problem, requestId))
  try {
    const model = /^\/v1\/models(?:\/([^/]+))?$/.exec(path)
    if (model && req.method === 'GET') {
      if (model[1] === undefined) return sendDocument(res, 200, dialect.headers(requestId), dialect.listModels(models))
      if (behaviourOf(model[1])) return sendDocument(res, 200, dialect.headers(requestId), dialect.showModel(model[1]))
      return refuse(unknownModel)
    }
    if (!operation) return refuse({ kind: 'unknown_path', status: 404, message: 'The sandbox has nothing under this method and path.' })
    const body = await readBody(req)
    if (body === null) return refuse({ kind: 'too_large', status: 413, message: 'The body is larger than the sandbox reads.' }, { connection: 'close' })
    const ask = readAsk(operation, body, path)
    if (!('model' in ask)) return refuse(ask)
    const behaviour = behaviourOf(ask.model)
    if (!behaviour) return refuse(unknownModel)
    if (behaviour.kind !== 'refuses') return await sendAnswer(res, dialect.headers(requestId), ask.answer, behaviour)
    if (behaviour.status === 500) return refuse(failure)
    const headers = { 'retry-after': String(RETRY_AFTER_SECONDS), ...dialect.limitHeaders(RETRY_AFTER_SECONDS * 1000) }
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

/** The path tells the dialect, else a header of the client library. */
function route(req: IncomingMessage, path: string): { dialect: PlayedDialect; operation: Operation | null } {
  for (const dialect of dialects) {
    const operation = dialect.operations.find((one) => one.path.test(path))
    if (operation) return { dialect, operation: req.method === 'POST' ? operation : null }
  }
  return { dialect: req.headers['anthropic-version'] === undefined ? openaiChat : anthropicMessages, operation: null }
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

function readAsk(operation: Operation, bytes: Buffer, path: string): Ask | Problem {
  let body: unknown
  try {
    body = JSON.parse(bytes.toString())
  } catch {
    // V8's message quotes the body.
    return { kind: 'invalid', status: 400, message: 'We could not parse the JSON body of your request.' }
  }
  try {
    return operation.read(body, path)
  } catch (error) {
    if (error instanceof UnreadableAsk) return { kind: 'invalid', status: 400, message: error.message, param: error.param }
    throw error
  }
}
