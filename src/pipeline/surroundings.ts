import type { IncomingMessage } from 'node:http'
import type { Role, TextSlot, Texts } from '../call.ts'
import { textEncodedIn } from '../dialects/bodies/media.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { isOurs } from '../our-keys.ts'

// Headers that client libraries, browsers and proxies send by themselves. What else a call carries in headers was put there by somebody, and is judged.
const USUAL = new Set(
  `
accept accept-encoding accept-language authorization proxy-authorization x-api-key api-key x-goog-api-key cache-control connection content-encoding content-length content-type
cookie date dnt expect forwarded from host http2-settings idempotency-key if-none-match keep-alive origin pragma priority proxy-connection referer te traceparent tracestate baggage
trailer transfer-encoding upgrade upgrade-insecure-requests user-agent via x-app x-client-request-id x-correlation-id x-real-ip x-request-id x-requested-with x-server-timeout
`
    .trim()
    .split(/\s+/),
)
/** Below a usual prefix, and still somebody's words: the name of the file that is uploaded to Gemini. */
const TELLING = new Set(['x-goog-upload-file-name'])
const USUAL_PREFIXES = ['x-stainless-', 'x-earthflow-', 'x-forwarded-', 'anthropic-', 'openai-', 'x-goog-', 'x-claude-code-', 'sec-']

/**
 * Adds what the body's strings do not show: query and unusual headers, which travel to the provider as well, tool arguments as whoever parses
 * them will read them, and texts in base64. They are judged like the body's texts, and cannot be cut.
 */
export function withSurroundings<Read extends Texts>(texts: Read, incoming: IncomingMessage, { kind, path, model }: Endpoint): Read {
  const found: Found[] = []
  if (kind !== 'call') found.push(...pathTexts(path))
  else if (model !== null) found.push({ role: 'protocol', place: 'path', text: model }) // as much the caller's word as one that a body names
  if (incoming.url?.includes('?')) found.push(...queryTexts(incoming.url))
  if (!hasUsualHeadersOnly(incoming.rawHeaders)) found.push(...headerTexts(incoming.headersDistinct))
  if (texts.slots.some(isToolArguments)) found.push(...escapedArguments(texts))
  if (texts.slots.some(mayBeEncoded)) found.push(...encodedTexts(texts))
  if (found.length === 0) return texts
  const parts = [texts.text]
  const slots: TextSlot[] = [...texts.slots]
  let at = texts.text.length
  for (const { place, text, role, start = 0, end = 0 } of found) {
    const bytes = Buffer.from(`\n${text}`)
    slots.push({ role, start, end, escaped: false, from: at + 1, to: at + bytes.length, place })
    parts.push(bytes)
    at += bytes.length
  }
  return { ...texts, slots, text: Buffer.concat(parts) }
}

/** The segments of a path that no dialect describes: ids mostly, but anything may stand there. */
const pathTexts = (path: string): Found[] =>
  path
    .split('/')
    .filter((segment) => segment !== '')
    .map((segment) => ({ role: 'protocol', place: 'path', text: decoded(segment) }))

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

interface Found {
  place: string
  text: string
  role: Role
  /** Where in the body it was read from, which says what message it belongs to. */
  start?: number
  end?: number
}

function queryTexts(url: string): Found[] {
  return Array.from(new URLSearchParams(url.slice(url.indexOf('?'))), ([name, value]) => ({ name, value }))
    .filter(({ name, value }) => name !== 'key' && !isOurs(value))
    .map(({ name, value }) => ({ role: 'protocol' as const, place: 'query', text: value === '' ? name : `${name}=${value}` }))
}

/** Nearly all requests spell few names in few ways: what was found out about a spelling is remembered. At the bound all are learnt anew. */
const usualSpellings = new Set<string>()
const SPELLINGS_MAX = 1_000
const SPELLING_LENGTH_MAX = 64

function isUsual(name: string): boolean {
  const lower = name.toLowerCase()
  return !TELLING.has(lower) && (USUAL.has(lower) || USUAL_PREFIXES.some((prefix) => lower.startsWith(prefix)))
}

function hasUsualHeadersOnly(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (usualSpellings.has(name)) continue
    if (!isUsual(name)) return false
    if (name.length > SPELLING_LENGTH_MAX) continue
    if (usualSpellings.size >= SPELLINGS_MAX) usualSpellings.clear()
    usualSpellings.add(name)
  }
  return true
}

/** Headers that no library sends by itself, as `name: value`. Every line of them: of some headers Node's plain list keeps the first, and the provider is sent all. */
function unusualHeaders(headers: IncomingMessage['headersDistinct']): string[] {
  const found: string[] = []
  for (const name in headers) if (!isUsual(name)) found.push(`${name}: ${headers[name]?.join(', ')}`)
  return found
}

/** A name is chosen by the caller as well, so that neither may tell the record what it says. */
const headerTexts = (headers: IncomingMessage['headersDistinct']): Found[] =>
  unusualHeaders(headers).map((text) => ({ role: 'protocol', place: 'header', text }))

/** An escape of a printable ASCII character, which nobody needs: it may be there to be overlooked, though some encoders write a few to be safe in HTML. */
const NEEDLESS_ESCAPE = /\\u00([2-7][0-9a-f])/gi

/** Tool arguments are JSON inside a string: once unescaped by us, once more by the tool. */
function escapedArguments({ text, slots }: Texts): Found[] {
  if (!text.includes('\\u00')) return []
  return slots.filter(isToolArguments).flatMap(({ role, from, to, start, end }): Found[] => {
    const raw = text.toString('utf8', from, to)
    const read = raw.replaceAll(NEEDLESS_ESCAPE, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    return read === raw ? [] : [{ role, place: 'tool_arguments', text: read, start, end }]
  })
}

/** Text files that are sent inline, as base64 or in a data URI. What says it is media is none of them: it is opaque if it is no text. */
const encodedTexts = ({ text, slots }: Texts): Found[] =>
  slots.filter(mayBeEncoded).flatMap(({ role, from, to, start, end }): Found[] => {
    const told = textEncodedIn(text, from, to)
    return told === null ? [] : [{ role, place: 'base64', text: told, start, end }]
  })

const isToolArguments = ({ role }: TextSlot): boolean => role === 'tool_arguments'
const mayBeEncoded = ({ role, place }: TextSlot): boolean => role === 'other' && place === undefined
