/** Calls and rules for tests, read from real bodies by the real reader. */
import type { ModelCall, Role } from '../../src/call.ts'
import { NONE } from '../../src/dialects/bodies/json.ts'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { collect } from '../../src/dialects/bodies/texts.ts'
import type { CallHead } from '../../src/dialects/dialect.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import type { Condition, Rule } from '../../src/rules/rule.ts'
import type { Subject } from '../../src/rules/targets.ts'
import { tenantNamed } from '../harness/nouns.ts'

export function callOf(body: string | Buffer): ModelCall {
  const bytes = Buffer.from(body)
  const json = createJsonReader()(bytes)
  let head: CallHead = { models: [], streaming: false, lastMessage: NONE, maxOutputTokens: null }
  const texts = collect(json, (mark) => {
    head = openaiChat.readCall(json, mark, '/v1/chat/completions', null)
  })
  const { lastMessage, ...rest } = head
  return {
    ...texts,
    ...rest,
    lastMessage: lastMessage === NONE ? null : json.rangeOf(lastMessage),
    body: bytes,
    format: 'json',
    contentType: 'application/json',
    metadata: {},
  }
}

/** A call of these messages: role and content. */
export const chat = (...messages: readonly [role: string, content: string][]): ModelCall =>
  callOf(JSON.stringify({ model: 'gpt-4o', messages: messages.map(([role, content]) => ({ role, content })) }))

export const subjectOf = (call: ModelCall, { tenant = 't_1', key = 'ef_live_abcdefgh' }: { tenant?: string; key?: string } = {}): Subject => ({
  call,
  caller: { tenant: tenantNamed(tenant), keyPrefix: key, agent: null },
  endpoint: '/v1/chat/completions',
  headers: {},
  metadata: call.metadata,
  price: null,
})

export const ask = (text: string): Subject => subjectOf(chat(['user', text]))

export const rule = (condition: Condition, action: Rule['action'] = 'BLOCK', more: Partial<Rule> = {}): Rule => ({
  id: `rule_${action.toLowerCase()}`,
  name: `a ${action} rule`,
  condition,
  action,
  priority: 50,
  mode: 'enforce',
  reversible: false,
  active: true,
  preset: null,
  metadata: {},
  ...more,
})

/** The texts that spans name. */
export const textsOf = (call: ModelCall, spans: readonly { start: number; end: number }[]): string[] =>
  spans.map(({ start, end }) => call.text.toString('utf8', start, end))

export const slotsOf = (call: ModelCall, role: Role): string[] =>
  call.slots.filter((slot) => slot.role === role).map(({ from, to }) => call.text.toString('utf8', from, to))
