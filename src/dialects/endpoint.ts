/** What a path of a provider's API means, known before anything else of a call is read. */
import { Refusal } from '../errors.ts'
import type { Dialect } from './dialect.ts'
import { anthropicNative, azureNative, dialects, geminiNative, openaiNative } from './index.ts'

export interface Endpoint {
  /** `native`: a path of the provider that no dialect describes. `models`: the list of models, which is answered here. */
  kind: 'call' | 'native' | 'models'
  /** How the body is read and how "no" is said. */
  dialect: Dialect
  /** As the provider's client library wrote it, without query and without our prefix. */
  path: string
  /** The model that the path names. */
  model: string | null
  /** The upstream that `/u/{upstream}/…` names. */
  upstream: string | null
}

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** What each vendor's client library sends with every request; OpenAI's and Anthropic's libraries share the last. */
const LIBRARY_HEADERS = ['anthropic-version', 'x-goog-api-client', 'x-stainless-package-version']

/** Whether a provider's client library is asking: what it asks is never a management call, whatever the path (both have a /v1/agents). */
export const isClientLibrary = (headers: Headers): boolean => LIBRARY_HEADERS.some((name) => headers[name] !== undefined)

/** Whether a path can be one of a provider's. */
export const isProviderPath = (path: string): boolean => /^\/(?:v1|v1beta|v1beta1|v1alpha|openai|upload|u\/[^/]+)\//.test(path)

/** In whose words to answer a request that is no call: those of the dialect that has the path for other methods, else the vendor's. */
export const nativeDialectOf = (path: string, headers: Headers): Dialect => dialectAt(path)?.dialect ?? vendorByPath(path) ?? vendorByHeaders(headers)

/**
 * The endpoint of a request (path without query). A refusal for a path that providers might read otherwise than it was judged, and for a method that
 * a described path does not have.
 */
export function endpointOf(method: string, path: string, headers: Headers): Endpoint | Refusal {
  // Nearly every call is spelled as its dialect's list has it, and needs no second look.
  const known = method === 'POST' ? exact.get(path) : undefined
  if (known?.path === path) return { kind: 'call', upstream: null, ...known }
  if (path.length > PATH_CHARACTERS_MAX) return new Refusal('invalid_request', `The path is longer than ${PATH_CHARACTERS_MAX} characters.`)
  if (!PLAIN_PATH.test(path)) {
    return new Refusal(
      'invalid_request',
      'Write the path plainly: without dot segments, empty segments, backslashes, semicolons, or percent signs where none are needed.',
    )
  }
  const named = /^\/u\/([^/]+)(\/.*)$/.exec(path)
  if (!named) return resolve(method, path, headers)
  const upstream = decode(named[1])
  const endpoint = upstream === null ? undecodable() : resolve(method, isProviderPath(named[2]) ? named[2] : `/v1${named[2]}`, headers)
  return endpoint instanceof Refusal ? endpoint : { ...endpoint, upstream }
}

/** Deep enough for any provider's path with the longest ids. */
const PATH_CHARACTERS_MAX = 2048

/**
 * No segment is `.` or `..`, and none is spelled with percent signs where it could be written without, or where what they stand for would mean
 * something else once decoded: a slash, a backslash, a semicolon, the beginning of a query or fragment, another percent sign, a control character.
 */
