/** A call, and the reply to it, as somebody describes them to try rules on. */
import { z } from 'zod'
import { findTenant, tenantOf } from '../../access/tenants.ts'
import type { Caller, ModelCall } from '../../call.ts'
import { createJsonReader } from '../../dialects/bodies/json-reader.ts'
import { createCallReader } from '../../dialects/bodies/read-call.ts'
import { collect } from '../../dialects/bodies/texts.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { type Endpoint, endpointOf } from '../../dialects/endpoint.ts'
import { openaiNative } from '../../dialects/index.ts'
import { Refusal } from '../../errors.ts'
import type { Subject } from '../../rules/targets.ts'
import { noTenant } from '../credentials.ts'
import type { AdminParts } from '../parts.ts'
import type { Actor } from '../route.ts'

const NAMES_MAX = 64
const VALUE_CHARACTERS_MAX = 8_192
const short = z.string().max(256)
const record = <Value extends z.ZodType>(value: Value) =>
  z.record(z.string().min(1).max(128), value).refine((all) => Object.keys(all).length <= NAMES_MAX, { error: `Holds at most ${NAMES_MAX} names.` })

/** Members of a sample; `refineSample` says which of them go together. */
export const sampleMembers = {
  text: z.string().optional().meta({ description: 'What the user says. Either this or body, unless only a response is tried.' }),
  body: z.record(z.string(), z.unknown()).optional().meta({ description: 'A body as a client library sends it.' }),
  dialect: short.optional().meta({ description: 'How body and response are read; openai-chat, or what the endpoint says.' }),
  endpoint: z.string().max(1024).optional().meta({ description: 'The path that is called.' }),
  model: short.optional().meta({ description: 'Where neither body nor endpoint names it.' }),
  headers: record(z.string().max(VALUE_CHARACTERS_MAX)).optional().meta({ description: 'For header.<name>.' }),
  metadata: record(z.union([z.string().max(VALUE_CHARACTERS_MAX), z.number(), z.boolean()]))
    .optional()
    .meta({ description: "Beside the body's own." }),
  agent: short.optional(),
  key: short.optional().meta({ description: 'The prefix of a key. Without it, the key that asks, or none.' }),
  price: z
    .strictObject({ input: z.number().min(0), output: z.number().min(0) })
    .optional()
    .meta({ description: 'USD for a million tokens, for the estimate of the cost.' }),
  response: z
    .union([z.string(), z.record(z.string(), z.unknown())])
    .optional()
    .meta({ description: 'What the model answers: a text, or a body in the dialect of the call.' }),
}
export type Sample = z.output<z.ZodObject<typeof sampleMembers>>

export const refineSample = <Shape extends z.ZodType<Sample>>(shape: Shape): Shape =>
  shape
    .refine(({ text, body }) => text === undefined || body === undefined, { error: 'Give either text or body.', path: ['text'] })
    .refine(({ text, body, response }) => text !== undefined || body !== undefined || response !== undefined, {
      error: 'Give text, body or response.',
      path: ['text'],
    })
    .refine(({ body, response, dialect }) => dialect === undefined || body !== undefined || typeof response === 'object', {
      error: 'Says how body is read; there is none.',
      path: ['dialect'],
    })

export interface Described {
  subject: Subject
  /** In which the reply is written. */
  dialect: Dialect
  /** The body of the reply; null where none is tried. */
  reply: Buffer | null
  /** The call is a text alone, wrapped so that it can be read: `["…"]`. */
  isText: boolean
  /** So is the reply. */
  isTextReply: boolean
}

/** Throws a Refusal, which names the member after `place`, for a body that is no call of its dialect. */
export function createSampleReader({ dialects }: Pick<AdminParts, 'dialects'>): (sample: Sample, caller: Caller, place?: string) => Described {
  const readCall = createCallReader()

  return (sample, caller, place = '') => {
    const at = (member: string): string => `${place}${member}`
    const { body, response, model = null, headers = {}, metadata = {}, price = null, agent = caller.agent?.id ?? null, key = caller.keyPrefix } = sample
    const endpoint = endpointFor(sample, at)
    const call = body === undefined ? callOf(sample.text ?? '', model) : read(body, endpoint, at)
    return {
      subject: {
        call,
        caller: { ...caller, agent: agent === null ? null : { id: agent }, keyPrefix: key },
        endpoint: sample.endpoint ?? (body === undefined ? '' : endpoint.path),
        headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
        metadata: { ...call.metadata, ...metadata },
        price,
      },
      dialect: typeof response === 'object' ? endpoint.dialect : openaiNative,
      reply: response === undefined ? null : Buffer.from(JSON.stringify(typeof response === 'string' ? [response] : response)),
      isText: body === undefined,
      isTextReply: typeof response === 'string',
    }
  }

  function endpointFor(sample: Sample, at: (member: string) => string): Endpoint {
    const { dialect: name, endpoint: path, model = null } = sample
    const named = name === undefined ? undefined : [...dialects, openaiNative].find((one) => one.name === name)
    if (name !== undefined && !named) {
      const known = new Set([...dialects, openaiNative].map((one) => one.name))
      throw new Refusal('config', `There is no such dialect. Known: ${[...known].join(', ')}.`, { context: { field: at('dialect') } })
    }
    if (path !== undefined) {
      const told = endpointOf('POST', path, {})
      if (told instanceof Refusal) throw new Refusal(told.reason, told.message, { context: { field: at('endpoint') } })
      return { ...told, kind: 'call', dialect: named ?? told.dialect, model: told.model ?? model }
    }
    const dialect = named ?? dialects[0]
    return { kind: 'call', dialect, path: (dialect.paths[0] ?? '').replace('{model}', encodeURIComponent(model ?? 'model')), model, upstream: null }
  }

  function read(body: Record<string, unknown>, endpoint: Endpoint, at: (member: string) => string): ModelCall {
    const result = readCall(Buffer.from(JSON.stringify(body)), 'application/json', endpoint)
    if (!(result instanceof Refusal)) return result.call
    const { reason, message, context } = result
    throw new Refusal(reason, message, { context: { field: at(typeof context.param === 'string' ? `body.${context.param}` : 'body') } })
  }
}

/** The text alone, as the user's words; around it there is nothing a rule could stumble over. */
export function callOf(text: string, model: string | null): ModelCall {
  const body = Buffer.from(JSON.stringify([text]))
  const json = createJsonReader()(body)
  const texts = collect(json, (mark) => mark(json.firstItem(0), 'user'))
  return {
    ...texts,
    models: model === null ? [] : [model],
    streaming: false,
    body,
    format: 'json',
    contentType: 'application/json',
    lastMessage: json.rangeOf(0),
    maxOutputTokens: null,
    metadata: {},
  }
}

/** Who calls: the key that asks. An administrator stands in for the tenant, by no key in particular. */
export async function callerOf(
  { db, defaultRequestsPerMinute }: Pick<AdminParts, 'db' | 'defaultRequestsPerMinute'>,
  tenantId: string,
  actor: Actor,
): Promise<Caller> {
  if (actor.kind === 'key') return actor.caller
  const row = await findTenant(db, tenantId)
  if (!row) throw noTenant()
  return {
    tenant: tenantOf(row, defaultRequestsPerMinute),
    keyPrefix: '',
    keyLimits: null,
    allowedModels: null,
    allowedAddresses: null,
    clientCertificate: null,
    session: null,
    agent: null,
    scopes: new Set(['proxy:write']),
  }
}
