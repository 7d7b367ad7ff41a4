import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Child } from '../../src/workers/crew.ts'
import { createWatch } from '../../src/workers/watch.ts'

const quiet = (pid: number): Child & { killed: number } => {
  const child = { pid, killed: 0, tell() {}, kill: () => void child.killed++, onMessage() {}, onEnd() {} }
  return child
}

function crewOf(serving: Child[]) {
  const planned: (() => void)[] = []
  const asked: number[] = []
  const watch = createWatch({
    serving: () => serving,
    ask: ({ pid }) => void asked.push(pid),
    later: (ms, work) => {
      assert.equal(ms, 10_000)
      planned.push(work)
    },
    hangs: () => {},
  })
  return { watch, asked, planned, tenSeconds: () => planned.shift()?.() }
}

test('a worker that answers nothing for a minute is ended; any word of it counts, and those that answer are left alone', () => {
  const [hanging, living] = [quiet(1), quiet(2)]
  const { watch, asked, tenSeconds } = crewOf([hanging, living])
  watch.heard(hanging)
  watch.heard(living)
  for (let i = 0; i < 3; i++, watch.heard(living)) tenSeconds()
  watch.heard(hanging)
  for (let i = 0; i < 6; i++, watch.heard(living)) tenSeconds()
  assert.deepEqual([hanging.killed, asked.filter((pid) => pid === 1).length], [0, 9])
  tenSeconds()
  assert.deepEqual([hanging.killed, living.killed], [1, 0])
})

test('it asks while there are workers, in one line of questions', () => {
  const serving = [quiet(1)]
  const { watch, asked, planned, tenSeconds } = crewOf(serving)
  assert.equal(planned.length, 0)
  for (let i = 0; i < 3; i++) watch.heard(serving[0]!)
  assert.equal(planned.length, 1)
  tenSeconds()
  serving.pop()
  tenSeconds()
  assert.deepEqual([asked.length, planned.length], [1, 0])
  const next = quiet(2)
  serving.push(next)
  watch.heard(next)
  assert.equal(planned.length, 1)
})
