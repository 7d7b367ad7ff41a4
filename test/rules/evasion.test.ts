/**
 * What must not leave does not leave in disguise either: every disguise is tried at places of the bodies of every dialect. A rule that blocks finds it
 * there, and one that redacts takes all of it and nothing else, or refuses where a placeholder would break the call.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ModelCall } from '../../src/call.ts'
import { createCallReader } from '../../src/dialects/bodies/read-call.ts'
import type { Endpoint } from '../../src/dialects/endpoint.ts'
import { dialects, formats } from '../../src/dialects/index.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import type { Policy, Verdict } from '../../src/rules/policy.ts'
import { redact } from '../../src/rules/redact.ts'
import type { Action, Condition } from '../../src/rules/rule.ts'
import { at, FORM_TYPE, form } from '../dialects/form.ts'
import { CARD, type Evasion, evasions, type Hidden, notClaimed, PHRASE, splits, woven } from './evasions.ts'
import { ask, rule, subjectOf } from './subject.ts'

const JSON_TYPE = 'application/json'
/** A string that may be cut, and one of the protocol, which may not. */
const HERE = '§'
const FIXED = '¶'
const nested = (value: unknown): string => JSON.stringify(value)

const schema = { type: 'object', properties: { city: { type: 'string', description: HERE, default: HERE, enum: [FIXED] } } }
const chat = {
  model: FIXED,
  temperature: 0.5,
  messages: [
    { role: 'system', content: HERE },
    { role: 'user', content: HERE },
    { role: 'user', content: [{ type: 'text', text: HERE }] },
    { role: 'assistant', content: HERE, tool_calls: [{ id: 'c', type: 'function', function: { name: FIXED, arguments: nested({ note: HERE, n: 1 }) } }] },
    { role: 'tool', tool_call_id: FIXED, content: HERE },
  ],
  tools: [{ type: 'function', function: { name: 'f', description: HERE, parameters: schema } }],
  metadata: { team: HERE },
  later: { deep: [HERE] },
}
const responses = {
  model: 'm',
  instructions: HERE,
  input: [
    { role: 'user', content: [{ type: 'input_text', text: HERE }] },
    { type: 'function_call', call_id: 'c', name: 'f', arguments: nested({ note: [HERE] }) },
    { type: 'function_call_output', call_id: FIXED, output: HERE },
  ],
  prompt: { id: 'p', variables: { city: HERE } },
}
const message = {
  model: 'm',
  max_tokens: 9,
  system: [{ type: 'text', text: HERE, cache_control: { type: 'ephemeral' } }],
  messages: [
    { role: 'user', content: HERE },
    {
      role: 'user',
      content: [
        { type: 'text', text: HERE },
        { type: 'document', title: HERE, source: { type: 'text', media_type: 'text/plain', data: HERE } },
      ],
    },
    { role: 'assistant', content: [{ type: 'tool_use', id: 'i', name: FIXED, input: { city: [HERE] } }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'i', content: HERE }] },
  ],
  tools: [{ name: 'f', description: HERE, input_schema: schema }],
}
const generate = {
  systemInstruction: { parts: [{ text: HERE }] },
  contents: [
    { role: 'user', parts: [{ text: HERE }] },
    { role: 'model', parts: [{ functionCall: { name: FIXED, args: { city: HERE } } }, { executableCode: { code: HERE, language: 'PYTHON' } }] },
    { role: 'user', parts: [{ functionResponse: { name: 'f', response: { result: HERE } } }] },
  ],
  tools: [{ functionDeclarations: [{ name: 'f', description: HERE, parameters: schema }] }],
}

/** Bodies of every dialect, as tables of their places. */
const bodies: readonly [path: string, table: object][] = [
  ['/v1/chat/completions', chat],
  ['/openai/deployments/m/chat/completions', { messages: [{ role: 'user', content: HERE }] }],
  ['/v1/responses', responses],
  ['/v1/responses', { model: 'm', input: HERE }],
  ['/v1/completions', { model: 'm', prompt: [HERE, 'x'], suffix: HERE }],
  ['/v1/embeddings', { model: 'm', input: [HERE] }],
  ['/v1/moderations', { model: 'm', input: [{ type: 'text', text: HERE }] }],
  ['/v1/images/generations', { model: 'm', prompt: HERE }],
  ['/v1/audio/speech', { model: 'm', input: HERE, instructions: HERE, voice: 'alloy' }],
  ['/v1/messages', message],
  ['/v1/messages/count_tokens', { model: 'm', messages: [{ role: 'user', content: HERE }] }],
  ['/v1/messages/batches', { requests: [{ custom_id: 'a', params: { model: 'm', max_tokens: 9, messages: [{ role: 'user', content: HERE }] } }] }],
  ['/v1beta/models/m:generateContent', generate],
  ['/v1/models/m:streamGenerateContent', { system_instruction: { parts: { text: HERE } }, contents: { parts: { text: HERE } } }],
  ['/v1beta/models/m:embedContent', { content: { parts: [{ text: HERE }] }, title: HERE }],
  ['/v1beta/cachedContents', { model: 'models/m', contents: [{ role: 'user', parts: [{ text: HERE }] }] }],
  ['/v1/proxy', { model: 'm', messages: [{ role: 'user', content: HERE }], metadata: { team: HERE } }],
  ['/v1/assistants', { model: 'm', instructions: HERE, x: [{ y: HERE }], [FIXED]: 1 }],
]

