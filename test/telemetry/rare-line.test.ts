import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRareLine } from '../../src/telemetry/rare-line.ts'

test('the first is told at once, the others together a minute later, and then it begins anew', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const told: [object, number][] = []
  const line = createRareLine((fields, times) => told.push([fields, times]))
  for (let i = 1; i <= 1_000; i++) line({ i })
  assert.deepEqual(told, [[{ i: 1 }, 1]])
  t.mock.timers.tick(60_000)
  assert.deepEqual(told.slice(1), [[{}, 999]])
  t.mock.timers.tick(60_000)
  line({ i: 1_001 })
  assert.deepEqual(told.slice(2), [[{ i: 1_001 }, 1]])
  t.mock.timers.tick(60_000)
  assert.equal(told.length, 3, 'nothing is told of nothing')
})
