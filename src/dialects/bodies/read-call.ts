/** From the bytes of a body to a call: what it is written in, what its dialect says of it, and every text in it. */
import { isUtf8 } from 'node:buffer'
import type { BodyFormat, ModelCall } from '../../call.ts'
import { Refusal } from '../../errors.ts'
import { type CallHead, UnreadableCall } from '../dialect.ts'
import type { Endpoint } from '../endpoint.ts'
import { createContentReader, JSON_TYPE, LINES_TYPE, WHOLE } from './content.ts'
import { createGathering } from './gathering.ts'
import { type Json, NONE } from './json.ts'
import { createJsonReader, UnreadableJson } from './json-reader.ts'
import { pathInLines } from './jsonl.ts'
import { readMetadata } from './metadata.ts'
import { createFormReader, pathInForm } from './read-form.ts'
import { collect, pathAt } from './texts.ts'

export interface ReadCall {
  call: ModelCall
  /** The body as JSON, good until the next one is read; null where it is none. */
  json: Json | null
}

/** What `fetch` and `curl -d` say when nobody tells them what they send; it is JSON all the same, and is forwarded as such. */
export const UNSAID_TYPES: ReadonlySet<string> = new Set(['', 'text/plain', 'application/x-www-form-urlencoded'])
/** Where Gemini's client libraries send the bytes of files. */
const UPLOADS = '/upload/'
const BRACES = new Set([0x7b, 0x5b])
const NO_HEAD: CallHead = { models: [], streaming: false, lastMessage: NONE, maxOutputTokens: null }

/** The type without its parameters, in small letters. */
export const mediaTypeOf = (contentType: string): string => contentType.split(';', 1)[0].trim().toLowerCase()

/** The one way to say it. Whatever else a type says of a character set, parsers read differently: another one, two, or one with blanks around it. */
const UTF8 = /; *charset=(?:utf-?8|"utf-?8") *(?=;|$)/gi

/**
 * Says how a body will be read, before it is there (`first` null) or by its first bytes. A refusal for a type that this endpoint does not take, or a
 * character set in which the provider could read another text than was judged.
 */
export function formatOf(contentType: string, { kind, dialect, path }: Endpoint, first: Buffer | null): BodyFormat | Refusal {
  if (contentType === 'application/json') return 'json'
  if (contentType.replaceAll(UTF8, '').match(/charset/i)) return unsupported(kind)
  const type = mediaTypeOf(contentType)
  if (JSON_TYPE.test(type)) return 'json'
  if (type.startsWith('multipart/')) return type !== 'multipart/form-data' || (kind === 'call' && !dialect.readForm) ? unsupported(kind) : 'multipart'
  if (kind === 'call') return UNSAID_TYPES.has(type) ? 'json' : unsupported(kind)
  if (LINES_TYPE.test(type)) return 'jsonl'
  if (first === null || first.length === 0) return 'none'
  // A file may begin with a bracket and be no JSON; what asks for something may not.
  if (UNSAID_TYPES.has(type) && BRACES.has(first[0]) && !path.startsWith(UPLOADS)) return 'json'
  // Its texts would be hidden behind percent signs, and no provider's endpoint takes it.
  return type === 'application/x-www-form-urlencoded' ? unsupported(kind) : 'text'
}
const unsupported = (kind: Endpoint['kind']): Refusal =>
  new Refusal(
    'unsupported_media_type',
    kind === 'call' ? 'Send the body as application/json in UTF-8.' : 'Send JSON, lines of JSON, a form as multipart/form-data, or a file, in UTF-8.',
  )

type Read = Omit<ModelCall, 'metadata' | 'body' | 'contentType'>

/** Makes a reader whose tapes are reused: it is for one body after the other. */
export function createCallReader(): (body: Buffer, contentType: string, endpoint: Endpoint) => ReadCall | Refusal {
  const readJson = createJsonReader()
  const readForm = createFormReader()
  const content = createContentReader()

  const readWholeJson = (body: Buffer, contentType: string, endpoint: Endpoint): ReadCall => {
    const json = readJson(body)
    let head = NO_HEAD
    const { slots, text, promptEnd, opaqueBytes, sealedBytes } = collect(json, (mark) => {
      head = endpoint.dialect.readCall(json, mark, endpoint.path, endpoint.model)
    })
    const { models, streaming, maxOutputTokens, answers } = head
    const lastMessage = head.lastMessage === NONE ? null : json.rangeOf(head.lastMessage)
    const texts = { slots, text, promptEnd, opaqueBytes, sealedBytes, body, format: 'json' as const, contentType, lastMessage, metadata: readMetadata(json) }
    return { json, call: { ...texts, models, streaming, maxOutputTokens, ...(answers !== undefined && { answers }) } }
  }

  /** A body that is a form, a file, or nothing. */
  const readOther = (body: Buffer, contentType: string, endpoint: Endpoint, format: BodyFormat): Pick<ModelCall, 'metadata'> & { read: Read } => {
    if (format === 'multipart') {
      const { texts, head, metadata, lastMessage } = readForm(body, contentType, endpoint)
      return { metadata, read: { ...texts, ...head, format, lastMessage } }
    }
    const gathering = createGathering()
    if (endpoint.model !== null) gathering.addModel(endpoint.model)
    const found = format === 'none' ? format : content.read(body, { start: 0, end: body.length }, format === 'jsonl' ? format : null, gathering, WHOLE)
    return { metadata: {}, read: { ...gathering.texts(), ...NO_HEAD, format: found, models: gathering.models(), lastMessage: null } }
  }

  /** Refuses what is not UTF-8 where it says it is text, no JSON, no form, or no call of this dialect. */
  return (body, contentType, endpoint) => {
    const format = body.length === 0 && endpoint.kind !== 'call' ? 'none' : formatOf(contentType, endpoint, body)
    if (format instanceof Refusal) return format
    if ((format === 'json' || format === 'jsonl') && !isUtf8(body)) return new Refusal('invalid_request', 'The body is not valid UTF-8.')
    try {
      if (format === 'json') return readWholeJson(body, contentType, endpoint)
      const { read, metadata } = readOther(body, contentType, endpoint, format)
      return { json: null, call: { ...read, body, contentType, metadata } }
    } catch (error) {
      if (error instanceof UnreadableJson) return new Refusal('invalid_request', error.message)
      if (error instanceof UnreadableCall) return new Refusal('invalid_request', error.message, { context: { param: error.param } })
      throw error
    }
  }
}

/**
 * Where in a body the string that holds this byte stands, such as `messages[2].content`, `line 12: body.input` or `field prompt`; reads the body
 * again. '' where it stands in none.
 */
export function pathIn({ body, format, contentType }: Pick<ModelCall, 'body' | 'format' | 'contentType'>): (offset: number) => string {
  switch (format) {
    case 'json': {
      const json = createJsonReader()(body)
      return (offset) => pathAt(json, offset)
    }
    case 'jsonl':
      return (offset) => pathInLines(body, { start: 0, end: body.length }, offset)
    case 'multipart':
      return pathInForm(body, contentType)
    case 'text':
    case 'binary':
    case 'none':
      return () => 'body'
    default:
      return format satisfies never
  }
}