/** Where a text can stand in a body: what stands before and after it, and how it is written there. */
interface Place {
  name: string
  endpoint: Endpoint
  type: string
  before: string
  after: string
  isCut: boolean
  write(text: string): string
  /** The other way round. */
  say(written: string): string
  isJson: boolean
  /** The whole string is one run of escapes within a string, which is cut as a whole where anything in it is. */
  isOneRun: boolean
}

const ORDINARY = 'ordinary'
const asJson = (text: string): string => JSON.stringify(text).slice(1, -1)
const asEscapes = (text: string): string => Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
const fromJson = (written: string): string => JSON.parse(`"${written}"`) as string
const asItIs = (text: string): string => text

/** The places of a body. In JSON within a string (a tool's arguments) a text is written once more. */
function placesOf(path: string, json: string, write: (text: string) => string = asJson): Place[] {
  const found = [...json.matchAll(/(\\?)"([§¶])\1"/g)]
  const ordinary = (text: string): string => text.replaceAll(HERE, ORDINARY).replaceAll(FIXED, ORDINARY)
  return found.map(({ index, 0: literal, 1: backslash, 2: mark }, i) => {
    const start = index + backslash.length + 1
    const rest = json.slice(index + literal.length)
    return {
      name: `${path} ${write === asEscapes ? 'in escapes' : ''} #${i}: …${json.slice(Math.max(0, start - 30), start)}`,
      endpoint: at(path),
      type: JSON_TYPE,
      before: ordinary(json.slice(0, start)),
      after: `${backslash}"${ordinary(rest)}`,
      isCut: mark === HERE,
      write: backslash === '' ? write : (text) => asJson(write(text)),
      say: backslash === '' ? fromJson : (written) => fromJson(fromJson(written)),
      isJson: true,
      isOneRun: backslash !== '' && write === asEscapes,
    }
  })
}

/** A place in a body that is no JSON, or not as a whole. */
function placeIn(path: string, body: string | Buffer, type: string, write: (text: string) => string = asItIs): Place {
  const [before, after] = body.toString().split(HERE)
  return {
    name: `${path} as ${type}: …${before.slice(-30)}`,
    endpoint: at(path),
    type,
    before,
    after,
    isCut: true,
    write,
    say: write === asItIs ? asItIs : fromJson,
    isJson: false,
    isOneRun: false,
  }
}

const places: readonly Place[] = [
  ...bodies.flatMap(([path, table]) => placesOf(path, JSON.stringify(table))),
  ...placesOf('/v1/chat/completions', ` ${JSON.stringify(chat, null, '\t')}\r\n`, asEscapes),
  placeIn('/v1/later', `note,who\n${HERE},x\n`, 'text/csv'),
  placeIn('/v1/audio/transcriptions', form({ name: 'model', content: 'm' }, { name: 'prompt', content: HERE }), FORM_TYPE),
  placeIn('/v1/files', form({ name: 'file', filename: 'notes.txt', type: 'text/plain', content: `Notes.\n${HERE}\n` }), FORM_TYPE),
  placeIn('/v1/files', form({ name: 'file', filename: 'b.jsonl', content: `{"a":"${HERE}"}\n{"a":1}\n` }), FORM_TYPE, asJson),
]

const TERM = PHRASE
const dictionaries = { projects: { terms: [TERM, 'project boreas'], case_sensitive: false } }
/** What should find each, asked separately. */
const asked: Readonly<Record<Hidden, readonly Condition[]>> = {
  card: [{ operator: 'detects', value: 'credit_card' }],
  key: [{ operator: 'detects', value: 'secret' }],
  phrase: [
    { operator: 'contains', value: TERM },
    { operator: 'detects', value: 'projects' },
  ],
  email: [{ operator: 'detects', value: 'email' }],
}
const policiesFor = (action: Action): Record<Hidden, Policy[]> =>
  Object.fromEntries(
    Object.entries(asked).map(([hidden, conditions]) => [hidden, conditions.map((condition) => compile(1, [rule(condition, action)], dictionaries))]),
  ) as Record<Hidden, Policy[]>
