import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Reservation } from '../../src/budgets/budgets.ts'
import { createTextMeter } from '../../src/dialects/text-meter.ts'
import { Refusal } from '../../src/errors.ts'
import { BudgetGate } from '../../src/pipeline/budget-gate.ts'
import { chatEvent } from '../harness/provider.ts'

/** A stream that reserved so many tokens, on a budget that holds so many, whose database answers when it is told to. */
function streamOn({ reserved, holds }: { reserved: number; holds: number }) {
  const asked: number[] = []
  const relayed: string[] = []
  const left = new AbortController()
  let remaining = holds - reserved
  let answer = (): void => {}
  const budget = { id: 'b', tenantId: 't', scope: 'tenant', scopeId: 't', amount: holds, unit: 'tokens', window: 'day', mode: 'hard' } as const
  const reservation: Reservation = {
    auditId: 'aud_1',
    release: async () => {},
    extend(_nano, tokens) {
      asked.push(tokens)
      const { promise, resolve } = Promise.withResolvers<Awaited<ReturnType<Reservation['extend']>>>()
      answer = () => {
        remaining -= tokens
        resolve(remaining >= 0 ? 'granted' : { budget, spent: 0, reserved: holds, resetsAt: new Date(0) })
      }
      return promise
    },
  }
  const text = createTextMeter()
  const inner = { head() {}, data: (chunk: Buffer) => relayed.push(chunk.toString()) > 0, end: () => void relayed.push('end'), error() {} }
  const gate = new BudgetGate(inner, text, { reservation, tokens: reserved, nanoOf: () => null }, left.signal)
  return {
    asked,
    relayed: (): string[] => relayed,
    gate,
    leave: () => left.abort(),
    /** Whether the source may go on at once. */
    say(tokens: number): boolean {
      const chunk = Buffer.from(chatEvent('abcd'.repeat(tokens)))
      text.add(chunk)
      return gate.data(chunk)
    },
    async answered() {
      answer()
      await new Promise(setImmediate)
    },
  }
}
const isUsedUp = (error: unknown): boolean => error instanceof Refusal && error.reason === 'budget_exceeded'

test('a stream faster than the database waits for its answer: nothing goes out that is not reserved, and nothing is lost', async () => {
  const stream = streamOn({ reserved: 100, holds: 50_000 })
  for (let i = 1; i <= 10; i++) {
    assert.equal(stream.say(1_000), false)
    assert.equal(stream.relayed().length, i - 1)
    const wait = stream.gate.settled()
    await stream.answered()
    await wait
    assert.equal(stream.relayed().length, i)
    assert.equal(stream.gate.settled(), undefined)
    const reserved = 100 + stream.asked.reduce((sum, tokens) => sum + tokens, 0)
    assert.ok(reserved >= i * 1_000, `${i},000 tokens have flowed, and ${reserved} are reserved`)
  }
  assert.equal(stream.say(50_000), false)
  const wait = assert.rejects(stream.gate.settled() ?? assert.fail(), isUsedUp)
  await stream.answered()
  await wait
  assert.equal(stream.relayed().length, 10)
})

test('what comes through the pause, because the provider has closed its connection, is held as well, and so is the end', async () => {
  const stream = streamOn({ reserved: 100, holds: 50_000 })
  stream.say(1_000)
  const wait = stream.gate.settled()
  stream.say(5_000)
  stream.gate.end()
  assert.deepEqual(stream.relayed(), [])
  await stream.answered()
  assert.deepEqual(stream.relayed(), [], 'what came meanwhile is asked for in its turn')
  await stream.answered()
  await wait
  assert.deepEqual(
    stream.relayed().map((piece) => piece.length),
    [...[1_000, 5_000].map((tokens) => chatEvent('abcd'.repeat(tokens)).length), 'end'.length],
  )
})

test('a client that leaves ends the wait, and what was held goes nowhere', async () => {
  const stream = streamOn({ reserved: 100, holds: 50_000 })
  stream.say(1_000)
  const wait = stream.gate.settled()
  stream.leave()
  await wait
  await stream.answered()
  assert.deepEqual([stream.relayed(), stream.asked.length], [[], 1])
})

test('a stream that stays within what it was expected to take asks for nothing more, and one that comes near does not wait', async () => {
  const stream = streamOn({ reserved: 100, holds: 1_000 })
  for (let i = 0; i < 5; i++) assert.equal(stream.say(10), true)
  assert.deepEqual(stream.asked, [])
  for (let i = 0; i < 5; i++) assert.equal(stream.say(10), true)
  assert.deepEqual([stream.asked.length, stream.gate.settled()], [1, undefined])
  await stream.answered()
  for (let i = 0; i < 30; i++) assert.equal(stream.say(10), true)
})
