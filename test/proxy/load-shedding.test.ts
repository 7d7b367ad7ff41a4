import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { createLoadShedder } from '../../src/proxy/load-shedding.ts'

/** A loop whose turns the test ends; each call that begins computes for `costMs`, and as long again in the turn after. */
function loop(costMs: number) {
  let clock = 0
  let computed = 0
  let share = 0
  let asked: (() => void)[] = []
  const begun: number[] = []
  let unfinished = 0
  const shedder = createLoadShedder({ now: () => clock, computed: () => computed, later: (work) => void asked.push(work), memoryShare: () => share })
  const compute = (ms: number): void => {
    clock += ms
    computed += ms
  }
  return {
    shedder,
    begun,
    /** Others have the machine. */
    pass: (ms: number) => void (clock += ms),
    compute,
    use: (part: number) => void (share = part),
    arrive(id: number) {
      const outgoing = new EventEmitter()
      const shed = shedder.take(outgoing as unknown as ServerResponse, () => {
        begun.push(id)
        unfinished++
        compute(costMs)
      })
      return { shed, leave: () => void outgoing.emit('close'), listeners: () => outgoing.listenerCount('close') }
    },
    /** Answers how many were begun in it and at its end. */
    endTurn(): number {
      const [before, now] = [begun.length, asked]
      compute(unfinished * costMs)
      unfinished = 0
      asked = []
      for (const work of now) work()
      return begun.length - before
    },
    isAsleep: () => asked.length === 0,
  }
}
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

test('a call begins at once while there is room in the turn, and nothing is left to do afterwards', () => {
  const { arrive, begun, endTurn, isAsleep, shedder } = loop(0.01)
  for (const id of range(0, 200)) assert.equal(arrive(id).shed, null)
  assert.deepEqual(begun, range(0, 200))
  endTurn()
  assert.equal(shedder.waiting, 0)
  assert.ok(isAsleep(), 'an idle process has no timer')
})

test('however many arrive, turns get short: fewer begin in each, and none is lost or overtakes another', () => {
  const { arrive, begun, endTurn, shedder } = loop(0.5)
  for (const id of range(0, 2_000)) assert.equal(arrive(id).shed, null)
  assert.equal(begun.length, 256, 'at most so many in one turn')
  const each: number[] = []
  while (shedder.waiting > 0) each.push(endTurn())
  assert.deepEqual(begun, range(0, 2_000))
  const settled = each.slice(20, -1)
  assert.ok(settled.length > 5 && settled.every((calls) => calls >= 16 && calls <= 26), `as many as compute for about 20 ms: ${settled}`)
})

test('a machine that is busy with others is no reason to begin less', () => {
  const { arrive, begun, endTurn, pass } = loop(0.01)
  for (const _ of range(0, 20)) {
    pass(500)
    arrive(0)
    endTurn()
  }
  for (const id of range(0, 256)) arrive(id)
  assert.equal(begun.length, 20 + 256)
})

test('those who wait get on even if other work takes up every turn', () => {
  const { arrive, compute, endTurn, shedder } = loop(1)
  for (const id of range(0, 600)) arrive(id)
  for (const _ of range(0, 40)) {
    compute(500)
    endTurn()
  }
  const before = shedder.waiting
  compute(500)
  assert.equal(endTurn(), Math.min(before, 16))
})

test('once the first has waited for two seconds, whoever comes is turned away, until those who waited have got on', () => {
  const { arrive, endTurn, pass, shedder } = loop(10)
  for (const id of range(0, 3_000)) arrive(id)
  for (const _ of range(0, 12)) endTurn()
  pass(2_000)
  assert.equal(arrive(3_000).shed, 'load')
  assert.equal(shedder.shed.load, 1)
  while (shedder.waiting > 0) endTurn()
  endTurn()
  assert.equal(arrive(3_001).shed, null)
})

test('after one long stall nobody is turned away: those who wait had no turn yet', () => {
  const { arrive, pass, endTurn } = loop(1)
  for (const id of range(0, 300)) arrive(id)
  pass(10_000)
  assert.equal(arrive(300).shed, null)
  endTurn()
  assert.equal(arrive(301).shed, null)
})

test('no more wait than the bound, however short the wait', () => {
  const { arrive, shedder } = loop(1)
  for (const id of range(0, 256 + 4_096)) assert.equal(arrive(id).shed, null)
  assert.equal(shedder.waiting, 4_096)
  assert.equal(arrive(9_999).shed, 'load')
})

test('a client that leaves while it waits is not begun, and leaves nothing behind', () => {
  const { arrive, begun, endTurn, shedder } = loop(1)
  for (const id of range(0, 256)) arrive(id)
  const left = arrive(256)
  const stays = arrive(257)
  left.leave()
  assert.equal(shedder.waiting, 1)
  endTurn()
  assert.deepEqual(begun.slice(256), [257])
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
