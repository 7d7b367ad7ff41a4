/** The rules as the documentation tells them, read plainly and slowly, beside what the compiler makes of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkStored } from '../../src/rules/check-rule.ts'
import { compile } from '../../src/rules/compile.ts'
import { redact } from '../../src/rules/redact.ts'
import { type Action, actions, type Condition, type Dictionaries, type Leaf, type Rule, severity } from '../../src/rules/rule.ts'
import type { Subject } from '../../src/rules/targets.ts'
import { callOf, rule, subjectOf } from './subject.ts'

/** A string of the body: what it is (`word` is a word that the format prescribes), the index of its message, and where it stands in the body's object. */
interface Said {
  is: 'system' | 'user' | 'assistant' | 'tool_arguments' | 'tool_results' | 'tool_names' | 'other' | 'protocol' | 'word'
  message: number | null
  holder: Record<string, unknown>
  member: string
}
type Asked = Omit<Subject, 'call'> & { models: readonly string[]; maxOutputTokens: number | null; said: readonly Said[]; messages: number }
interface Found {
  said: Said
  start: number
  end: number
  placeholder: string
}
const dictionaries: Dictionaries = { birds: { terms: ['ab', 'éa', 'b.b'], case_sensitive: false }, Metals: { terms: ['Ba', 'aa'], case_sensitive: true } }
const textOf = ({ holder, member }: Said): string => String(holder[member])

// ---- what the documentation says

function reference(rules: readonly Rule[], asked: Asked) {
  const order = rules
    .filter(({ active }) => active)
    .sort((a, b) => b.priority - a.priority || severity[b.action] - severity[a.action] || (a.id < b.id ? -1 : 1))
  const findings: { rule: Rule; found: Found[] }[] = []
  let allowed = -1
  for (const one of order) {
    if (one.priority < allowed) break
    const answers = (asked.models.length > 1 ? asked.models.map((model) => ({ ...asked, models: [model] })) : [asked]).map((each) => ask(one.condition, each))
    const held = answers.filter((found) => found !== null)
    if (held.length === 0 || (one.action === 'ALLOW' && held.length < answers.length)) continue
    findings.push({ rule: one, found: held.flat() })
    if (one.action === 'ALLOW' && one.mode === 'enforce') allowed = one.priority
  }
  const enforced = findings.filter(({ rule: { mode } }) => mode === 'enforce')
  const action = enforced.reduce<Action>((worst, { rule: { action: own } }) => (severity[own] > severity[worst] ? own : worst), 'ALLOW')
  const cuts = enforced.flatMap(({ rule: { action: own }, found }) => (own === 'REDACT' ? found : []))
  return { action, findings: findings.map(({ rule: { id } }) => id), cuts: action === 'REDACT' ? cuts : [] }
}

/** What was found where the condition holds; null where it does not. */
function ask(condition: Condition, asked: Asked): Found[] | null {
  if ('not' in condition) return ask(condition.not, asked) === null ? [] : null
  if ('all' in condition) {
    const answers = condition.all.map((part) => ask(part, asked))
    return answers.every((one) => one !== null) ? answers.flat() : null
  }
  if ('any' in condition) {
    const held = condition.any.map((part) => ask(part, asked)).filter((one) => one !== null)
    return held.length > 0 ? held.flat() : null
  }
  return askLeaf(condition, asked)
}

function askLeaf(leaf: Leaf, asked: Asked): Found[] | null {
  const { operator, target = 'prompt' } = leaf
  if (operator.startsWith('not_')) return askLeaf({ ...leaf, operator: operator.slice('not_'.length) }, asked) === null ? [] : null
  const values = fieldOf(target, asked)
  const texts = values ? values.map((value) => fieldSaid(String(value))) : asked.said.filter((one) => isMeant(one, target, asked))
  const counted = texts.filter(({ is }) => is !== 'protocol').map(textOf)
  const sum = (count: (text: string) => number): number => counted.reduce((all, text) => all + count(text), 0)
  const characters = (): number => sum((text) => [...text].length)
  const when = (holds: boolean): Found[] | null => (holds ? [] : null)
  const compare = (number: number, { op, value }: { op: string; value: number }): boolean =>
    ({ gt: number > value, gte: number >= value, lt: number < value, lte: number <= value, eq: number === value, ne: number !== value })[op] ?? false
  if (operator === 'length_gt') return when(characters() > Number(leaf.value))
  if (operator === 'length_lt') return when(characters() < Number(leaf.value))
  if (operator === 'word_count_gt') return when(sum((text) => text.split(/\s+/).filter((word) => word !== '').length) > Number(leaf.value))
  if (operator === 'threshold') {
    const than = leaf.value as { op: string; value: number }
    if (!values) return when(compare(characters(), than))
    return when(values.some((value) => value !== true && String(value).trim() !== '' && Number.isFinite(Number(value)) && compare(Number(value), than)))
  }
  const found = texts.flatMap((said) => find(leaf, textOf(said)).map((one): Found => ({ said, ...one })))
  return found.length > 0 ? found : null
}

