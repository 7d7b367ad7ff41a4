/** Our own envelope, `POST /v1/proxy`: a call for any provider, answered with what was decided about it. */
import type { Refusal } from '../errors.ts'
import { type Json, NONE } from './bodies/json.ts'
import { markAll } from './bodies/walk.ts'
import { checkObject, readMessages, readModel, readStreaming, readTokens } from './call-head.ts'
import { type Dialect, type Envelope, NOTHING_CLOSED, UnreadableCall, type Vendor } from './dialect.ts'
import { openaiModels } from './model-list.ts'
import { pageOf } from './refusal-page.ts'

const earthflow: Vendor = {
  name: 'earthflow',
  basePath: '/v1',
  credentialHeaders: [],
  credential: (secret) => ['authorization', `Bearer ${secret}`],
  refuse: (refusal, requestId) => pageOf(refusal, describe(refusal, requestId)),
  requestIdHeader: 'x-request-id',
  limitHeaders: () => [],
  models: openaiModels,
  keepAlive: ': keep-alive\n\n',
}

/** An error as the management API words it. */
function describe({ code, message, context }: Refusal, requestId: string): object {
  return { error: code, message, context, timestamp: new Date().toISOString(), request_id: requestId }
}

const MEMBERS = new Set(['model', 'messages', 'metadata', 'stream', 'max_tokens', 'temperature'])
const ROLES = ['system', 'user', 'assistant'] as const
type Role = (typeof ROLES)[number]
/** Formats that ask how long an answer may be. */
const MAX_TOKENS_DEFAULT = 4096

interface Message {
  role: Role
  content: string
}
interface Ask {
  model: string
  messages: Message[]
  stream: boolean
  max_tokens?: number
  temperature?: number
}

/** How each format says what the envelope says. A system message leads in all of them. */
const composers: Readonly<Record<string, { path(model: string, stream: boolean): string; body(ask: Ask): object }>> = {
  'openai-chat': {
    path: () => '/v1/chat/completions',
    body: ({ stream, ...ask }) => ({ ...ask, ...(stream && { stream, stream_options: { include_usage: true } }) }),
  },
  'anthropic-messages': {
    path: () => '/v1/messages',
    body: ({ messages, max_tokens = MAX_TOKENS_DEFAULT, stream, ...ask }) => ({
      ...ask,
      max_tokens,
      ...systemOf(messages, (system) => ({ system })),
      messages: spoken(messages),
      ...(stream && { stream }),
    }),
  },
  gemini: {
    path: (model, stream) => `/v1beta/models/${encodeURIComponent(model)}:${stream ? 'streamGenerateContent' : 'generateContent'}`,
    body: ({ messages, max_tokens, temperature }) => ({
      ...systemOf(messages, (system) => ({ systemInstruction: { parts: [{ text: system }] } })),
      contents: spoken(messages).map(({ role, content }) => ({ role: role === 'assistant' ? 'model' : 'user', parts: [{ text: content }] })),
      generationConfig: { ...(max_tokens !== undefined && { maxOutputTokens: max_tokens }), ...(temperature !== undefined && { temperature }) },
    }),
  },
}
const spoken = (messages: readonly Message[]): Message[] => messages.filter(({ role }) => role !== 'system')
const systemOf = (messages: readonly Message[], put: (system: string) => object): object => {
  const system = messages.filter(({ role }) => role === 'system')
  return system.length === 0 ? {} : put(system.map(({ content }) => content).join('\n\n'))
}

/** Names by which providers call their models. Anything else may be anybody's. */
const families: Readonly<Record<string, RegExp>> = { 'anthropic-messages': /^claude/, gemini: /^gem(?:ini|ma)/ }
const isOf = (dialect: string, model: string): boolean => families[dialect]?.test(model) ?? false

