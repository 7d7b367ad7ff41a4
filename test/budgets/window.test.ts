import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Budget } from '../../src/budgets/budget.ts'
import { chargesOf } from '../../src/budgets/charges.ts'
import { type Window, windowAt } from '../../src/budgets/window.ts'

test('windows are those of the calendar in UTC, with ISO weeks, and each begins where the one before it ends', () => {
  for (const [window, at, startsAt, resetsAt] of [
    ['hour', '2026-12-31T23:59:59.999Z', '2026-12-31T23:00:00.000Z', '2027-01-01T00:00:00.000Z'],
    ['hour', '2027-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z', '2027-01-01T01:00:00.000Z'],
    ['day', '2028-02-29T12:00:00.000Z', '2028-02-29T00:00:00.000Z', '2028-03-01T00:00:00.000Z'],
    ['day', '2026-03-29T23:30:00.000+02:00', '2026-03-29T00:00:00.000Z', '2026-03-30T00:00:00.000Z'],
    // 2027 begins on a Friday: its first days belong to the last week of 2026.
    ['week', '2027-01-01T00:00:00.000Z', '2026-12-28T00:00:00.000Z', '2027-01-04T00:00:00.000Z'],
    ['week', '2027-01-03T23:59:59.999Z', '2026-12-28T00:00:00.000Z', '2027-01-04T00:00:00.000Z'],
    ['week', '2027-01-04T00:00:00.000Z', '2027-01-04T00:00:00.000Z', '2027-01-11T00:00:00.000Z'],
    ['month', '2026-01-31T23:59:59.999Z', '2026-01-01T00:00:00.000Z', '2026-02-01T00:00:00.000Z'],
    ['month', '2028-02-29T23:59:59.999Z', '2028-02-01T00:00:00.000Z', '2028-03-01T00:00:00.000Z'],
    ['month', '2026-12-31T23:59:59.999Z', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
  ] as [Window, string, string, string][]) {
    const found = windowAt(window, Date.parse(at))
    assert.deepEqual([found.startsAt.toISOString(), found.resetsAt.toISOString()], [startsAt, resetsAt], `${window} of ${at}`)
  }
})

test('a call is charged to every budget in the window in which it arrived; what has no price is charged to none in money', () => {
  const budget = (id: string, unit: Budget['unit'], window: Window): Budget => ({
    id,
    tenantId: 't',
    scope: 'tenant',
    scopeId: 't',
    amount: 1,
    unit,
    window,
    mode: 'soft',
  })
  const budgets = [budget('a', 'usd', 'day'), budget('b', 'tokens', 'month')]
  const arrivedAt = Date.parse('2026-11-20T23:59:59.999Z')
  assert.deepEqual(chargesOf(budgets, { nano: 1_500, tokens: 30 }, arrivedAt), [
    { budget_id: 'a', window: '2026-11-20T00:00:00.000Z', amount: 1_500 },
    { budget_id: 'b', window: '2026-11-01T00:00:00.000Z', amount: 30 },
  ])
  assert.deepEqual(chargesOf(budgets, { nano: null, tokens: 30 }, arrivedAt), [{ budget_id: 'b', window: '2026-11-01T00:00:00.000Z', amount: 30 }])
  assert.deepEqual(chargesOf(budgets, { nano: 0, tokens: 0 }, arrivedAt), [])
  const [, absurd] = chargesOf(budgets, { nano: 1, tokens: Number.MAX_SAFE_INTEGER }, arrivedAt)
  assert.ok(absurd.amount <= 10 ** 12, 'a count that is none does not fill the database')
})
