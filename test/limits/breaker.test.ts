import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createBreaker } from '../../src/limits/breaker.ts'

function breakable(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const state = { now: 0, probes: 0, changes: [] as [boolean, unknown][], answer: async (): Promise<unknown> => 'OK' }
  const breaker = createBreaker({
    now: () => state.now,
    probe() {
      state.probes++
      return state.answer()
    },
    onChange: (isAway, cause) => state.changes.push([isAway, cause]),
  })
  t.after(() => breaker.close())
  const pass = async (ms: number) => {
    state.now += ms
    t.mock.timers.tick(ms)
    await nextTurn()
  }
  const fail = (times: number) => {
    for (let i = 1; i <= times; i++) breaker.failed(`failure ${i}`)
  }
  return { breaker, state, pass, fail }
}

test('three failures within a second mean away, fewer or slower ones do not', async (t) => {
  const { breaker, state, pass, fail } = breakable(t)
  fail(2)
  await pass(1001)
  fail(2)
  assert.equal(breaker.isAway, false)
  await pass(1000)
  breaker.failed('the last straw')
  assert.equal(breaker.isAway, true)
  assert.deepEqual(state.changes, [[true, 'the last straw']])
  fail(10)
  assert.equal(state.changes.length, 1)
})

test('it is asked every half second, and back with the first answer', async (t) => {
  const { breaker, state, pass, fail } = breakable(t)
  state.answer = () => Promise.reject(new Error('away'))
  fail(3)
  for (let i = 0; i < 20; i++) await pass(100)
  assert.deepEqual([state.probes, breaker.isAway], [4, true])
  state.answer = async () => 'OK'
  await pass(499)
  assert.equal(breaker.isAway, true)
  await pass(1)
  assert.deepEqual([state.probes, breaker.isAway, state.changes.length], [5, false, 2])
  await pass(10_000)
  assert.equal(state.probes, 5)
  fail(2)
  assert.equal(breaker.isAway, false, 'old failures are forgotten')
})

test('one probe is under way at a time, and a slow answer is none', async (t) => {
  const { breaker, state, pass, fail } = breakable(t)
  let { promise, resolve } = Promise.withResolvers<void>()
  state.answer = () => promise
  fail(3)
  await pass(500)
  await pass(5000)
  assert.equal(state.probes, 1)
  resolve()
  await nextTurn()
  assert.equal(breaker.isAway, true)
  ;({ promise, resolve } = Promise.withResolvers<void>())
  await pass(500)
  await pass(40)
  resolve()
  await nextTurn()
  assert.equal(breaker.isAway, false)
})

test('closed, it asks no more and says nothing', async (t) => {
  const { breaker, state, pass, fail } = breakable(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  state.answer = () => promise
  fail(3)
  await pass(500)
  breaker.close()
  resolve()
  await pass(5000)
  assert.deepEqual([state.probes, state.changes.length], [1, 1])
})
