import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { z } from 'zod'
import { escalationRoutes } from '../../src/admin/escalations.ts'
import type { ModelCall } from '../../src/call.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { heldContent } from '../../src/pipeline/held-content.ts'
import { withSurroundings } from '../../src/pipeline/surroundings.ts'
import { compile } from '../../src/rules/compile.ts'
import { callOf, chat, rule, subjectOf } from '../rules/subject.ts'

const incomingOf = (url = '/v1/chat/completions', headers: Record<string, string> = {}) =>
  ({
    method: 'POST',
    url,
    headers,
    headersDistinct: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    rawHeaders: Object.entries(headers).flat(),
  }) as unknown as IncomingMessage
const escalating = (value: string, name = `about ${value}`) => rule({ operator: 'contains', value }, 'ESCALATE', { id: `rule_${value}`, name })

/** What the document of the API says of it. */
const { answer } = escalationRoutes({} as never).find(({ path }) => path.endsWith('/content')) ?? assert.fail()
const promised = (answer as unknown as z.ZodObject<{ content: z.ZodObject }>).shape.content

function told(call: ModelCall, rules = [escalating('heron')], incoming = incomingOf()) {
  const endpoint = { kind: 'call' as const, dialect: openaiChat, path: '/v1/chat/completions', model: null, upstream: null }
  const whole = withSurroundings(call, incoming, endpoint)
  const verdict = compile(1, rules).judge(subjectOf(whole))
  const content = JSON.parse(heldContent(incoming, whole, verdict))
  assert.deepEqual(promised.parse(content), content)
  return content
}

test('an arbiter sees where a call goes, its texts in order, and where in them something was found, as a page counts characters', () => {
  const text = 'Dear \u{1F426}\u{1F426}, the héron and the HERON'
  const call = chat(['system', 'Be kind.'], ['user', text])
  const shown = told(call)
  assert.deepEqual([shown.method, shown.path, shown.content_type], ['POST', '/v1/chat/completions', 'application/json'])
  assert.deepEqual(
    shown.texts.map(({ role, where }: { role: string; where: string }) => [role, where]),
    [
      ['system', 'messages[0].content'],
      ['user', 'messages[1].content'],
    ],
  )
  const [{ spans: none }, { text: said, spans }] = shown.texts
  assert.deepEqual(none, [])
  assert.equal(said, text)
  assert.ok(spans.length > 0)
  for (const { start, end, ...found } of spans) {
    assert.match(said.slice(start, end), /^h[ée]ron$/i)
    assert.deepEqual(found, { rule_id: 'rule_heron', rule_name: 'about heron', action: 'ESCALATE' })
  }
  assert.deepEqual([shown.models, shown.sent_as_is], [['gpt-4o'], true])
  assert.deepEqual([shown.body, shown.body_encoding, shown.texts_left_out], [call.body.toString(), 'utf-8', 0])
})

test('what goes along in the query and in headers is shown, and what the caller says of the call; never a credential', () => {
  const incoming = incomingOf('/v1/chat/completions?about=heron&key=secret', {
    'x-note': 'a heron',
    'user-agent': 'x',
    baggage: 'note=words',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    authorization: 'Bearer secret',
    'x-gone': 'secret',
    connection: 'x-gone',
    'x-earthflow-user': 'ann',
    'x-earthflow-metadata': '{"purpose":"export"}',
    'x-earthflow-conversation': 'c1',
  })
  const shown = told({ ...chat(['user', 'Hello']), metadata: { team: 'birds' } }, undefined, incoming)
  assert.deepEqual([shown.path, shown.query], ['/v1/chat/completions', '?about=heron'])
  assert.deepEqual(shown.headers, [
    { name: 'baggage', value: 'note=words' },
    { name: 'user-agent', value: 'x' },
    { name: 'x-note', value: 'a heron' },
  ])
  assert.deepEqual([shown.user, shown.metadata], ['ann', { team: 'birds', purpose: 'export', conversation: 'c1', user: 'ann' }])
  const about = shown.texts.filter(({ where }: { where: string }) => where === 'query' || where === 'header')
  assert.deepEqual(
    about.slice(0, 2).map(({ text, spans }: { text: string; spans: unknown[] }) => [text, spans.length]),
    [
      ['about=heron', 1],
      ['x-note: a heron', 1],
    ],
  )
})

