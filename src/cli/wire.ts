/** One question to a server over HTTP or HTTPS, and its answer as it comes. */
import { type IncomingHttpHeaders, type RequestOptions, request as requestPlain } from 'node:http'
import { request } from 'node:https'
import { rootCertificates } from 'node:tls'

export interface WireOptions {
  /** `https://earthflow.example.com:8443` */
  url: string
  /** An authority to trust beside those of the machine, PEM. */
  ca: string | null
  /** Does not look whose certificate it is: for questions that hold no secret. */
  isUnverified?: boolean
}

export interface Question {
  method: string
  path: string
  headers?: Readonly<Record<string, string>>
  body?: string | undefined
  /** For the whole of it. */
  msMax?: number
  /** Without a byte. */
  silenceMs?: number
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  /** Throws Unreachable where it breaks off. */
  body: AsyncIterable<Buffer>
  /** For whom what comes is nothing: nobody waits for the rest. */
  drop(): void
}

/** Nothing came, or not all of it; the message says why and what to change. */
export class Unreachable extends Error {}

const SILENCE_MS = 60_000

/** Resolves when the head of the answer is there. Throws Unreachable. */
export type Wire = (question: Question) => Promise<Answer>

export function createWire({ url, ca, isUnverified = false }: WireOptions): Wire {
  const base = new URL(url)
  const send = base.protocol === 'https:' ? request : requestPlain
  const trust = { ...(ca === null ? {} : { ca: [...rootCertificates, ca] }), ...(isUnverified ? { rejectUnauthorized: false } : {}) }

  return ({ method, path, headers = {}, body, msMax, silenceMs = SILENCE_MS }) =>
    new Promise((resolve, reject) => {
      const unreachable = (error: Error): Unreachable => new Unreachable(`${base.origin} cannot be reached: ${reasonOf(error, msMax ?? silenceMs)}.`)
      const options: RequestOptions = { method, headers, ...(msMax === undefined ? {} : { signal: AbortSignal.timeout(msMax) }), ...trust }
      const asking = send(new URL(path, base), options, (response) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: pieces(response, unreachable), drop: () => void response.destroy() })
      })
      asking.setTimeout(silenceMs, () => asking.destroy(Object.assign(new Error(), { name: 'TimeoutError' })))
      asking.on('error', (error) => reject(unreachable(error)))
      asking.end(body)
    })
}

async function* pieces(response: AsyncIterable<Buffer>, unreachable: (error: Error) => Error): AsyncGenerator<Buffer> {
  try {
    yield* response
  } catch (error) {
    throw error instanceof Error ? unreachable(error) : error
  }
}

/** The whole body. Throws Unreachable where it is longer than `bytesMax`. */
export async function wholeBody(body: AsyncIterable<Buffer>, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > bytesMax) throw new Unreachable('The answer is too long.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size).toString()
}

const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  ENOTFOUND: 'the name of the host is not known',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not trusted; set EARTHFLOW_CA_PATH',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not trusted; set EARTHFLOW_CA_PATH',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not trusted; set EARTHFLOW_CA_PATH',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  EPROTO: 'it does not speak TLS',
}

function reasonOf(error: Error, ms: number): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer came within ${ms / 1000} s`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  return code === null ? error.message : (sentences[code] ?? code)
}