function find({ operator, value, case_sensitive: exact = false }: Leaf, text: string): Omit<Found, 'said'>[] {
  const matches = (pattern: RegExp, placeholder: string) =>
    Array.from(text.matchAll(pattern), ({ index, 0: all, 1: inner }) => ({ start: index, end: index + (inner ?? all).length, placeholder }))
  const literally = (phrase: string) => phrase.replaceAll('.', '\\.')
  const anywhere = (phrase: string, isExact: boolean, placeholder: string) =>
    matches(new RegExp(`(?=(${literally(phrase)}))`, isExact ? 'gu' : 'giu'), placeholder)
  const flags = exact ? 'gu' : 'giu'
  const [from, to] = { starts_with: ['^', ''], ends_with: ['', '$'], equals: ['^', '$'], in: ['^', '$'] }[operator] ?? ['', '']
  switch (operator) {
    case 'regex':
      return matches(new RegExp(String(value), flags), '[REDACTED]')
    case 'contains':
      return anywhere(String(value), exact, '[REDACTED]')
    case 'detects':
      return [value].flat().flatMap((name) => {
        if (name === 'ssn') return matches(/\b\d{3}-\d\d-\d{4}\b/g, '[SSN]')
        const { terms, case_sensitive } = dictionaries[String(name)]
        return terms.flatMap((term) => anywhere(term, case_sensitive, `[${String(name).toUpperCase()}]`))
      })
    default:
      return [value].flat().flatMap((phrase) => matches(new RegExp(`${from}${literally(String(phrase))}${to}`, flags), '[REDACTED]'))
  }
}

const isMeant = ({ is, message }: Said, target: string, { messages }: Asked): boolean =>
  is !== 'word' && (target === 'prompt' || (target === 'last_message' ? message === messages - 1 : is === target))

/** The values of what is no text; undefined for texts. */
function fieldOf(target: string, { models, endpoint, caller, headers, metadata, price, said, maxOutputTokens }: Asked): readonly unknown[] | undefined {
  const tokens = Math.ceil(said.reduce((sum, one) => sum + Buffer.byteLength(textOf(one)), 0) / 4)
  const known = (value: unknown): readonly unknown[] => (value === undefined || value === null ? [] : [value])
  if (target.startsWith('header.')) return known(headers[target.slice('header.'.length).toLowerCase()])
  if (target.startsWith('metadata.')) return known(metadata[target.slice('metadata.'.length)])
  const output = maxOutputTokens ?? caller.tenant.defaultMaxOutputTokens ?? 0
  const fields: Record<string, readonly unknown[]> = {
    model: models,
    endpoint: [endpoint],
    tenant: [caller.tenant.id],
    agent: known(caller.agent?.id ?? null),
    key: [caller.keyPrefix],
    estimated_tokens: [tokens],
    estimated_cost_usd: price ? [(tokens * price.input + output * price.output) / 1e6] : [],
  }
  return fields[target]
}
const fieldSaid = (value: string): Said => ({ is: 'other', message: null, holder: { value }, member: 'value' })

/** The body with what was cut; null where a placeholder would break it. Where findings overlap, the first that is asked for names the placeholder. */
function cutBody(body: object, cuts: readonly Found[]): string | null {
  if (cuts.some(({ said }) => said.is === 'protocol' || said.is === 'tool_names')) return null
  for (const [said, mine] of Map.groupBy(cuts, ({ said: one }) => one)) {
    const merged: { start: number; end: number; first: number }[] = []
    for (const { start, end, first } of mine.map((cut) => ({ ...cut, first: cuts.indexOf(cut) })).sort((a, b) => a.start - b.start)) {
      const last = merged.at(-1)
      if (last && start < last.end) Object.assign(last, { end: Math.max(end, last.end), first: Math.min(first, last.first) })
      else merged.push({ start, end, first })
    }
    let text = textOf(said)
    for (const { start, end, first } of merged.reverse()) text = text.slice(0, start) + cuts[first].placeholder + text.slice(end)
    said.holder[said.member] = text
  }
  return JSON.stringify(body)
}

// ---- random calls and rules

const text = fc
  .array(fc.constantFrom('a', 'b', 'a', 'b', 'A', 'B', '.', ' ', '\n', '"', 'é', 'É', '😀', ' 123-45-6789 '), { maxLength: 7 })
  .map((parts) => parts.join(''))
