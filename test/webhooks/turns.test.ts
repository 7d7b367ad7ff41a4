import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTurns, type InHand } from '../../src/webhooks/turns.ts'

let made = 0
const some = (count: number, webhookId: string, tenantId: string | null): InHand[] =>
  Array.from({ length: count }, () => ({ id: `dlv_${made++}`, webhookId, tenantId }))
const begin = (turns: ReturnType<typeof createTurns>): InHand[] => {
  const begun: InHand[] = []
  for (let one = turns.next(); one; one = turns.next()) begun.push(one)
  return begun
}
const of = (ones: readonly InHand[], tenantId: string | null) => ones.filter((one) => one.tenantId === tenantId).length

test('four attempts of an endpoint are under way at most, in the order in which they came', () => {
  const turns = createTurns()
  const ones = some(6, 'w', 't')
  turns.add(ones)
  assert.deepEqual(begin(turns), ones.slice(0, 4))
  turns.ended(ones[1]!)
  assert.deepEqual(begin(turns), [ones[4]])
})

test('a tenant with a hundred endpoints leaves room for another, and gives way to it as its attempts end', () => {
  const turns = createTurns()
  for (let i = 0; i < 100; i++) turns.add(some(1, `bad${i}`, 'bad'))
  const bad = begin(turns)
  assert.equal(bad.length, 48)
  turns.add(some(4, 'good', 'good'))
  assert.equal(of(begin(turns), 'good'), 4, 'all of them at once')
  const late = some(4, 'good', 'good')
  turns.add(late)
  for (const one of bad.slice(0, 32)) turns.ended(one)
  assert.equal(begin(turns).length, 0, 'it still has its share, and the good endpoint has all it may')
  turns.ended(bad[32]!)
  assert.deepEqual(
    begin(turns).map(({ tenantId }) => tenantId),
    ['bad'],
  )
})

test('tenants have turns alike, and a tenant’s endpoints too', () => {
  const turns = createTurns()
  for (const tenant of ['a', 'b', null]) for (const endpoint of [1, 2]) turns.add(some(9, `${tenant}${endpoint}`, tenant))
  const begun = begin(turns)
  assert.deepEqual(
    begun.slice(0, 6).map(({ webhookId }) => webhookId),
    ['a1', 'b1', 'null1', 'a2', 'b2', 'null2'],
  )
  assert.equal(begun.length, 24)
})

test('a process has 64 attempts under way at most', () => {
  const turns = createTurns()
  for (let i = 0; i < 100; i++) turns.add(some(3, `w${i}`, `t${i}`))
  assert.equal(begin(turns).length, 64)
})

test('what is taken in hand is bounded by endpoint, tenant and process, and those who have least get next', () => {
  const turns = createTurns()
  const due = (tenantId: string, endpoints: number) => Array.from({ length: endpoints }, (_, i) => ({ webhookId: `${tenantId}${i}`, tenantId }))
  const total = (wanted: { wanted: number }[]) => wanted.reduce((sum, { wanted }) => sum + wanted, 0)
  assert.deepEqual(turns.wanted(due('t', 1)), [{ webhookId: 't0', wanted: 16 }])
  assert.equal(total(turns.wanted(due('t', 100))), 64)
  const everybody = Array.from({ length: 10 }, (_, i) => due(`t${i}-`, 10)).flat()
  assert.equal(total(turns.wanted(everybody)), 256)
  for (const { webhookId, wanted } of turns.wanted(due('t', 100))) turns.add(some(wanted, webhookId, 't'))
  assert.deepEqual(turns.wanted(due('t', 100)), [])
  assert.deepEqual(turns.wanted([...due('t', 3), ...due('u', 1)]), [{ webhookId: 'u0', wanted: 16 }])
})

test('what was put back or is over is counted no longer', () => {
  const turns = createTurns()
  const ones = some(4, 'w', 't')
  turns.add(ones)
  assert.deepEqual(turns.waiting(), ['w'])
  for (const one of begin(turns).reverse()) turns.putBack(one)
  assert.deepEqual(begin(turns), ones)
  for (const one of ones) {
    turns.ended(one)
    turns.released(one)
  }
  assert.equal(turns.held, 0)
  assert.deepEqual(turns.wanted([{ webhookId: 'w', tenantId: 't' }]), [{ webhookId: 'w', wanted: 16 }])
  turns.add(some(2, 'w', 't'))
  assert.equal(turns.takeWaiting().length, 2)
  assert.deepEqual(begin(turns), [])
})
