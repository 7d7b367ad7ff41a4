import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Reservation } from '../../src/budgets/budgets.ts'
import { createTextMeter } from '../../src/dialects/text-meter.ts'
import { Refusal } from '../../src/errors.ts'
import { BudgetGate } from '../../src/pipeline/budget-gate.ts'
import { chatEvent } from '../harness/provider.ts'

/** A stream that reserved so many tokens, on a budget that holds so many; what it asked for beside them. */
function streamOn({ reserved, holds }: { reserved: number; holds: number }) {
  const asked: number[] = []
  let left = holds - reserved
  const budget = { id: 'b', tenantId: 't', scope: 'tenant', scopeId: 't', amount: holds, unit: 'tokens', window: 'day', mode: 'hard' } as const
  const reservation: Reservation = {
    auditId: 'aud_1',
    release: async () => {},
    async extend(_nano, tokens) {
      asked.push(tokens)
      left -= tokens
      return left >= 0 ? 'granted' : { budget, spent: 0, reserved: holds, resetsAt: new Date(0) }
    },
  }
  const text = createTextMeter()
  const gate = new BudgetGate({ head() {}, data: () => true, end() {}, error() {} }, text, { reservation, tokens: reserved, nanoOf: () => null })
  const say = (tokens: number): void => {
    const chunk = Buffer.from(chatEvent('abcd'.repeat(tokens)))
    text.add(chunk)
    gate.data(chunk)
  }
  return { asked, say, answered: () => new Promise(setImmediate) }
}

test('a stream faster than the database reserves all that has flowed, and is stopped at the next piece when the budget does not hold that', async () => {
  const stream = streamOn({ reserved: 100, holds: 50_000 })
  for (let i = 0; i < 10; i++) stream.say(1_000)
  await stream.answered()
  stream.say(1_000)
  await stream.answered()
  const reserved = 100 + stream.asked.reduce((sum, tokens) => sum + tokens, 0)
  assert.ok(reserved >= 11_000, `11,000 tokens have flowed, and ${reserved} are reserved`)
  stream.say(50_000)
  await stream.answered()
  assert.throws(
    () => stream.say(1),
    (error) => error instanceof Refusal && error.reason === 'budget_exceeded',
  )
})

test('a stream that stays within what it was expected to take asks for nothing more', async () => {
  const stream = streamOn({ reserved: 100, holds: 100 })
  for (let i = 0; i < 5; i++) stream.say(10)
  await stream.answered()
  assert.deepEqual(stream.asked, [])
})
