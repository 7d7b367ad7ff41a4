/** The management API, asked in this process as whoever looks at the dashboard. Nothing else of Earthflow is known here. */

/** Who is at the other end of the connection, as the API wants it. A certificate is no login. */
export interface Peer {
  address: string
  certificate: readonly string[] | null
}

/** The management API. */
export interface Management {
  fetch(request: Request, peer: Peer): Promise<Response>
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface Ask {
  /** What is null, undefined or empty is left out. */
  query?: Query
  /** Sent as JSON. */
  body?: unknown
  /** Another tenant than the one that was chosen; null: none. Only for people of the whole installation. */
  tenant?: string | null
  /** It changes nothing, though it is a POST: it may be asked where somebody merely looks at a page, whatever led them there. */
  isTrial?: boolean
}

/** What the API says when it refuses. */
export interface Refused {
  ok: false
  status: number
  code: string
  /** A sentence for people. */
  message: string
  /** The member of the body or the query that is wrong; empty where none is named. */
  field: string
  problems: readonly { field: string; message: string }[]
  requestId: string
}

export type Answered<Json> = { ok: true; status: number; json: Json; headers: Headers } | Refused

/** A refusal where a page had no use for it: the frame shows its sentence. */
export class ApiRefusal extends Error {
  readonly refused: Refused
  constructor(refused: Refused) {
    super(refused.message)
    this.refused = refused
  }
}

export interface Api {
  /** Never throws for a refusal. */
  ask<Json = unknown>(method: Method, path: string, ask?: Ask): Promise<Answered<Json>>
  /** Throws ApiRefusal. */
  get<Json>(path: string, query?: Query, more?: Pick<Ask, 'tenant'>): Promise<Json>
  /** An answer of any size, as it comes. Throws ApiRefusal. */
  download(path: string, query?: Query, more?: Pick<Ask, 'tenant'>): Promise<Response>
}

export interface Asker {
  management: Management
  peer: Peer
  /** From the browser's request: how it is told from one that another site made. */
  headers: Headers
  /** The token of the login; null: nobody is logged in. */
  login: string | null
  /** The tenant that was chosen; null: none. */
  tenant: string | null
}

/** The name of the API's cookie. */
export const API_COOKIE = '__Host-earthflow-login'
/** By these the API tells whether a browser was led into a request by another site. */
const ORIGIN_HEADERS = ['host', 'origin', 'sec-fetch-site'] as const

/** `tenant` is told to the API in every question, as X-Earthflow-Tenant. */
export function createApi({ management, peer, headers, login, tenant: chosen }: Asker): Api {
  const send = (method: Method, path: string, { query = {}, body, tenant = chosen, isTrial = false }: Ask): Promise<Response> => {
    const sent = new Headers({ accept: 'application/json' })
    for (const name of ORIGIN_HEADERS) {
      const value = headers.get(name)
      if (value !== null) sent.set(name, value)
    }
    if (isTrial) {
      sent.delete('origin')
      sent.set('sec-fetch-site', 'same-origin')
    }
    if (login !== null) sent.set('cookie', `${API_COOKIE}=${login}`)
    if (tenant !== null) sent.set('x-earthflow-tenant', tenant)
    if (body !== undefined) sent.set('content-type', 'application/json')
    const request = new Request(`http://earthflow.internal${path}${queryOf(query)}`, {
      method,
      headers: sent,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    return management.fetch(request, { address: peer.address, certificate: null })
  }
  const ask = async <Json>(method: Method, path: string, asked: Ask = {}): Promise<Answered<Json>> => {
    const response = await send(method, path, asked)
    const json = await jsonOf(response)
    return response.ok ? { ok: true, status: response.status, json: json as Json, headers: response.headers } : refusedOf(response.status, json)
  }
  return {
    ask,
    async get<Json>(path: string, query: Query = {}, more: Pick<Ask, 'tenant'> = {}): Promise<Json> {
      const answer = await ask<Json>('GET', path, { query, ...more })
      if (!answer.ok) throw new ApiRefusal(answer)
      return answer.json
    },
    async download(path, query = {}, more = {}) {
      const response = await send('GET', path, { query, ...more })
      if (!response.ok) throw new ApiRefusal(refusedOf(response.status, await jsonOf(response)))
      return response
    },
  }
}

/** With its question mark; empty where nothing is asked. */
export function queryOf(query: Query): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== '') search.set(name, String(value))
  return search.size === 0 ? '' : `?${search}`
}

/** Null where there is none: an empty answer, or a page of text. */
async function jsonOf(response: Response): Promise<unknown> {
  const text = await response.text()
  return (response.headers.get('content-type') ?? '').startsWith('application/json') ? (JSON.parse(text) as unknown) : text === '' ? null : text
}

function refusedOf(status: number, json: unknown): Refused {
  const { error, message, context, request_id } = (json ?? {}) as { error?: string; message?: string; context?: Record<string, unknown>; request_id?: string }
  const { field, problems } = context ?? {}
  return {
    ok: false,
    status,
    code: error ?? 'EARTHFLOW_ERROR',
    message: message ?? 'Earthflow could not do this.',
    field: typeof field === 'string' ? field : '',
    problems: Array.isArray(problems) ? (problems as Refused['problems']) : [],
    requestId: request_id ?? '',
  }
}
