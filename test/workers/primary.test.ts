import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import type { FromWorker } from '../../src/workers/messages.ts'
import { createPrimary } from '../../src/workers/primary.ts'

test('a worker that hangs is ended after a minute or so, and replaced', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const forked: { hear(message: FromWorker): void; asked: number }[] = []
  const primary = createPrimary({
    size: 1,
    fork() {
      const child = { hear: (_: FromWorker): void => {}, asked: 0 }
      let end = (_: number | null): void => {}
      forked.push(child)
      return {
        pid: forked.length,
        tell: ({ say }) => void (say === 'figures' && child.asked++),
        kill: () => end(null),
        onMessage: (hear) => void (child.hear = hear),
        onEnd: (ended) => void (end = ended),
      }
    },
    nudge: () => {},
    metrics: createMetrics({ now: () => 0 }),
    drainMs: 1,
    log: createLog('ERROR', { write: () => {} }),
  })
  const started = primary.start()
  forked[0]?.hear({ say: 'ready', port: 1, caPath: null })
  await started
  for (let i = 0; i < 6; i++) t.mock.timers.tick(10_000)
  assert.deepEqual([forked.length, forked[0]?.asked], [1, 6])
  t.mock.timers.tick(10_000)
  t.mock.timers.tick(30_000) // it had not lived for long
  await turn()
  assert.equal(forked.length, 2)
})
