/** What the smoke test asks of a deployed Earthflow, with whose key. */
import { z } from 'zod'
import { createWire, type Wire, wholeBody } from './wire.ts'

export interface SmokeOptions {
  url: string
  /** A tenant's. */
  key: string
  /** Null: what needs it is left out. */
  adminKey: string | null
  ca: string | null
  isUnverified: boolean
  model: string
}

export interface Reply {
  status: number
  headers: Readonly<Record<string, unknown>>
  text: string
  /** Null where it is no JSON object. */
  json: Record<string, unknown> | null
}

/** Earthflow answered, and not what it should; the message says what. */
export class NotSo extends Error {}

const envelope = z.looseObject({
  status: z.string(),
  audit_id: z.string(),
  request_id: z.string(),
  forwarded: z.boolean(),
  reason: z.string().nullable(),
  redactions: z.array(z.unknown()),
  response: z.unknown(),
})
export type Envelope = z.output<typeof envelope>

/** A model may think before it answers. */
const CALL_MS_MAX = 120_000
const ASK_MS_MAX = 15_000
const ANSWER_BYTES_MAX = 4 << 20

export type SmokeServer = ReturnType<typeof createSmokeServer>

export function createSmokeServer({ url, key, adminKey, ca, isUnverified, model }: SmokeOptions) {
  const wire: Wire = createWire({ url, ca, isUnverified })

  async function ask(method: string, path: string, { as = key, body, tenant, msMax = ASK_MS_MAX }: Asking = {}): Promise<Reply> {
    const headers = {
      ...(as === null ? {} : { authorization: `Bearer ${as}` }),
      ...(tenant === undefined ? {} : { 'x-earthflow-tenant': tenant }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    const answer = await wire({ method, path, headers, body: body === undefined ? undefined : JSON.stringify(body), msMax })
    const text = await wholeBody(answer.body, ANSWER_BYTES_MAX)
    return { status: answer.status, headers: answer.headers, text, json: objectIn(text) }
  }

  return {
    hasAdmin: adminKey !== null,
    adminKey,
    ask,
    /** A call with this text. Throws NotSo where there is no envelope. */
    async call(content: string): Promise<Envelope> {
      return envelopeIn(await ask('POST', '/v1/proxy', { body: callOf(content, false), msMax: CALL_MS_MAX }), model)
    },
    /** The same as a stream: its deltas, and the envelope that ends it. Throws NotSo. */
    async streamedCall(content: string): Promise<{ deltas: number; last: Envelope }> {
      const reply = await ask('POST', '/v1/proxy', { body: callOf(content, true), msMax: CALL_MS_MAX })
      if (reply.status !== 200) return { deltas: 0, last: envelopeIn(reply, model) }
      if (!/^text\/event-stream/.test(String(reply.headers['content-type']))) throw new NotSo('the answer is no stream of events')
      const events = reply.text.split('\n\n').flatMap((frame) => (frame.startsWith('data: ') ? [objectIn(frame.slice(6))] : []))
      const last = envelope.safeParse(events.at(-1))
      if (!last.success) throw new NotSo('the stream does not end with the envelope: it was cut off')
      return { deltas: events.filter((event) => typeof event?.delta === 'string').length, last: last.data }
    },
  }

  function callOf(content: string, stream: boolean): object {
    return { model, messages: [{ role: 'user', content }], metadata: { smoke_test: true }, ...(stream && { stream }) }
  }
}

interface Asking {
  /** Null: nobody's. */
  as?: string | null
  body?: unknown
  tenant?: string
  msMax?: number
}

function envelopeIn({ status, json }: Reply, model: string): Envelope {
  const read = envelope.safeParse(json)
  if (status === 200 && read.success) return read.data
  throw new NotSo(`${saidIn(status, json)}${status === 404 || status === 502 || status === 503 ? ` (model ${model}; --model names another)` : ''}`)
}

/** What an error of the API says. */
export const saidIn = (status: number, json: Reply['json']): string => `${status}${typeof json?.message === 'string' ? `: ${json.message}` : ''}`

function objectIn(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}
