/** Which part of an exchange each target of a rule means. */
import type { Caller, ModelCall, Role, TextSlot } from '../call.ts'
import { estimateInput } from '../dialects/estimate-input.ts'
import { namedTargets, type Target, type TargetName } from './rule.ts'

/** What a policy judges: the call, who makes it, and where it goes. */
export interface Subject {
  call: ModelCall
  caller: Pick<Caller, 'tenant' | 'keyPrefix' | 'line'> & { agent: { id: string } | null }
  /** The path that was called. */
  endpoint: string
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** What the caller says about the call, in its body and in headers. */
  metadata: ModelCall['metadata']
  /** USD for a million tokens at the upstream that is asked first; null where nobody said. */
  price: { input: number; output: number } | null
}

/** Texts with this role, null being every text; of the last message only, or of the whole call. */
export interface Selection {
  role: Role | null
  last: boolean
}

export type TargetReading =
  | ({ reads: 'call' } & Selection)
  | { reads: 'reply'; role: Role | null }
  /** Who and where, known before a text is read: any number of values. `numeric`: they may be numbers. */
  | { reads: 'field'; of(subject: Subject): readonly string[]; numeric: boolean }
  /** A number; null where nobody knows it. */
  | { reads: 'number'; of(subject: Subject): number | null }

export interface TargetEntry {
  about: string
  /** `name` is what follows the dot. */
  reading(name: string): TargetReading
}

const call = (role: Role | null): TargetReading => ({ reads: 'call', role, last: false })
const field = (of: (subject: Subject) => readonly string[], numeric = false): TargetReading => ({ reads: 'field', of, numeric })

/** One entry per target, in the order of the documentation. */
export const targetTable: Readonly<Record<TargetName, TargetEntry>> = {
  prompt: { about: 'Every text of the call, in members nobody knows too. The default.', reading: () => call(null) },
  system: { about: 'System and developer messages.', reading: () => call('system') },
  user: { about: 'What the user says, in all messages.', reading: () => call('user') },
  last_message: { about: 'Every text of the last message, whoever wrote it.', reading: () => ({ reads: 'call', role: null, last: true }) },
  tool_arguments: { about: 'Arguments of tool calls in the conversation.', reading: () => call('tool_arguments') },
  tool_results: { about: 'What tools answered.', reading: () => call('tool_result') },
  tool_names: { about: 'Names of tools and functions.', reading: () => call('tool_name') },
  response: { about: 'Every text of the reply.', reading: () => ({ reads: 'reply', role: null }) },
  response_tool_arguments: {
    about: 'Arguments of the tool calls in the reply.',
    reading: () => ({ reads: 'reply', role: 'tool_arguments' }),
  },
  model: {
    about: 'The model as the call names it. Where it names several, each is asked by itself: ALLOW must hold for all of them, any other rule for one.',
    reading: () => field((subject) => subject.call.models),
  },
  endpoint: { about: 'The path that was called.', reading: () => field(({ endpoint }) => [endpoint]) },
  'header.<name>': {
    about: 'A header of the request, such as `header.user-agent`; none that carries a credential.',
    reading: (name) => field(({ headers }) => listOf(ownValue(headers, name.toLowerCase())), true),
  },
  'metadata.<field>': {
    about: "A field of the caller's metadata, such as `metadata.team`; `x-earthflow-*` headers go before the body.",
    reading: (name) => field(({ metadata }) => listOf(ownValue(metadata, name)?.toString()), true),
  },
  tenant: { about: 'The id of the tenant.', reading: () => field(({ caller }) => [caller.tenant.id]) },
  agent: { about: 'The id of the agent whose key it is.', reading: () => field(({ caller }) => listOf(caller.agent?.id)) },
  key: {
    about: 'The visible part of the key, such as `ef_live_abcdefgh`, or of another of its line: one whose place it took, or that took its place.',
    reading: () => field(({ caller }) => caller.line ?? [caller.keyPrefix]),
  },
  estimated_tokens: {
    about: 'Input tokens, estimated before the call: a quarter of the bytes of all texts, media left out.',
    reading: () => ({ reads: 'number', of: ({ call }) => estimateInput(call) }),
  },
  estimated_cost_usd: {
    about: 'That input and the longest answer the call allows, at the prices of the upstream that is asked first. Without a price no rule about it holds.',
    reading: () => ({ reads: 'number', of: estimatedCostUsd }),
  },
}

export const DEFAULT_TARGET: Target = 'prompt'

/** What a target reads; undefined for a target this version does not know. */
export function readingOfTarget(target: string): TargetReading | undefined {
  const named = namedTargets.find((one) => target.startsWith(beginningOf(one)))
  if (named) return targetTable[named].reading(target.slice(beginningOf(named).length))
  return Object.hasOwn(targetTable, target) ? targetTable[target as TargetName].reading('') : undefined
}

/** `header.` of `header.<name>`. */
export const beginningOf = (named: string): string => named.slice(0, named.indexOf('<'))

/** Whether a text of the call is meant. What stands beside the body has no place in a message. */
export function selects({ role, last }: Selection, slot: TextSlot, lastMessage: ModelCall['lastMessage']): boolean {
  if (role !== null && slot.role !== role) return false
  return !last || (lastMessage !== null && slot.start >= lastMessage.start && slot.end <= lastMessage.end)
}

/** The subject once for every model its call names, as if it named only that one. */
export const eachModel = (subject: Subject): readonly Subject[] =>
  subject.call.models.length < 2 ? [subject] : subject.call.models.map((model) => ({ ...subject, call: { ...subject.call, models: [model] } }))

const ownValue = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined => (Object.hasOwn(record, name) ? record[name] : undefined)
const listOf = (value: string | string[] | undefined): readonly string[] => (value === undefined ? [] : Array.isArray(value) ? value : [value])

const PRICED_TOKENS = 1_000_000

function estimatedCostUsd(subject: Subject): number | null {
  const { price, call, caller } = subject
  if (!price) return null
  const output = call.maxOutputTokens ?? caller.tenant.defaultMaxOutputTokens ?? 0
  return (estimateInput(call) * price.input + output * price.output) / PRICED_TOKENS
}
