/** The guarantees every dialect gives about every string place of every body, as tests over tables. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Role } from '../../src/call.ts'
import { createCallReader } from '../../src/dialects/bodies/read-call.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import type { Endpoint } from '../../src/dialects/endpoint.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { placesIn } from '../../src/rules/places.ts'
import type { TargetName } from '../../src/rules/rule.ts'
import { rule, subjectOf } from '../rules/subject.ts'
import { plain, type Read, readCall, readReply, spellings } from './places.ts'

const isUnread = (role: Role): boolean => role === 'opaque' || role === 'sealed'
const MARKER = 'mårker "q" \\ 😀 7f3a'
/** The targets that mean the texts of one role. */
const targets: Partial<Record<Role, TargetName>> = {
  system: 'system',
  user: 'user',
  tool_arguments: 'tool_arguments',
  tool_result: 'tool_results',
  tool_name: 'tool_names',
}
const markerPolicy = compile(
  1,
  (['prompt', ...Object.values(targets)] as const).map((target) => rule({ operator: 'contains', value: MARKER, target }, 'WARN', { id: target })),
)

/** `path` is where the bodies are sent, if not to the first of the dialect's paths. */
export function everyPlace(
  dialect: Dialect,
  bodies: Readonly<Record<string, object>>,
  replies: Readonly<Record<string, object>>,
  path = dialect.paths[0],
): void {
  const all = [
    ...Object.entries(bodies).map(([name, table]) => ({ name: `call: ${name}`, table, readIt: (text: string) => readCall(dialect, text, path) })),
    ...Object.entries(replies).map(([name, table]) => ({ name: `reply: ${name}`, table, readIt: (text: string) => readReply(dialect, text) })),
  ] as { name: string; table: object; readIt: (text: string) => Read }[]

  for (const { name, table, readIt } of all) {
    test(`${dialect.name}, ${name}: every string is found once, with its role, however the body is written`, () => {
      const { body, places } = plain(table)
      for (const [spelling, write] of Object.entries(spellings)) {
        const { found, opaqueBytes, sealedBytes } = readIt(write(body))
        const expected = places.filter(({ role }) => !isUnread(role)).map(({ role, text }) => `${role}: ${text}`)
        assert.deepEqual(found.map(({ role, text }) => `${role}: ${text}`).sort(), expected.sort(), spelling)
        const bytesOf = (one: Role) => places.reduce((sum, { role, text }) => sum + (role === one ? text.length : 0), 0)
        if (spelling === 'tight') assert.deepEqual([opaqueBytes, sealedBytes], [bytesOf('opaque'), bytesOf('sealed')])
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
        if (isUnread(role)) assert.ok(!isUnread(hits[0].role), `${key}: what is not base64 is text`)
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
        assert.ok(!isUnread(inside[0].role))
      }
    })
  }

  for (const [name, table] of Object.entries(bodies))
    test(`${dialect.name}, call: ${name}: a rule finds a marker in any text place, by its role and without, and says where it stands`, () => {
      const endpoint: Endpoint = { kind: 'call', dialect, path, model: null, upstream: null }
      const readBytes = createCallReader()
      for (const [index, { free }] of plain(table).places.entries()) {
        if (!free) continue
        const { body, places } = plain(table)
        const { holder, key, role } = places[index]
        holder[key] = MARKER
        const read = readBytes(Buffer.from(JSON.stringify(body)), 'application/json', endpoint)
        assert.ok(!(read instanceof Refusal), key)
        const call = { ...read.call, metadata: {} }
        const { findings } = markerPolicy.judge(subjectOf(call))
        const found = findings.map((finding) => finding.rule.id)
        const target = targets[role]
        assert.ok(found.includes('prompt'), key)
        if (!isUnread(role)) assert.deepEqual(found.sort(), target === undefined ? ['prompt'] : ['prompt', target].sort(), key)
        assert.equal(placesIn(call)(findings[0].spans, 2).length, 1, key)
      }
    })
}