const blocking = policiesFor('BLOCK')
const redacting = policiesFor('REDACT')

const readBytes = createCallReader()
interface Judged {
  call: ModelCall
  verdict: Verdict
}
function judge(policy: Policy, { endpoint, type }: Pick<Place, 'endpoint' | 'type'>, body: string): Judged {
  const read = readBytes(Buffer.from(body), type, endpoint)
  assert.ok(!(read instanceof Refusal), read instanceof Refusal ? read.message : '')
  const call = { ...read.call, metadata: {} }
  return { call, verdict: policy.judge(subjectOf(call)) }
}

const LEAD = 'Please use '
const TAIL = ' today'

/** What is wrong with how a disguise is found at a place; null where nothing is. */
function blockingFault(policy: Policy, { before, hidden, after }: Evasion, place: Place): string | null {
  const { verdict } = judge(policy, place, place.before + place.write(before + hidden + after) + place.after)
  return verdict.action === 'BLOCK' ? null : `is ${verdict.action}`
}

/** The same for how it is cut. */
function cuttingFault(policy: Policy, { before, hidden, after }: Evasion, place: Place): string | null {
  const { call, verdict } = judge(policy, place, place.before + place.write(LEAD + before + hidden + after + TAIL) + place.after)
  if (verdict.action !== 'REDACT') return `is ${verdict.action}`
  const result = redact(call, verdict)
  if ('cannot' in result) return place.isCut ? `cannot be cut: ${result.cannot}` : null
  if (!place.isCut) return 'is cut where a placeholder breaks the call'
  const out = result.outbound.toString()
  if (place.isJson) JSON.parse(out)
  const written = out.slice(place.before.length, out.length - place.after.length)
  if (out !== place.before + written + place.after) return 'changes bytes outside its string'
  const { placeholder } = policy.leaves[0]
  const isAllGone = place.isOneRun && place.say(written) === placeholder
  if (!isAllGone && (!written.startsWith(place.write(LEAD)) || !written.endsWith(place.write(TAIL)))) return `changes the words around it: ${written}`
  const middle = isAllGone ? placeholder : place.say(written).slice(LEAD.length, -TAIL.length)
  if (!middle.includes(placeholder)) return `leaves no placeholder: ${middle}`
  if (!isLeftover(middle.replaceAll(placeholder, ''), before, after)) return `leaves ${JSON.stringify(middle)}`
  const again = judge(policy, place, out)
  if (again.verdict.action !== 'REDACT') return null
  const twice = redact(again.call, again.verdict)
  return 'outbound' in twice && twice.outbound.equals(result.outbound) ? null : 'is cut again once it is cut'
}

/** A beginning of what stood before and an end of what stood after. */
const isLeftover = (text: string, before: string, after: string): boolean =>
  Array.from({ length: text.length + 1 }, (_, i) => i).some((i) => before.startsWith(text.slice(0, i)) && after.endsWith(text.slice(i)))

/** Everywhere, by every rule that is asked; each fault once with the places where it shows, of which a few will do. */
function faults(evasion: Evasion, policies: readonly Policy[], faultOf: typeof blockingFault): string[] {
  const found = policies.flatMap((policy) =>
    places.flatMap((place) => {
      const fault = faultOf(policy, evasion, place)
      return fault === null ? [] : [{ fault: `${JSON.stringify(policy.rules[0].condition)} ${fault}`, place: place.name }]
    }),
  )
  return [...Map.groupBy(found, ({ fault }) => fault)].map(([fault, all]) => `${fault}, at ${all.length} of ${places.length} places, such as ${all[0].place}`)
}

test('the places are of every format and of every role, most can be cut, and at the others nothing may be put', () => {
  const missing = formats.filter(({ paths }) => !bodies.some(([path]) => at(path).dialect.paths.some((one) => paths.includes(one))))
  assert.deepEqual(
    missing.map(({ name }) => name),
    [],
  )
  assert.ok(dialects.some(({ paths }) => paths.includes('/v1/proxy')))
  assert.ok(places.filter(({ isCut }) => isCut).length >= 20)
  assert.ok(places.filter(({ isCut }) => !isCut).length >= 5)
})

for (const evasion of evasions) {
  const { of, name } = evasion
  test(`${of}, ${name}: found wherever it stands`, () => {
    assert.deepEqual(faults(evasion, blocking[of], blockingFault), [])
  })
  test(`${of}, ${name}: cut wherever it may be, all of it and nothing else`, () => {
    assert.deepEqual(faults(evasion, redacting[of], cuttingFault), [])
  })
}