const message = fc.oneof(
  { weight: 4, arbitrary: fc.record({ role: fc.constantFrom('system', 'developer', 'user', 'assistant'), content: text }) },
  {
    weight: 1,
    arbitrary: fc.record({ role: fc.constant('user'), content: fc.array(fc.record({ type: fc.constant('text'), text }), { minLength: 1, maxLength: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ role: fc.constant('tool'), tool_call_id: fc.constantFrom('c1', 'ab'), content: text }) },
  {
    weight: 1,
    arbitrary: fc.tuple(text, fc.constantFrom('f', 'ab')).map(([given, name]) => ({
      role: 'assistant',
      tool_calls: [{ id: 'c1', type: 'function', function: { name, arguments: given } }],
    })),
  },
)
const drawnCall = fc.record({
  messages: fc.array(message, { minLength: 1, maxLength: 4 }),
  model: fc.constantFrom('m1', 'm2'),
  second: fc.option(fc.constantFrom('m2', 'm3'), { freq: 4 }),
  max_tokens: fc.option(fc.constantFrom(1, 1000)),
  unknown: fc.option(text),
  agent: fc.option(fc.constantFrom('agent_a', 'agent_b')),
  headers: fc.record({ 'x-team': fc.constantFrom('a', 'ab', '12', ' 7 ') }, { requiredKeys: [] }),
  metadata: fc.record({ team: fc.constantFrom('a', 'AB', 'é'), level: fc.constantFrom(3, 2.5, '4', 'b', true) }, { requiredKeys: [] }),
  price: fc.option(fc.constant({ input: 1000, output: 100 })),
})

function callFrom({
  messages,
  model,
  second,
  max_tokens,
  unknown,
  agent,
  headers,
  metadata,
  price,
}: typeof drawnCall extends fc.Arbitrary<infer T> ? T : never) {
  const body: Record<string, unknown> = { model, messages, ...(max_tokens !== null && { max_tokens }), ...(unknown !== null && { zzz: unknown }) }
  const said: Said[] = [{ is: 'protocol', message: null, holder: body, member: 'model' }]
  const add = (is: Said['is'], index: number | null, holder: object, member: string) =>
    said.push({ is, message: index, holder: holder as Record<string, unknown>, member })
  messages.forEach((one, index) => {
    const is = { system: 'system', developer: 'system', user: 'user', assistant: 'assistant', tool: 'tool_results' }[one.role] as Said['is']
    add('word', index, one, 'role')
    if ('tool_call_id' in one) add('protocol', index, one, 'tool_call_id')
    if ('tool_calls' in one) {
      const [{ function: called, ...rest }] = one.tool_calls
      add('protocol', index, rest, 'id')
      add('word', index, rest, 'type')
      add('tool_names', index, called, 'name')
      add('tool_arguments', index, called, 'arguments')
    } else if (typeof one.content === 'string') add(is, index, one, 'content')
    else
      for (const part of one.content) {
        add('word', index, part, 'type')
        add(is, index, part, 'text')
      }
  })
  if (unknown !== null) {
    add('other', null, body, 'zzz')
    add('protocol', null, { name: 'zzz' }, 'name')
  }
  const models = second === null || second === model ? [model] : [model, second]
  const call = { ...callOf(JSON.stringify(body)), models }
  const base = subjectOf(call)
  const subject: Subject = {
    ...base,
    caller: { ...base.caller, agent: agent === null ? null : { id: agent } },
    headers: headers as Subject['headers'],
    metadata: metadata as Subject['metadata'],
    price,
  }
  return { body, subject, asked: { ...subject, models, maxOutputTokens: max_tokens, said, messages: messages.length } satisfies Asked }
}

const phrases = fc.constantFrom('a', 'b', 'ab', 'ba', 'aab', 'b.', 'A.b', 'abab', 'é', 'Éa', 'm1', 'zz')
const whole = fc.constantFrom('a', 'ab', 'é', 'aé', 'm1', 'm2', 'm3', 'agent_a', 't_1', '12', '3', 'true')
const values: Record<string, fc.Arbitrary<unknown>> = {
  contains: phrases,
  not_contains: phrases,
  equals: whole,
  not_equals: whole,
  starts_with: phrases,
  ends_with: phrases,
  in: fc.array(whole, { minLength: 1, maxLength: 3 }),
  not_in: fc.array(whole, { minLength: 1, maxLength: 3 }),
  detects: fc.oneof(fc.constantFrom('ssn', 'birds', 'Metals'), fc.uniqueArray(fc.constantFrom('ssn', 'birds', 'Metals'), { minLength: 1 })),
  length_gt: fc.nat(20),
  length_lt: fc.nat(20),
  word_count_gt: fc.nat(4),
  threshold: fc.record({ op: fc.constantFrom('gt', 'gte', 'lt', 'lte', 'eq', 'ne'), value: fc.constantFrom(0, 2, 2.5, 3, 4, 7, 0.01, 12) }),
  regex: fc.constantFrom('a+', '^ab', 'b$', 'a.', 'b?a', '[ab]{2}', 'É|x'),
}
const fields = [
  'model',
  'endpoint',
  'header.x-team',
  'header.X-Team',
  'metadata.team',
  'metadata.level',
  'tenant',
  'agent',
  'key',
  'estimated_tokens',
  'estimated_cost_usd',
]
const texts = ['prompt', 'system', 'user', 'last_message', 'tool_arguments', 'tool_results', 'tool_names']
const { regex: _, ...cheap } = values
const leafOf = (operators: readonly string[], targets: readonly string[]): fc.Arbitrary<Leaf> =>
  fc.constantFrom(...operators).chain((operator) =>
    fc.record(
      { operator: fc.constant(operator), value: values[operator], target: fc.constantFrom(...targets) as fc.Arbitrary<'prompt'>, case_sensitive: fc.boolean() },
      {
        requiredKeys: ['operator', 'value', 'target'],
      },
    ),
  )
const aField = leafOf(Object.keys(cheap), fields)
const aText = fc.oneof({ weight: 40, arbitrary: leafOf(Object.keys(cheap), texts) }, { weight: 1, arbitrary: leafOf(['regex'], [...texts, 'model']) })
const nested = (leaf: fc.Arbitrary<Leaf>): fc.Arbitrary<Condition> =>
  fc.letrec<{ node: Condition }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      { weight: 3, arbitrary: leaf },
      { weight: 1, arbitrary: fc.record({ all: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ any: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ not: tie('node') }) },
    ),
  })).node