const PLAIN_PATH =
  /^(?:\/(?!\.{1,2}(?:\/|$))(?:[\w.~:@!$&'()*+,=-]|%(?![01]|2[35DdEeFf]|3[0-9BbFf]|4[1-9A-Fa-f]|5[0-9AaCcFf]|6[1-9A-Fa-f]|7[0-9AaEeFf])[0-9a-fA-F]{2})+)+\/?$/

function resolve(method: string, path: string, headers: Headers): Endpoint | Refusal {
  const plain = decode(path)
  if (plain === null) return undecodable()
  const described = dialectAt(plain)
  // None of what encodeURI leaves alone and would mean something else can be in it: see PLAIN_PATH.
  if (described && method === 'POST') return { kind: 'call', upstream: null, ...described, path: encodeURI(described.path) }
  if (described && !(method === 'GET' && LISTED.test(plain))) {
    return new Refusal('method_not_allowed', `This path answers POST, not ${method}.`, { headers: ['allow', 'POST'] })
  }
  const dialect = vendorByPath(plain, method) ?? vendorByHeaders(headers)
  if (method === 'GET' && MODEL_LIST.test(plain)) return { kind: 'models', dialect, path, model: null, upstream: null }
  return { kind: 'native', dialect, path, model: modelIn(plain, method, dialect), upstream: null }
}

const undecodable = (): Refusal => new Refusal('invalid_request', 'The path is not valid UTF-8 once its percent-encoding is taken off.')

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

/** The model, its endpoint or its deployment that a path names, without the verb that Google's have after a colon. */
function modelIn(path: string, method: string, { vendor }: Dialect): string | null {
  const model = MODEL_IN.exec(path)?.[1] ?? null
  return model !== null && method === 'POST' && vendor.name === geminiNative.vendor.name ? model.replace(/:\w+$/, '') : model
}
const MODEL_IN =
  /^\/(?:v1|v1beta1?|v1alpha|openai(?:\/v1)?)\/(?:(?:projects\/.+\/)?(?:publishers\/[^/]+\/)?(?:models|engines|deployments)|tunedModels|projects\/.+\/endpoints)\/([^/]+)/i

/** Described for POST, and by GET the provider lists what was stored. */
const LISTED = /^(?:\/openai)?\/v1\/(?:chat\/completions|responses|messages\/batches)\/?$|\/cachedContents\/?$/i
const MODEL_LIST = /^\/(?:v1|v1beta|v1beta1|v1alpha|openai|openai\/v1)\/models\/?$/i

/** A path of a dialect as it stands in its list, and what stands for its placeholders. */
interface Template {
  dialect: Dialect
  path: string
  pattern: RegExp
  placeholders: readonly string[]
}

const exact = new Map<string, { dialect: Dialect; path: string; model: null }>()
const templates: Template[] = []
for (const dialect of dialects)
  for (const path of dialect.paths) {
    const placeholders = path.match(/\{\w+\}/g)
    if (placeholders) templates.push({ dialect, path, placeholders, pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '([^/]+)')}$`, 'i') })
    else exact.set(path.toLowerCase(), { dialect, path, model: null })
  }

/**
 * The dialect that describes a path (decoded, without query), the path as its provider spells it, and the model that it names. Providers that do not
 * mind capital letters or a slash at the end would read a call where we saw none, so we do not mind them either.
 */
export function dialectAt(path: string): { dialect: Dialect; path: string; model: string | null } | null {
  const bare = path.replace(/\/$/, '')
  const known = exact.get(bare.toLowerCase())
  if (known) return known
  for (const { dialect, path, pattern, placeholders } of templates) {
    const [whole, ...found] = pattern.exec(bare) ?? []
    if (whole === undefined) continue
    const values = new Map(placeholders.map((placeholder, i) => [placeholder, found[i]]))
    return { dialect, path: path.replaceAll(/\{\w+\}/g, (placeholder) => values.get(placeholder) ?? ''), model: values.get('{model}') ?? null }
  }
  return null
}

/** Google's verbs come after a colon, and so may the rest of a model's name elsewhere: `ft:gpt-4o:org::id` and `llama3:latest` are asked for by GET. */
function vendorByPath(path: string, method = 'POST'): Dialect | null {
  if (/^\/openai\//i.test(path)) return azureNative
  if (/^\/(?:v1beta1?|v1alpha|upload)\/|^\/v1\/(?:projects|publishers)\//i.test(path)) return geminiNative
  if (method === 'POST' && /^\/v1\/(?:models|tunedModels)\/[^/]+:[a-z]\w*$/.test(path)) return geminiNative
  if (/^\/v1\/(?:messages|complete)(?:\/|$)/i.test(path)) return anthropicNative
  return null
}

function vendorByHeaders(headers: Headers): Dialect {
  if (headers['anthropic-version'] !== undefined) return anthropicNative
  return headers['x-goog-api-client'] !== undefined || headers['x-goog-api-key'] !== undefined ? geminiNative : openaiNative
}