test('every character that Unicode says is not shown is no cover between the digits of a card', () => {
  const [policy] = blocking.card
  const missed: string[] = []
  for (let code = 0; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code < 0xe000) continue
    const character = String.fromCodePoint(code)
    if (!/\p{Default_Ignorable_Code_Point}/u.test(character)) continue
    if (policy.judge(ask(woven(CARD, [character]))).action !== 'BLOCK') missed.push(code.toString(16))
  }
  assert.deepEqual(missed, [])
})

/** The conversations that hold pieces as parts of one message, as messages of one speaker, and as such with answers in between. */
const conversations: readonly [name: string, path: string, table: (pieces: readonly string[]) => object][] = [
  ['parts of a chat message', '/v1/chat/completions', (pieces) => ({ model: 'm', messages: [{ role: 'user', content: pieces.map(textPart) }] })],
  ['chat messages', '/v1/chat/completions', (pieces) => ({ model: 'm', messages: pieces.map((content) => ({ role: 'user', content })) })],
  ['answered chat messages', '/v1/chat/completions', (pieces) => ({ model: 'm', messages: pieces.flatMap((content) => answered({ role: 'user', content })) })],
  ['system messages', '/v1/chat/completions', (pieces) => ({ model: 'm', messages: pieces.map((content) => ({ role: 'system', content })) })],
  ['messages at Azure', '/openai/deployments/m/chat/completions', (pieces) => ({ messages: pieces.map((content) => ({ role: 'user', content })) })],
  [
    'parts of an item of input',
    '/v1/responses',
    (pieces) => ({ model: 'm', input: [{ role: 'user', content: pieces.map((text) => ({ type: 'input_text', text })) }] }),
  ],
  ['items of input', '/v1/responses', (pieces) => ({ model: 'm', input: pieces.map((content) => ({ role: 'user', content })) })],
  ['blocks of a message', '/v1/messages', (pieces) => ({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: pieces.map(textPart) }] })],
  [
    'answered messages of blocks',
    '/v1/messages',
    (pieces) => ({ model: 'm', max_tokens: 9, messages: pieces.flatMap((text) => answered({ role: 'user', content: [textPart(text)] })) }),
  ],
  ['parts of a content', '/v1beta/models/m:generateContent', (pieces) => ({ contents: [{ role: 'user', parts: pieces.map((text) => ({ text })) }] })],
  ['contents', '/v1beta/models/m:generateContent', (pieces) => ({ contents: pieces.map((text) => ({ role: 'user', parts: [{ text }] })) })],
  ['messages of an envelope', '/v1/proxy', (pieces) => ({ model: 'm', messages: pieces.map((content) => ({ role: 'user', content })) })],
]
function textPart(text: string): object {
  return { type: 'text', text }
}
function answered(message: object): object[] {
  return [message, { role: 'assistant', content: 'Go on.' }]
}

for (const { of, name, pieces } of splits) {
  test(`${of}, split ${name}: found over the parts of a message and over messages of one speaker`, () => {
    const missed = conversations.flatMap(([where, path, table]) => {
      const body = JSON.stringify(table(pieces))
      return blocking[of].filter((policy) => judge(policy, { endpoint: at(path), type: JSON_TYPE }, body).verdict.action !== 'BLOCK').map(() => where)
    })
    assert.deepEqual(missed, [])
  })

  test(`${of}, split ${name}: every piece is cut, and no other character of the conversation`, () => {
    const around = (inside: readonly string[]): string[] => inside.map((piece, i) => `${i === 0 ? LEAD : ''}${piece}${i === inside.length - 1 ? TAIL : ''}`)
    const seen: Record<string, string> = {}
    const wanted: Record<string, string> = {}
    for (const [where, path, table] of conversations)
      for (const [i, policy] of redacting[of].entries()) {
        const { call, verdict } = judge(policy, { endpoint: at(path), type: JSON_TYPE }, JSON.stringify(table(around(pieces))))
        const result = redact(call, verdict)
        const { placeholder } = policy.leaves[0]
        const out = 'outbound' in result ? result.outbound.toString() : `cannot: ${result.cannot}`
        seen[`${where} ${i}`] = out.includes(placeholder) ? out.replaceAll(placeholder, '') : out
        wanted[`${where} ${i}`] = JSON.stringify(table(around(pieces.map(() => ''))))
      }
    assert.deepEqual(seen, wanted)
  })
}

test('what nobody claims to find does no harm: it is judged like any other text', () => {
  for (const text of notClaimed)
    for (const policies of Object.values(blocking)) for (const policy of policies) assert.match(policy.judge(ask(text)).action, /^(?:ALLOW|BLOCK)$/)
})
