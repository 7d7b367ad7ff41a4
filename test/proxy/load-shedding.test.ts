import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { createLoadShedder } from '../../src/proxy/load-shedding.ts'

/** A loop whose turns the test ends; each call that is under way computes for `costMs` in each of `turns` turns, the one included in which it begins. */
function loop(costMs: number, turns = 1) {
  let clock = 0
  let computed = 0
  let share = 0
  let asked: (() => void)[] = []
  const begun: number[] = []
  let underWay: { left: number; end: () => void }[] = []
  const shedder = createLoadShedder({ now: () => clock, computed: () => computed, later: (work) => void asked.push(work), memoryShare: () => share })
  const compute = (ms: number): void => {
    clock += ms
    computed += ms
  }
  return {
    shedder,
    begun,
    underWay: () => underWay.length,
    /** Others have the machine. */
    pass: (ms: number) => void (clock += ms),
    compute,
    use: (part: number) => void (share = part),
    arrive(id = 0) {
      const outgoing = new EventEmitter()
      const shed = shedder.take(outgoing as unknown as ServerResponse, () => {
        begun.push(id)
        return new Promise((end) => void underWay.push({ left: turns, end }))
      })
      return { shed, leave: () => void outgoing.emit('close'), listeners: () => outgoing.listenerCount('close') }
    },
    /** Answers how many were begun at its end. */
    async endTurn(): Promise<number> {
      for (const call of underWay) {
        compute(costMs)
        if (--call.left === 0) call.end()
      }
      underWay = underWay.filter(({ left }) => left > 0)
      await new Promise(setImmediate)
      const [before, now] = [begun.length, asked]
      asked = []
      for (const work of now) work()
      return begun.length - before
    },
    isAsleep: () => asked.length === 0,
  }
}
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const mean = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length

test('a call begins at once while there is room in the turn, and nothing is left to do afterwards', async () => {
  const { arrive, begun, endTurn, isAsleep, shedder } = loop(0.01)
  for (const id of range(0, 30)) assert.equal(arrive(id).shed, null)
  assert.deepEqual(begun, range(0, 30))
  await endTurn()
  await endTurn()
  assert.equal(shedder.waiting, 0)
  assert.ok(isAsleep(), 'an idle process has no timer')
})

test('however many arrive at once, some are begun in each turn, and none is lost or overtakes another', async () => {
  const { arrive, begun, endTurn, shedder } = loop(0.5)
  for (const id of range(0, 1_500)) assert.equal(arrive(id).shed, null)
  assert.equal(begun.length, 32, 'at most so many in one turn')
  for (let turn = 0; shedder.waiting > 0; turn++) assert.ok((await endTurn()) <= 32 && turn < 1_500)
  assert.deepEqual(begun, range(0, 1_500))
})

test('who waits keeps his place, and may leave it, while others come for ever', async () => {
  const { arrive, begun, endTurn, shedder } = loop(0.5)
  const left = new Set<number>()
  for (let id = 0, begunNow = 100; id < 6_000; begunNow = await endTurn()) {
    for (const end = Math.min(6_000, id + begunNow); id < end; id++) assert.equal(arrive(id).shed, null)
    assert.ok(shedder.waiting > 0)
  }
  for (const id of range(6_000, 6_100)) {
    const call = arrive(id)
    if (id % 3 === 0 && !begun.includes(id)) {
      call.leave()
      left.add(id)
      assert.equal(call.listeners(), 0)
    }
  }
  for (let turn = 0; shedder.waiting > 0; turn++) assert.ok((await endTurn()) <= 32 && turn < 7_000)
  assert.deepEqual(
    begun,
    range(0, 6_100).filter((id) => !left.has(id)),
  )
})

test('calls that compute for long after they were begun are so many at once that turns compute for about 12 ms', async () => {
  const { arrive, endTurn, underWay } = loop(0.1, 200)
  const atOnce: number[] = []
  for (const turn of range(0, 4_000)) {
    for (const _ of range(0, 10)) arrive()
    await endTurn()
    if (turn > 2_000) atOnce.push(underWay())
  }
  assert.ok(mean(atOnce) > 60 && mean(atOnce) < 180, `120 compute for 12 ms; there were ${mean(atOnce)}`)
})

