import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ModelCall } from '../call.ts'
import type { Verdict } from '../rules/policy.ts'
import { travelling } from '../upstreams/headers.ts'
import { queryOf } from '../upstreams/send.ts'

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const id = new RegExp(`^(?:${UUID}|[0-9a-f]{32})$`, 'i')
/**
 * What client libraries, tracers and load balancers make anew for each try, as long as it looks like what they make: then nobody has a word to say in it. In
 * any other form it is somebody's text, and counts like all text that travels; so do `baggage` and `tracestate`, which have no form.
 */
const MADE_ANEW: ReadonlyMap<string, RegExp> = new Map([
  ['x-stainless-retry-count', /^\d{1,3}$/],
  ['idempotency-key', new RegExp(`^(?:stainless-[a-z]{1,10}-retry-)?${UUID}$`, 'i')],
  ['traceparent', /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/],
  ['x-amzn-trace-id', /^Root=1-[0-9a-f]{8}-[0-9a-f]{24}(?:;Parent=[0-9a-f]{16})?(?:;Sampled=[01])?$/],
  ['x-cloud-trace-context', /^[0-9a-f]{32}(?:\/\d{1,20})?(?:;o=\d)?$/],
  ['cf-ray', /^[0-9a-f]{16}(?:-[A-Z]{3})?$/],
  ['date', /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/],
  ['x-request-id', id],
  ['x-client-request-id', id],
  ['x-correlation-id', id],
])

/** What the caller says of the call in headers of ours, which rules, limits and the audit log go by. */
const SAID = new Set(['x-earthflow-user', 'x-earthflow-conversation', 'x-earthflow-metadata'])

/** The path of a call, as its provider is asked. */
export const pathAsked = ({ url = '' }: IncomingMessage): string => url.split(/[?#]/, 1)[0]

/** The headers that travel on and belong to the call, by name: without those that are made anew for each try, and never a credential. */
export const headersOfCall = ({ rawHeaders }: IncomingMessage): [name: string, value: string][] =>
  travelling(rawHeaders)
    .filter(([name, value]) => !MADE_ANEW.get(name)?.test(value))
    .sort(byName)

/** The rules in force that found something. */
const rulesOf = ({ findings }: Verdict): string[] => [...new Set(findings.filter(({ mode }) => mode === 'enforce').map(({ rule }) => rule.id))]

/**
 * SHA-256 of the call and of why it is held: method, path, query and headers as they are sent, the body with its type, what the caller says of it in headers
 * of ours, and the rules that found something. Who sends the same call again, with a client library of the same version, gets the same hash.
 */
export function callHashOf(incoming: IncomingMessage, { contentType, body }: Pick<ModelCall, 'contentType' | 'body'>, verdict: Verdict): string {
  const { method, url, rawHeaders } = incoming
  const said = pairsOf(rawHeaders)
    .filter(([name]) => SAID.has(name))
    .sort(byName)
  // The head as JSON ends where it ends, whatever the body begins with.
  const head = JSON.stringify([method, pathAsked(incoming), queryOf(url), headersOfCall(incoming), said, contentType, rulesOf(verdict).sort()])
  return `sha256:${createHash('sha256').update(head).update('\n').update(body).digest('hex')}`
}

const pairsOf = (raw: readonly string[]): [name: string, value: string][] =>
  raw.flatMap((item, i): [string, string][] => (i % 2 === 0 ? [[item.toLowerCase(), raw[i + 1]]] : []))

/** Lines of one name stay in their order, which may mean something. */
const byName = ([a]: [string, string], [b]: [string, string]): number => (a < b ? -1 : a > b ? 1 : 0)