const anyLeaf = fc.oneof({ weight: 4, arbitrary: aText }, { weight: 1, arbitrary: aField })
/** What a REDACT rule may be: something it asks always stands somewhere. */
const cutting = fc.letrec<{ node: Condition }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    { weight: 4, arbitrary: leafOf(['contains', 'equals', 'starts_with', 'ends_with', 'in', 'detects'], [...texts, 'prompt', 'user']) },
    { weight: 1, arbitrary: fc.tuple(tie('node'), nested(anyLeaf)).map((all) => ({ all })) },
    { weight: 1, arbitrary: fc.record({ any: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }) },
  ),
})).node
const conditions: Record<Action, fc.Arbitrary<Condition>> = {
  ALLOW: nested(aField),
  WARN: nested(anyLeaf),
  REDACT: cutting,
  ESCALATE: nested(anyLeaf),
  BLOCK: nested(anyLeaf),
}
const names = new Set(Object.keys(dictionaries))
/** Those that could not do what they say are refused, which is tested elsewhere. */
function isRule(one: Rule): boolean {
  try {
    checkStored(one, names)
    return true
  } catch {
    return false
  }
}
const drawnRule = fc
  .constantFrom(...actions, 'REDACT' as const, 'REDACT' as const)
  .chain((action) =>
    fc.record({
      action: fc.constant(action),
      condition: conditions[action],
      priority: fc.constantFrom(10, 20, 30),
      mode: fc.constantFrom('enforce' as const, 'enforce' as const, 'shadow' as const),
      active: fc.constantFrom(true, true, true, false),
    }),
  )
  .map(({ condition, action, ...more }) => rule(condition, action, more))
  .filter(isRule)

test('10,000 random rule sets do with random calls what a plain reading of the documentation says, in whatever order they are stored', () => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(fc.array(drawnRule, { minLength: 1, maxLength: 5 }), drawnCall, fc.infiniteStream(fc.nat()), (drawn, call, dice) => {
      const rules = drawn.map((one, i) => ({ ...one, id: `rule_${i}` }))
      const { body, subject, asked } = callFrom(call)
      const { action, findings, cuts } = reference(rules, asked)
      const shuffled = rules.map((one) => ({ one, at: dice.next().value as number })).sort((a, b) => a.at - b.at)
      const verdict = compile(
        1,
        shuffled.map(({ one }) => one),
        dictionaries,
      ).judge(subject)
      assert.deepEqual([verdict.action, verdict.findings.map(({ rule: { id } }) => id)], [action, findings])
      const leaving = action === 'REDACT' ? redact(subject.call, verdict) : { outbound: subject.call.body }
      assert.equal('outbound' in leaving ? leaving.outbound.toString() : null, cutBody(body, cuts))
      const what = action === 'REDACT' && !('outbound' in leaving) ? 'cannot redact' : action
      seen.set(what, (seen.get(what) ?? 0) + 1)
    }),
    { numRuns: 10_000 },
  )
  for (const what of [...actions, 'cannot redact']) assert.ok((seen.get(what) ?? 0) > 100, `${what} came up ${seen.get(what)} times`)
})