test('after a load, and with turns that are short, any number is under way again', async () => {
  const { arrive, compute, endTurn, underWay } = loop(0, 1_000_000)
  for (const _ of range(0, 50)) {
    arrive()
    compute(100)
    await endTurn()
  }
  for (const _ of range(0, 300)) {
    arrive()
    await endTurn()
  }
  for (const _ of range(0, 1_000)) assert.equal(arrive().shed, null)
  for (const _ of range(0, 60)) await endTurn()
  assert.equal(underWay(), 1_350)
})

test('a load of an hour ago turns nobody away', async () => {
  const { arrive, compute, endTurn, isAsleep, pass } = loop(0)
  for (const _ of range(0, 1_000)) {
    for (const _ of range(0, 10)) arrive()
    compute(13)
    await endTurn()
  }
  while (!isAsleep()) await endTurn()
  pass(3_600_000)
  for (const _ of range(0, 1_000)) assert.equal(arrive().shed, null)
})

test('who calls again and again without a pause leaves as much for the others as before', async () => {
  const { arrive, compute, endTurn, underWay } = loop(0.1, 100)
  const atOnce: number[] = []
  for (const turn of range(0, 2_000)) {
    for (const _ of range(0, 300)) if (arrive().shed !== null) compute(0.06)
    await endTurn()
    if (turn > 1_000) atOnce.push(underWay())
  }
  assert.ok(mean(atOnce) > 60, `${mean(atOnce)}`)
})

test('a machine that is busy with others is no reason to begin less', async () => {
  const { arrive, begun, endTurn, pass } = loop(0.01)
  for (const _ of range(0, 20)) {
    pass(500)
    arrive()
    await endTurn()
  }
  for (const _ of range(0, 32)) arrive()
  assert.equal(begun.length, 20 + 32)
})

test('those who wait get on even if other work takes up every turn, and those who were begun never end', async () => {
  const { arrive, begun, compute, endTurn } = loop(0, 1_000_000)
  for (const _ of range(0, 200)) arrive()
  for (const _ of range(0, 40)) {
    compute(500)
    await endTurn()
  }
  const before = begun.length
  for (const _ of range(0, 10)) {
    compute(500)
    await endTurn()
  }
  assert.equal(begun.length, before + 10)
})

test('whoever would have to wait longer than about a second is turned away, until those who wait have got on', async () => {
  const { arrive, compute, endTurn, shedder } = loop(0)
  const waiting: number[] = []
  // Turns are long, so two are begun in each: 154 a second.
  const turn = async (calls: number): Promise<void> => {
    for (const _ of range(0, calls)) arrive()
    compute(13)
    await endTurn()
  }
  for (const at of range(0, 2_000)) {
    await turn(3)
    if (at > 1_500) waiting.push(shedder.waiting)
  }
  assert.ok(shedder.shed.load > 0)
  assert.ok(mean(waiting) > 120 && mean(waiting) < 180, `${mean(waiting)} wait`)
  while (shedder.waiting > 0) await turn(0)
  assert.equal(arrive().shed, null)
})

test('after one long stall nobody is turned away', async () => {
  const { arrive, pass, endTurn } = loop(1)
  for (const _ of range(0, 300)) arrive()
  pass(10_000)
  assert.equal(arrive().shed, null)
  await endTurn()
  assert.equal(arrive().shed, null)
})

test('no more wait than two thousand where nobody knows yet how fast calls are begun', () => {
  const { arrive, shedder } = loop(1)
  for (const _ of range(0, 32 + 2_000)) assert.equal(arrive().shed, null)
  assert.equal(shedder.waiting, 2_000)
  assert.equal(arrive().shed, 'load')
})

test('a client that leaves while it waits is not begun, and leaves nothing behind', async () => {
  const { arrive, begun, endTurn, shedder } = loop(1)
  for (const id of range(0, 32)) arrive(id)
  const left = arrive(32)
  const stays = arrive(33)
  left.leave()
  assert.equal(shedder.waiting, 1)
  await endTurn()
  assert.deepEqual(begun.slice(32), [33])
  assert.equal(stays.listeners(), 0)
})

test('when the memory is nearly used up, calls are turned away until there is some again', () => {
  const { arrive, begun, pass, use, shedder } = loop(0)
  arrive(0)
  use(0.9)
  pass(250)
  assert.equal(arrive(1).shed, 'memory')
  use(0.5)
  assert.equal(arrive(2).shed, 'memory', 'it is asked four times a second')
  pass(250)
  assert.equal(arrive(3).shed, null)
  assert.deepEqual(begun, [0, 3])
  assert.equal(shedder.shed.memory, 2)
})