const envelope: Envelope = {
  speaks: (model = '') => Object.keys(composers).toSorted((a, b) => Number(isOf(b, model)) - Number(isOf(a, model))),
  query: (dialect, { streaming }) => (dialect === 'gemini' && streaming ? '?alt=sse' : ''),
  path: (dialect, { models, streaming }) => composers[dialect].path(models[0], streaming),
  headers: (dialect) => (dialect === 'anthropic-messages' ? ['anthropic-version', '2023-06-01'] : []),
  compose(body, dialect) {
    const { model, messages, stream, max_tokens, temperature } = JSON.parse(body.toString()) as Omit<Ask, 'messages'> & {
      messages: { role: Role; content: unknown }[]
    }
    const told = messages.map(({ role, content }) => ({ role, content: textOf(content) }))
    const ask: Ask = { model, messages: told, stream: stream === true, ...(max_tokens != null && { max_tokens }), ...(temperature != null && { temperature }) }
    return Buffer.from(JSON.stringify(composers[dialect].body(ask)))
  },
}
const textOf = (content: unknown): string => (typeof content === 'string' ? content : (content as { text: string }[]).map(({ text }) => text).join('\n'))

/** Everything in it is known, so that nothing is lost where a provider's format has no place for it. */
export const earthflowProxy: Dialect = {
  name: 'earthflow-proxy',
  vendor: earthflow,
  paths: ['/v1/proxy'],
  envelope,

  readCall(json, mark) {
    checkObject(json, 0)
    for (let key = json.firstMember(0); key !== NONE; key = json.next(key)) {
      const name = json.name(key) || json.text(key)
      if (!MEMBERS.has(name)) throw new UnreadableCall(`A call has ${[...MEMBERS].join(', ')}; nothing else.`, name.slice(0, NAME_CHARACTERS_MAX))
    }
    const models = [readModel(json)]
    const { messages, lastMessage } = readMessages(json)
    if (lastMessage === NONE) throw new UnreadableCall("'messages' must hold at least one message.", 'messages')
    let index = 0
    for (let message = json.firstItem(messages); message !== NONE; message = json.next(message), index++) readMessage(json, message, `messages[${index}]`, mark)
    const metadata = json.get(0, 'metadata')
    if (metadata !== NONE && !json.isNull(metadata) && !json.isObject(metadata)) throw new UnreadableCall("'metadata' must be an object.", 'metadata')
    for (const name of ['max_tokens', 'temperature']) {
      const given = json.get(0, name)
      if (given !== NONE && !json.isNull(given) && !(json.number(given) >= 0)) throw new UnreadableCall(`'${name}' must be a number from 0.`, name)
    }
    markAll(json, json.get(0, 'model'), 'protocol', mark)
    return { models, streaming: readStreaming(json), lastMessage, maxOutputTokens: readTokens(json, 0, 'max_tokens') }
  },

  // What comes back is read by the dialect of whoever is asked.
  readReply() {},
  readEvent: () => NOTHING_CLOSED,
  eachRepeat() {},
  readUsage: () => null,
  stopStream: ({ refusal, requestId }) => `data: ${JSON.stringify(describe(refusal, requestId))}\n\n`,
  isLastEvent: (event) => event.toString('latin1', 0, LAST_EVENT.length) === LAST_EVENT,
}
/** How the event with the envelope begins. */
const LAST_EVENT = 'data: {"status":'
const NAME_CHARACTERS_MAX = 64

function readMessage(json: Json, message: number, path: string, mark: (node: number, role: Role | 'protocol') => void): void {
  for (let key = json.firstMember(message); key !== NONE; key = json.next(key)) {
    const name = json.name(key)
    if (name !== 'role' && name !== 'content') throw new UnreadableCall('A message has a role and a content; nothing else.', path)
  }
  const node = json.get(message, 'role')
  const role = ROLES.find((one) => json.is(node, one))
  if (!role) throw new UnreadableCall(`'${path}.role' must be one of ${ROLES.join(', ')}.`, `${path}.role`)
  mark(node, 'protocol')
  const content = json.get(message, 'content')
  if (json.isString(content)) mark(content, role)
  else if (!json.isArray(content)) throw new UnreadableCall(`'${path}.content' must be a string or a list of {type: "text", text}.`, `${path}.content`)
  for (let part = json.firstItem(content); part !== NONE; part = json.next(part)) {
    const text = json.get(part, 'text')
    if (!json.is(json.get(part, 'type'), 'text') || !json.isString(text)) {
      throw new UnreadableCall(`'${path}.content' must be a string or a list of {type: "text", text}.`, `${path}.content`)
    }
    mark(json.get(part, 'type'), 'protocol')
    mark(text, role)
  }
}
