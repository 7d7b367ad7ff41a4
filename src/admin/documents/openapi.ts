/** The OpenAPI document: read off the table of routes and the very schemas that check what arrives. */
import { z } from 'zod'
import { type Scope, scopes } from '../../access/scopes.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { reasons } from '../../errors.ts'
import { type EventType, eventTypes } from '../../webhooks/event.ts'
import { LOGIN_COOKIE } from '../credentials.ts'
import { type Described, errorShape } from './described.ts'
import { aboutEvent, deliveryAnswers, deliveryHeaders, payloads } from './events.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required: boolean
  description?: string
  schema: JsonSchema
}

export interface Operation {
  operationId: string
  tags: string[]
  summary: string
  description?: string
  security: Record<string, string[]>[]
  parameters: (Parameter | { $ref: string })[]
  requestBody?: { required: boolean; content: Record<string, { schema: JsonSchema }> }
  responses: Record<string, object>
}

export interface OpenApi {
  openapi: '3.1.0'
  info: object
  servers: { url: string; description: string }[]
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  /** What is sent to webhooks. */
  webhooks: Record<string, { post: Operation }>
  components: { securitySchemes: object; parameters: Record<string, Parameter>; responses: object; schemas: Record<string, JsonSchema> }
}

/** Which part of the API a path belongs to; the first that fits. In the order of the page. */
const areas: readonly { name: string; description: string; paths: RegExp }[] = [
  {
    name: 'calls',
    description:
      "Model calls. Body and answer are those of the provider's own documentation; the key may stand where the provider's client libraries put theirs. Beside them an envelope of our own.",
    paths: /^\/v1\/proxy$/,
  },
  { name: 'keys', description: "A tenant's keys.", paths: /^\/v1\/tenants\/[^/]+\/keys/ },
  { name: 'tenants', description: 'Who may call, and how much.', paths: /^\/v1\/tenants/ },
  { name: 'people', description: 'Who may administer, and logging in.', paths: /^\/v1\/(?:users|auth)/ },
  { name: 'sessions', description: 'Short-lived tokens for calls.', paths: /^\/v1\/sessions/ },
  { name: 'agents', description: 'Programs that call models by themselves, and those in quarantine.', paths: /^\/v1\/(?:agents|quarantine)/ },
  { name: 'rules', description: 'What is judged, and how: rules, presets, versions, dictionaries.', paths: /^\/v1\/(?:rules|dictionaries)/ },
  { name: 'audit', description: 'What was recorded.', paths: /^\/v1\/audit/ },
  { name: 'upstreams', description: 'Where providers live.', paths: /^\/v1\/upstreams/ },
  { name: 'budgets', description: 'What may be spent, and what was.', paths: /^\/v1\/(?:budgets|costs)/ },
  { name: 'webhooks', description: 'Who is told of events, and what became of telling them.', paths: /^\/v1\/webhooks/ },
  { name: 'escalations', description: 'Calls that wait for a person, and what is decided about them.', paths: /^\/v1\/escalations/ },
  { name: 'operations', description: 'How Earthflow is.', paths: /^\// },
]

const KEY_SECURITY = ['bearer', 'key'] as const

/** Every route of the management API, the described ones, and the paths of calls. The first of two that share a method and a path counts. */
export function openApiOf(routes: readonly Described[], dialects: readonly Dialect[], version: string): OpenApi {
  const paths: OpenApi['paths'] = {}
  const add = (path: string, method: string, operation: Operation): void => {
    paths[path] ??= {}
    paths[path][method] ??= operation
  }
  for (const route of routes) add(route.path, route.method.toLowerCase(), operationOf(route))
  for (const dialect of dialects) for (const path of dialect.paths) add(path, 'post', callOf(dialect, path))
  return {
    openapi: '3.1.0',
    info: {
      title: 'Earthflow',
      version,
      description:
        'A self-hosted AI governance proxy. Calls are made as their providers document them; everything else is managed here. Bodies and answers are JSON, and unknown members are refused.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'This Earthflow.' }],
    tags: [...areas.map(({ name, description }) => ({ name, description })), { name: EVENTS, description: EVENTS_SENTENCE }],
    paths,
    webhooks: Object.fromEntries(eventTypes.map((type) => [type, { post: deliveryOf(type) }])),
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: `The administrator's key, a tenant's (ef_live_…), or the token of somebody who has logged in. ${scopeSentence()}`,
        },
        key: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same keys, in a header of their own.' },
        login: {
          type: 'apiKey',
          in: 'cookie',
          name: LOGIN_COOKIE,
          description: 'What logging in sets in a browser; what changes something must come from our own pages.',
        },
      },
      parameters: {
        tenant_id: tenantParameter('query', 'tenant_id'),
        tenant_header: tenantParameter('header', 'X-Earthflow-Tenant'),
        ...Object.fromEntries(deliveryHeaders.map((one) => [one.name, one])),
      },
      responses: { refused: { description: refusalSentence(), content: { 'application/json': { schema: { $ref: '#/components/schemas/error' } } } } },
      schemas: { error: { ...toSchema(errorShape, 'output'), description: refusalSentence() } },
    },
  }
}

