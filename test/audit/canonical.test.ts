import assert from 'node:assert/strict'
import { test } from 'node:test'
import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { canonical } from '../../src/audit/canonical.ts'
import { contentOf, leafOf, payloadOf } from '../../src/audit/leaf.ts'
import { storable } from '../../src/db/to-json.ts'
import { createRandom, randomExchange } from '../verify/random-entries.ts'

/** As the package has it, of what the database can hold. */
const reference = (value: object): string | undefined => canonicalize(storable(value) as object)

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('9', '10', '__proto__', 'constructor', 'toJSON', 'a\u0000b', '\ud800', '\u0001', '\\u0000'),
)
const plain = fc.letrec<{ value: unknown; members: object }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.array(tie('value'), { maxLength: 5 }),
    tie('members'),
  ),
  members: fc.array(fc.tuple(text, tie('value')), { maxLength: 6 }).map((members) => Object.fromEntries(members)),
}))

test('what is written is the canonical form of what the database holds, whatever the order, names and texts', () => {
  fc.assert(
    fc.property(plain.members, (value) => {
      assert.equal(canonical(value), reference(value))
    }),
    { numRuns: 3_000 },
  )
})

test('a list of objects is in order however deep, and nothing that is given changes', () => {
  const given = { b: [{ z: 1, a: [{ y: 2, b: 3 }] }], a: { '10': 1, '9': 2 } }
  const before = structuredClone(given)
  assert.equal(canonical(given), '{"a":{"10":1,"9":2},"b":[{"a":[{"b":3,"y":2}],"z":1}]}')
  assert.deepEqual(given, before)
})

test('what is nested is put in order once, not once for each way to it', () => {
  let nested: object = { b: 1, a: 2 }
  for (let i = 0; i < 200; i++) nested = i % 2 ? { x: nested } : [nested]
  assert.equal(canonical(nested), reference(nested))
})

test('of names that become the same one in the database the last counts, in a part that is put in order too', () => {
  for (const metadata of [
    { '\ufffd': 'first', '\ud800': 'last' },
    { '\ufffd': 'first', a: 1, '\0': 'last' },
  ])
    assert.equal(payloadOf({ user_id: null, metadata }), reference({ user_id: null, metadata }))
})

test('what is no plain data is written as JSON.stringify sees it, and what is too deep for it still is', () => {
  assert.equal(canonical({ at: new Date(0) }), '{"at":"1970-01-01T00:00:00.000Z"}')
  let deep: object = {}
  for (let i = 0; i < 100_000; i++) deep = { a: deep }
  assert.equal(canonical({ b: 1, a: deep }).length, 14 + 6 * 100_000)
})

test('leaf, content and payload of any entry are canonical, and hold all of it', () => {
  const random = createRandom(1)
  for (let i = 0; i < 300; i++) {
    const entry = {
      ...randomExchange(random, 't_1', 1_750_000_000_000 + i),
      escalation_id: i % 3 === 0 ? 'esc_1' : null,
      approved_by: null,
      held_audit_id: null,
    }
    const { user_id, metadata, cost_usd, escalation_id, approved_by, held_audit_id, ...rest } = entry
    const held = i % 3 === 0 ? { escalation_id, approved_by, held_audit_id } : {}
    const fields = { ...rest, ...held, cost_usd: cost_usd?.includes('.') ? cost_usd.replace(/\.?0+$/, '') : cost_usd }
    const place = { writer_id: 'wr_1', seq: i + 1, tenant_prev: i }
    assert.equal(leafOf(entry, place, 'hash'), reference({ ...fields, ...place, v: 1, payload_hash: 'hash' }))
    assert.equal(contentOf(entry), reference({ ...fields, user_id, metadata }))
    assert.equal(payloadOf(entry), reference({ user_id, metadata }))
  }
})
