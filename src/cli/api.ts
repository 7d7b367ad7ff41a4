/** The management API of a running Earthflow, asked over HTTPS as any client would. */
import { request as requestPlain } from 'node:http'
import { request } from 'node:https'
import { rootCertificates } from 'node:tls'

export interface ApiOptions {
  /** `https://earthflow.example.com:8443` */
  url: string
  key: string
  /** An authority to trust beside those of the machine, PEM. */
  ca: string | null
}

export interface Api {
  /** The JSON that was answered. Throws ApiRefused and ApiUnreachable. */
  ask(method: string, path: string, more?: { tenant?: string | undefined; body?: unknown }): Promise<unknown>
}

/** The API said no. */
export class ApiRefused extends Error {
  readonly status: number
  /** The member of the body that is wrong; '' where none was named. */
  readonly field: string
  /** Everything that is wrong, the first of it included. */
  readonly problems: readonly { field: string; message: string }[]
  constructor(status: number, message: string, context: Readonly<Record<string, unknown>>) {
    super(message)
    this.status = status
    this.field = typeof context.field === 'string' ? context.field : ''
    this.problems = Array.isArray(context.problems) ? context.problems.flatMap(problemOf) : []
  }
}

/** Nothing came, or nothing that Earthflow says. */
export class ApiUnreachable extends Error {}

/** The whole of a question and its answer. */
const ASK_MS_MAX = 60_000
const ANSWER_BYTES_MAX = 64 << 20

export function createApi({ url, key, ca }: ApiOptions): Api {
  const base = new URL(url)
  const send = base.protocol === 'https:' ? request : requestPlain

  return {
    async ask(method, path, { tenant, body } = {}) {
      const { status, text, isOurs } = await exchange(method, path, tenant, body)
      if (!isOurs) throw new ApiUnreachable(`${base.origin} answered ${status}, and is no Earthflow; check EARTHFLOW_URL.`)
      if (status === 204) return null
      const json = parse(text)
      if (status < 300) return json
      const { message, context } = (json ?? {}) as { message?: unknown; context?: unknown }
      throw new ApiRefused(status, typeof message === 'string' ? message : `Earthflow answered ${status}.`, (context ?? {}) as Record<string, unknown>)
    },
  }

  function exchange(method: string, path: string, tenant: string | undefined, body: unknown): Promise<{ status: number; text: string; isOurs: boolean }> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(new ApiUnreachable(`${base.origin} cannot be reached: ${reasonOf(error)}.`))
      const headers = {
        authorization: `Bearer ${key}`,
        accept: 'application/json',
        ...(tenant === undefined ? {} : { 'x-earthflow-tenant': tenant }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      }
      const options = { method, headers, signal: AbortSignal.timeout(ASK_MS_MAX), ...(ca === null ? {} : { ca: [...rootCertificates, ca] }) }
      const asking = send(new URL(path, base), options, (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('error', fail)
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > ANSWER_BYTES_MAX) asking.destroy(new Error('its answer is too long'))
          else chunks.push(chunk)
        })
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString(), isOurs: 'x-earthflow-request-id' in response.headers }),
        )
      })
      asking.on('error', fail)
      asking.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // as good as nothing
  }
}

function problemOf(one: unknown): { field: string; message: string }[] {
  const { field, message } = (one ?? {}) as { field?: unknown; message?: unknown }
  return typeof field === 'string' && typeof message === 'string' ? [{ field, message }] : []
}

const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name of the host is not known',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not trusted; set EARTHFLOW_CA_PATH',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not trusted; set EARTHFLOW_CA_PATH',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not trusted; set EARTHFLOW_CA_PATH',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  EPROTO: 'it does not speak TLS',
}

function reasonOf(error: Error): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer came within ${ASK_MS_MAX / 1000} s`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  return code === null ? error.message : (sentences[code] ?? code)
}
