import type { IncomingMessage } from 'node:http'
import type { TextSlot, Texts } from '../call.ts'
import { isOurs } from './authenticate.ts'

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
const USUAL_PREFIXES = ['x-stainless-', 'x-earthflow-', 'x-forwarded-', 'anthropic-', 'openai-', 'x-goog-', 'x-claude-code-', 'sec-']

/** What travels to the provider beside the body: query and unusual headers. They are judged like the body's texts, and cannot be cut. */
export function withSurroundings(texts: Texts, incoming: IncomingMessage): Texts {
  const found = [...queryTexts(incoming.url ?? ''), ...headerTexts(incoming.headers)]
  if (found.length === 0) return texts
  const parts = [texts.text]
  const slots: TextSlot[] = [...texts.slots]
  let at = texts.text.length
  for (const { place, text } of found) {
    const bytes = Buffer.from(`\n${text}`)
    slots.push({ role: 'protocol', start: 0, end: 0, escaped: false, from: at + 1, to: at + bytes.length, place })
    parts.push(bytes)
    at += bytes.length
  }
  return { ...texts, slots, text: Buffer.concat(parts) }
}

interface Found {
  place: string
  text: string
}

function queryTexts(url: string): Found[] {
  const at = url.indexOf('?')
  if (at < 0) return []
  return Array.from(new URLSearchParams(url.slice(at)), ([name, value]) => ({ name, value }))
    .filter(({ name, value }) => name !== 'key' && !isOurs(value))
    .map(({ name, value }) => ({ place: 'query', text: value === '' ? name : `${name}=${value}` }))
}

function headerTexts(headers: IncomingMessage['headers']): Found[] {
  const found: Found[] = []
  for (const name in headers) {
    if (USUAL.has(name) || USUAL_PREFIXES.some((prefix) => name.startsWith(prefix))) continue
    // A name is chosen by the caller as well, so that neither may tell the record what it says.
    found.push({ place: 'header', text: `${name}: ${String(headers[name])}` })
  }
  return found
}