test('every rule in force that holds is told with its action, also one that asks only who and where; those for which the call is held come first', () => {
  const rules = [
    rule({ operator: 'contains', value: 'heron' }, 'REDACT', { id: 'cut', name: 'cut it', priority: 99 }),
    escalating('pond'),
    rule({ target: 'endpoint', operator: 'equals', value: '/v1/chat/completions' }, 'ESCALATE', { id: 'place', name: 'that place' }),
    rule({ operator: 'contains', value: 'heron' }, 'BLOCK', { id: 'shadow', mode: 'shadow' }),
  ]
  const shown = told(chat(['user', 'heron, heron, pond']), rules)
  assert.deepEqual(
    shown.rules.map(({ id, name, action, count }: Record<string, unknown>) => [id, name, action, count]),
    [
      ['place', 'that place', 'ESCALATE', 0],
      ['rule_pond', 'about pond', 'ESCALATE', 1],
      ['cut', 'cut it', 'REDACT', 2],
    ],
  )
  assert.deepEqual(
    shown.texts[0].spans.map(({ action }: { action: string }) => action),
    ['ESCALATE', 'REDACT', 'REDACT'],
  )
})

test('of one text and of all only so much of what was found is shown, what is left out is counted, and other rules take no room from the one that asks', () => {
  const cutting = rule({ operator: 'contains', value: 'duck' }, 'REDACT', { id: 'cut', name: 'cut it', priority: 99 })
  const messages = Array.from({ length: 30 }, (): [string, string] => ['user', `${'duck '.repeat(100)}heron`])
  const shown = told(chat(['user', 'duck '.repeat(15_000)], ...messages), [cutting, escalating('heron')])
  const [first, ...others] = shown.texts
  assert.deepEqual([first.spans.length, first.spans_left_out], [100, 14_900])
  const spans: { action: string }[] = shown.texts.flatMap((text: { spans: { action: string }[] }) => text.spans)
  assert.equal(spans.length, 2_000)
  assert.equal(spans.filter(({ action }) => action === 'ESCALATE').length, 30)
  for (const other of others) assert.equal(other.spans.length + other.spans_left_out, 101)
  assert.deepEqual(
    shown.rules.map(({ count }: { count: number }) => count),
    [30, 18_000],
  )
})

test('a body full of findings is shown in a time that its length explains', () => {
  const cutting = rule({ operator: 'contains', value: 'duck' }, 'REDACT')
  const shown = told(chat(['user', `heron ${'duck '.repeat(300_000)}`]), [cutting, escalating('heron')])
  assert.equal(shown.rules[1].count, 300_000)
})

test('what stands beside the body is shown however many texts there are', () => {
  const incoming = incomingOf('/v1/chat/completions?a=1', { 'x-note': 'words' })
  const shown = told(chat(...Array.from({ length: 1_000 }, (): [string, string] => ['user', 'heron'])), undefined, incoming)
  const texts = shown.texts.filter(({ where }: { where: string }) => where === 'query' || where === 'header').map(({ text }: { text: string }) => text)
  assert.deepEqual(texts, ['a=1', 'x-note: words'])
  assert.equal(shown.texts.length + shown.texts_left_out, 1_002)
})

test('where there are more texts than are shown, those in which something was found are among them, in their order', () => {
  const shown = told(chat(...Array.from({ length: 1_000 }, (_, i): [string, string] => ['user', i % 500 === 499 ? `heron ${i}` : `duck ${i}`])))
  assert.equal(shown.texts.length + shown.texts_left_out, 1_000)
  assert.ok(shown.texts.length < 1_000)
  const found = shown.texts.filter(({ spans }: { spans: unknown[] }) => spans.length > 0).map(({ text }: { text: string }) => text)
  assert.deepEqual(found, ['heron 499', 'heron 999'])
  assert.equal(shown.texts.at(-1).text, 'heron 999')
})

test('media are counted, and are there in the body; a body that is no text comes as base64', () => {
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'iVBORw0KGgo'.padEnd(400, 'A')}` } }
  const shown = told(callOf(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: [{ type: 'text', text: 'a heron' }, image] }] })))
  assert.ok(shown.opaque_bytes >= 400)
  assert.ok(!shown.texts.some(({ text }: { text: string }) => text.includes('iVBOR')))
  const call = chat(['user', 'a heron'])
  const binary = { ...call, format: 'binary' as const, body: Buffer.from([0xff, 0x00]) }
  const other = JSON.parse(heldContent(incomingOf(), { ...binary, slots: [] }, compile(1, []).judge(subjectOf(call))))
  assert.deepEqual([other.body, other.body_encoding], ['/wA=', 'base64'])
})
