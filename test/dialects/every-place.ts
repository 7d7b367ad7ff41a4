/** The guarantees every dialect gives about every string place of every body, as tests over tables. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { plain, type Read, readCall, readReply, spellings } from './places.ts'

const MARKER = 'mårker "q" \\ 😀 7f3a'

export function everyPlace(dialect: Dialect, bodies: Readonly<Record<string, object>>, replies: Readonly<Record<string, object>>): void {
  const all = [
    ...Object.entries(bodies).map(([name, table]) => ({ name: `call: ${name}`, table, readIt: (text: string) => readCall(dialect, text) })),
    ...Object.entries(replies).map(([name, table]) => ({ name: `reply: ${name}`, table, readIt: (text: string) => readReply(dialect, text) })),
  ] as { name: string; table: object; readIt: (text: string) => Read }[]

  for (const { name, table, readIt } of all) {
    test(`${dialect.name}, ${name}: every string is found once, with its role, however the body is written`, () => {
      const { body, places } = plain(table)
      for (const [spelling, write] of Object.entries(spellings)) {
        const { found, opaqueBytes } = readIt(write(body))
        const expected = places.filter(({ role }) => role !== 'opaque').map(({ role, text }) => `${role}: ${text}`)
        assert.deepEqual(found.map(({ role, text }) => `${role}: ${text}`).sort(), expected.sort(), spelling)
        if (spelling === 'tight')
          assert.equal(
            opaqueBytes,
            places.reduce((sum, { role, text }) => sum + (role === 'opaque' ? text.length : 0), 0),
          )
      }
    })

    test(`${dialect.name}, ${name}: a marker in any text place is found there and nowhere else`, () => {
      for (const [index, { free }] of plain(table).places.entries()) {
        if (!free) continue
        const { body, places } = plain(table)
        const { holder, key, role, text } = places[index]
        holder[key] = MARKER
        const hits = readIt(JSON.stringify(body)).found.filter((one) => one.text === MARKER)
        assert.equal(hits.length, 1, `${key}: ${text}`)
        if (role === 'opaque') assert.notEqual(hits[0].role, 'opaque', `${key}: what is not base64 is text`)
        else assert.equal(hits[0].role, role, `${key}: ${text}`)
      }
    })

    test(`${dialect.name}, ${name}: an unknown member of any object is found, its name as protocol and its text`, () => {
      for (const index of plain(table).objects.keys()) {
        const { body, objects } = plain(table)
        objects[index][MARKER] = { x_deeper: [`${MARKER} inside`] }
        const { found } = readIt(JSON.stringify(body))
        assert.equal(found.filter(({ role, text }) => text === MARKER && role === 'protocol').length, 1)
        const inside = found.filter(({ text }) => text === `${MARKER} inside`)
        assert.equal(inside.length, 1)
        assert.notEqual(inside[0].role, 'opaque')
      }
    })
  }
}
