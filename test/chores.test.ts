import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { startChores } from '../src/chores.ts'
import type { Database } from '../src/db/connect.ts'

test('what a heartbeat finds late is seen to within ten seconds, and an installation where nothing is late is asked nothing', async () => {
  mock.timers.enable({ apis: ['setInterval'] })
  const done: string[] = []
  const heartbeat = { silent: 0, late: { deliveries: false, escalations: false } }
  const stop = startChores({
    // Whoever asks it something fails.
    database: {} as Database,
    heartbeat,
    sweep: async () => void done.push('sweep'),
    lookForLateDeliveries: () => void done.push('deliveries'),
    expireEscalations: async () => void done.push('escalations'),
    report: (error) => done.push(String(error)),
  })
  mock.timers.tick(20_000)
  assert.deepEqual(done, [])
  heartbeat.late = { deliveries: true, escalations: false }
  mock.timers.tick(9_000)
  assert.deepEqual(done, [])
  mock.timers.tick(1_000)
  assert.deepEqual(done.splice(0), ['deliveries'])
  heartbeat.late = { deliveries: false, escalations: true }
  mock.timers.tick(10_000)
  assert.deepEqual(done.splice(0), ['escalations'])
  stop()
  mock.timers.tick(60_000)
  assert.deepEqual(done, [], 'it is over')
  mock.timers.reset()
})
