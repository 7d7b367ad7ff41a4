import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openaiNative } from '../../src/dialects/index.ts'
import { CARD, card, run } from '../rules/screened.ts'
import { rule } from '../rules/subject.ts'
import { everyPlace } from './every-place.ts'
import { lengthened, opaque, other, readCall, readEvent, readReply } from './places.ts'

const file = {
  name: other('a file'),
  x_nested: { x_deep: [[other('deep'), { text: other('deeper') }]], data: opaque('data:image/png;base64,iVBORw0KGgo=') },
  x_list: [other('one'), other('two'), 3, null, true],
}

everyPlace(openaiNative, { 'any JSON': file }, { 'any JSON': file })

test('base64 that does not say what it is stays text, however long, and so does base64 of a text', () => {
  const long = Buffer.from('a secret that somebody wrote, and somebody else will read. '.repeat(40)).toString('base64')
  for (const text of [long, lengthened('QUJD'), `data:text/plain;base64,${long}`, `data:application/json;base64,${long}`, `data:,${long}`]) {
    for (const { found, opaqueBytes } of [
      readCall(openaiNative, JSON.stringify({ data: text }), '/v1/x'),
      readReply(openaiNative, JSON.stringify({ data: text })),
    ]) {
      assert.deepEqual([found, opaqueBytes], [[{ role: 'other', text }], 0])
    }
  }
})

test('the model and whether the reply is streamed are read where they stand; anything else under these names is data', () => {
  const head = (body: object, pathModel: string | null = null) => {
    const { models, streaming } = readCall(openaiNative, JSON.stringify(body), '/v1/x', pathModel)
    return [models, streaming]
  }
  assert.deepEqual(head({ model: 'm', stream: true }), [['m'], true])
  assert.deepEqual(head({ model: 'm' }, 'p'), [['p', 'm'], false])
  assert.deepEqual(head({ model: 'm' }, 'm'), [['m'], false])
  assert.deepEqual(head({ model: { name: 'm' }, stream: 'yes' }), [[], false])
  assert.deepEqual(head({ model: '' }), [[], false])
  assert.deepEqual(head({ model: 'models/m', session: { model: 'n' }, bidiGenerateContentSetup: { setup: { model: 'models/o' } } }), [['m', 'n', 'o'], false])
  assert.deepEqual(head({ metadata: { model: 'Focus' }, session: 'x' }), [[], false])
  assert.deepEqual(head([{ model: 'm' }] as object), [[], false])
})

test('the strings of a stream’s events at one path are one text, those at different paths are not', () => {
  const channels = (event: object): Record<string, number> =>
    Object.fromEntries(readEvent(openaiNative, event).pieces.map(([channel, , text]) => [text, channel]))
  const first = channels({ delta: { text: 'a' }, items: ['b', 'c'], x_unknown: { text: 'd' } })
  const second = channels({ other: 1, items: ['e', 'f'], delta: { text: 'g' }, x_unknown: { text: 'h' } })
  assert.deepEqual([first.a, first.b, first.c, first.d], [second.g, second.e, second.f, second.h])
  assert.equal(new Set(Object.values(first)).size, 4)
})

test('what is split over the events of an unknown stream is found', () => {
  const event = (text: string): string => `data: ${JSON.stringify({ id: 7, later: { piece: text } })}\n\n`
  const cut = [rule(card, 'REDACT', { id: 'card' })]
  const { output, counts } = run(openaiNative, [event('pay with 4111 11'), event('11 1111 '), event('1111 now')], cut)
  assert.deepEqual(counts, [['card', 1]])
  const said = [...output.matchAll(/"piece":"([^"]*)"/g)].map(([, text]) => text).join('')
  assert.equal(said, 'pay with [CREDIT_CARD] now')
  assert.ok(!output.includes(CARD.slice(0, 7)))
})
