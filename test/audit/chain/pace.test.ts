import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { createPace } from '../../../src/audit/chain/pace.ts'

let begun: number[]
let clock: number
let again: boolean
let finish: () => void
beforeEach(() => {
  begun = []
  clock = 0
  again = false
  mock.timers.reset()
  mock.timers.enable({ apis: ['setTimeout'] })
})

const pass = async (ms: number): Promise<void> => {
  for (let i = 0; i < ms; i += 1_000) {
    clock += 1_000
    mock.timers.tick(1_000)
    await new Promise(setImmediate)
  }
}
const quick = async () => {
  begun.push(clock)
  return again
}

test('nothing is done while nobody asks', async () => {
  createPace({ work: quick, everyMs: 10_000, now: () => clock })
  await pass(60_000)
  assert.deepEqual(begun, [])
})

test('who asks first is served soon, and however many ask, an interval lies between two', async () => {
  const pace = createPace({ work: quick, everyMs: 10_000, now: () => clock })
  for (let i = 0; i < 25; i++) {
    pace.nudge()
    pace.nudge()
    await pass(1_000)
  }
  await pass(60_000)
  assert.deepEqual(begun, [1_000, 11_000, 21_000, 31_000])
})

test('work that wants to be done again is, at the same pace, until it does not', async () => {
  const pace = createPace({ work: quick, everyMs: 10_000, now: () => clock })
  again = true
  pace.nudge()
  await pass(25_000)
  again = false
  await pass(60_000)
  assert.deepEqual(begun, [1_000, 11_000, 21_000, 31_000])
})

test('who asks while the work is done gets it once more, and two are never done at once', async () => {
  const slow = (): Promise<boolean> => {
    begun.push(clock)
    return new Promise((resolve) => {
      finish = () => resolve(false)
    })
  }
  const pace = createPace({ work: slow, everyMs: 10_000, now: () => clock })
  pace.nudge()
  await pass(1_000)
  pace.nudge()
  await pass(30_000)
  assert.deepEqual(begun, [1_000])
  finish()
  await new Promise(setImmediate)
  await pass(1_000)
  assert.deepEqual(begun, [1_000, 32_000])
})

test('a clock that was set back makes nobody wait longer than an interval', async () => {
  const pace = createPace({ work: quick, everyMs: 10_000, now: () => clock })
  pace.nudge()
  await pass(1_000)
  clock -= 3_600_000
  pace.nudge()
  await pass(10_000)
  assert.equal(begun.length, 2)
})

test('after it was stopped nothing is begun, and what is under way is waited for', async () => {
  let isDone = false
  const slow = async (): Promise<boolean> => {
    await new Promise<void>((resolve) => {
      finish = resolve
    })
    isDone = true
    return true
  }
  const pace = createPace({ work: slow, everyMs: 10_000, now: () => clock })
  pace.nudge()
  await pass(1_000)
  const stopped = pace.stop()
  finish()
  await stopped
  assert.ok(isDone)
  pace.nudge()
  await pass(60_000)
  assert.deepEqual(begun, [])
})