function operationOf({ method, path, scope, tenant, summary, params, query, body, answer, media, status }: Described): Operation {
  const parameters: Operation['parameters'] = [...parametersOf(params, 'path', path), ...parametersOf(query, 'query', path)]
  if (tenant === 'required' || tenant === 'optional')
    parameters.push({ $ref: '#/components/parameters/tenant_id' }, { $ref: '#/components/parameters/tenant_header' })
  const content = {
    ...(answer && { 'application/json': { schema: toSchema(answer, 'output') } }),
    ...Object.fromEntries(media.map((type) => [type, { schema: { type: 'string' } }])),
  }
  return {
    operationId: operationIdOf(method, path),
    tags: [areaOf(path)],
    summary,
    ...(scope === 'public' ? {} : { description: `Scope: ${scope}.${tenant === 'required' ? ' An administrator names the tenant.' : ''}` }),
    security: [
      ...securityOf(scope),
      // The metrics take the administrator's key alone.
      ...(scope === 'public' || scope === 'proxy:write' || path === '/v1/dashboard/metrics' ? [] : [{ login: scope === 'any' ? [] : [scope] }]),
    ],
    parameters,
    ...(body ? { requestBody: { required: !body.safeParse({}).success, content: { 'application/json': { schema: toSchema(body, 'input') } } } } : {}),
    responses: {
      [status]: { description: status === 204 ? 'Done.' : status === 201 ? 'Made.' : 'The answer.', ...(status === 204 ? {} : { content }) },
      ...(path === '/health/ready' ? { 503: { description: 'A new call would be refused.', content } } : {}),
      default: { $ref: '#/components/responses/refused' },
    },
  }
}

/** A path whose bodies are a provider's: they are named, not repeated. */
function callOf({ name, vendor }: Dialect, path: string): Operation {
  const anything = { schema: { type: 'object' } }
  return {
    operationId: operationIdOf('POST', path),
    tags: ['calls'],
    summary: `A call in ${name}.`,
    description: `Body and answer are those of ${vendor.name}'s own documentation. Scope: proxy:write. The key may also stand where the provider's client libraries put theirs.`,
    security: securityOf('proxy:write'),
    parameters: parametersOf(null, 'path', path),
    requestBody: { required: true, content: { 'application/json': anything } },
    responses: {
      200: {
        description: "The provider's answer, streamed where the call asks for it.",
        content: { 'application/json': anything, 'text/event-stream': { schema: { type: 'string' } } },
      },
      default: { description: "The provider's error, or a refusal of ours in the same shape; x-earthflow-decision tells them apart." },
    },
  }
}

const EVENTS = 'events'
const EVENTS_SENTENCE =
  'What webhooks are sent: each event in a POST of its own, at least once and in no certain order. It never holds text of a call or a reply. POST /v1/webhooks/{id}/test sends one of the type TEST.'

/** One event on its way to a receiver. */
function deliveryOf(type: EventType): Operation {
  return {
    operationId: `event${type}`,
    tags: [EVENTS],
    summary: aboutEvent(type),
    security: [],
    parameters: deliveryHeaders.map(({ name }) => ({ $ref: `#/components/parameters/${name}` })),
    requestBody: { required: true, content: { 'application/json': { schema: toSchema(payloads[type], 'output') } } },
    responses: { ...deliveryAnswers },
  }
}

const areaOf = (path: string): string => areas.find(({ paths }) => paths.test(path))?.name ?? 'operations'

const securityOf = (scope: Described['scope']): Operation['security'] => {
  if (scope === 'public') return []
  return KEY_SECURITY.map((name) => ({ [name]: scope === 'any' ? [] : [scope] }))
}

/** `postRulesPresetsByPresetApply`: the words of method and path, so that it stays the same as long as they do. */
function operationIdOf(method: string, path: string): string {
  const words = path
    .replace(/^\/v1\//, '/')
    .replaceAll(/\{(\w+)\}/g, ' by $1 ')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '')
  return method.toLowerCase() + words.map((word) => word[0].toUpperCase() + word.slice(1)).join('')
}

/** Those of the schema; of a path also those that no schema names. */
function parametersOf(schema: z.ZodObject | null, place: 'path' | 'query', path: string): Parameter[] {
  const { properties = {}, required = [] } = (schema ? toSchema(schema, 'input') : {}) as { properties?: Record<string, JsonSchema>; required?: string[] }
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
  const named = place === 'path' ? Object.fromEntries(inPath.map((name) => [name, properties[name] ?? { type: 'string' }])) : properties
  return Object.entries(named).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(typeof description === 'string' ? { description } : {}),
    schema: rest,
  }))
}

const tenantParameter = (place: 'query' | 'header', name: string): Parameter => ({
  name,
  in: place,
  required: false,
  description: "The tenant that an administrator means. A tenant's key always means its own.",
  schema: { type: 'string' },
})

/** An answer may get members that this version does not have; what is sent may not. */
function toSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  // Where something in it is transformed, zod leaves out examples and defaults, which might be of the other side; ours are as clients write them.
  const { examples } = schema.meta() ?? {}
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema }) {
      const { def } = zodSchema._zod
      if (io === 'input' && def.type === 'default') jsonSchema.default = def.defaultValue
      if (io === 'output') delete jsonSchema.additionalProperties
      // What a format says need not be said again by the pattern that checks it, nor by the words a query spells a number with.
      if (jsonSchema.format !== undefined || jsonSchema.type === 'integer' || jsonSchema.type === 'boolean') {
        delete jsonSchema.pattern
        delete jsonSchema.enum
      }
    },
  })
  return examples === undefined ? rest : { ...rest, examples }
}

const scopeSentence = (): string =>
  `Scopes: ${(Object.entries(scopes) as [Scope, { about: string }][]).map(([name, { about }]) => `${name} (${about})`).join(', ')}.`

const refusalSentence = (): string => {
  const codes = Map.groupBy(Object.values(reasons), ({ status }) => status)
  return `No, with a code: ${[...codes].map(([status, rows]) => `${status} ${[...new Set(rows.map(({ code }) => code))].join(', ')}`).join('; ')}.`
}
