/** The management API of a running Earthflow, asked over HTTPS as any client would. */
import { type Answer, createWire, Unreachable, wholeBody } from './wire.ts'

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

export interface StreamingApi extends Api {
  /** What is answered, as it comes. Throws ApiRefused and ApiUnreachable, also in the middle where it was cut. */
  stream(path: string, more?: { tenant?: string | undefined }): Promise<AsyncIterable<Buffer>>
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
export { Unreachable as ApiUnreachable }

/** The whole of a question and its answer. */
const ASK_MS_MAX = 60_000
const ANSWER_BYTES_MAX = 64 << 20

export function createApi({ url, key, ca }: ApiOptions): StreamingApi {
  const { origin } = new URL(url)
  const wire = createWire({ url, ca })

  return {
    async ask(method, path, { tenant, body } = {}) {
      const answer = await wire({
        method,
        path,
        headers: headersFor(tenant, body),
        body: body === undefined ? undefined : JSON.stringify(body),
        msMax: ASK_MS_MAX,
      })
      refuseOthers(answer)
      const text = await wholeBody(answer.body, ANSWER_BYTES_MAX)
      if (answer.status === 204) return null
      if (answer.status < 300) return parse(text)
      throw refused(answer.status, text)
    },
    async stream(path, { tenant } = {}) {
      const answer = await wire({ method: 'GET', path, headers: headersFor(tenant, undefined) })
      refuseOthers(answer)
      if (answer.status < 300) return answer.body
      throw refused(answer.status, await wholeBody(answer.body, ANSWER_BYTES_MAX))
    },
  }

  function headersFor(tenant: string | undefined, body: unknown): Record<string, string> {
    return {
      authorization: `Bearer ${key}`,
      accept: 'application/json',
      ...(tenant === undefined ? {} : { 'x-earthflow-tenant': tenant }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
  }

  function refuseOthers({ status, headers, drop }: Answer): void {
    if ('x-earthflow-request-id' in headers) return
    drop()
    throw new Unreachable(`${origin} answered ${status}, and is no Earthflow; check EARTHFLOW_URL.`)
  }
}

function refused(status: number, text: string): ApiRefused {
  const { message, context } = (parse(text) ?? {}) as { message?: unknown; context?: unknown }
  return new ApiRefused(status, typeof message === 'string' ? message : `Earthflow answered ${status}.`, (context ?? {}) as Record<string, unknown>)
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
