import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createMetrics, type EndedExchange, type Metrics } from '../../src/telemetry/metrics.ts'
import type { Child } from '../../src/workers/crew.ts'
import { createSum } from '../../src/workers/sum-metrics.ts'

const exchange = (fields: Partial<EndedExchange> = {}): EndedExchange => ({
  tenant: 't',
  status: 'ALLOW',
  dialect: 'openai-chat',
  upstream: 'u',
  judged: true,
  httpStatus: 200,
  violations: [],
  overheadMs: 1,
  firstByteMs: 5,
  upstreamMs: 9,
  inputTokens: 3,
  outputTokens: 4,
  ...fields,
})

interface Worker extends Child {
  metrics: Metrics
  isSilent: boolean
}

function installation(count: number) {
  const workers: Worker[] = []
  let timeUp = (): void => {}
  let time = 0
  const own = createMetrics({ now: () => 0 })
  const sum = createSum({
    serving: () => workers,
    own: own.figures,
    later(_ms, work) {
      timeUp = work
      return () => {}
    },
    now: () => time,
    report: (error) => assert.fail(String(error)),
  })
  const add = (): Worker => {
    const metrics = createMetrics({ now: () => 0 })
    const worker: Worker = {
      pid: workers.length,
      metrics,
      isSilent: false,
      kill() {},
      onMessage() {},
      onEnd() {},
      tell(message) {
        // As between processes: as text.
        if (message.say === 'figures' && !worker.isSilent)
          void metrics.figures().then((figures) => sum.told(worker, message.ask, JSON.parse(JSON.stringify(figures))))
      },
    }
    workers.push(worker)
    return worker
  }
  const end = (worker: Worker): void => {
    workers.splice(workers.indexOf(worker), 1)
    sum.ended(worker)
  }
  for (let i = 0; i < count; i++) add()
  return { workers, own, sum, add, end, timeUp: () => timeUp(), pass: (ms: number) => void (time += ms) }
}

const value = (page: string | null, line: string): number => Number(new RegExp(`^${line} (\\S+)$`, 'm').exec(page ?? '')?.[1] ?? 0)
const CALLS = 'earthflow_requests_total\\{tenant="t",status="ALLOW",dialect="openai-chat",upstream="u"\\}'

test('counters and histograms of all processes are added up; of the last minute every call counts the same', async () => {
  const { workers, sum } = installation(2)
  for (let i = 0; i < 9; i++) workers[0]?.metrics.ended(exchange())
  workers[1]?.metrics.ended(exchange({ status: 'BLOCK', httpStatus: 403, overheadMs: 40 }))
  workers[0]?.metrics.gauge('g_sum', 'A gauge.', () => 2)
  workers[1]?.metrics.gauge('g_sum', 'A gauge.', () => 3)
  for (const [i, worker] of workers.entries()) {
    worker.metrics.gauge('g_max', 'A gauge.', () => i, 'max')
    worker.metrics.gauge('g_min', 'A gauge.', () => i, 'min')
  }
  const page = await sum.page()
  assert.equal(value(page, CALLS), 9)
  assert.deepEqual([value(page, 'earthflow_overhead_ms_count'), value(page, 'earthflow_overhead_ms_sum')], [10, 49])
  assert.equal(value(page, 'earthflow_overhead_ms_bucket\\{le="1"\\}'), 9)
  assert.deepEqual([value(page, 'earthflow_block_rate'), value(page, 'earthflow_error_rate')], [0.1, 0])
  assert.ok(value(page, 'earthflow_latency_p99_ms') > 39)
  assert.deepEqual([value(page, 'g_sum'), value(page, 'g_max'), value(page, 'g_min')], [5, 1, 0])
  assert.ok(value(page, 'process_resident_memory_bytes') > 0)
  assert.equal((page ?? '').split('\n').filter((line) => line.startsWith('# TYPE earthflow_requests_total')).length, 1)
})

test('what a worker had counted stays when it ends: all of it in order, what it last told in a crash; how it was does not', async () => {
  const { workers, sum, add, end } = installation(2)
  const [orderly, crashing] = workers as [Worker, Worker]
  for (const worker of workers) worker.metrics.gauge('g_sum', 'A gauge.', () => 1)
  orderly.metrics.ended(exchange())
  crashing.metrics.ended(exchange())
  assert.equal(value(await sum.page(), CALLS), 2)
  orderly.metrics.ended(exchange())
  crashing.metrics.ended(exchange())
  sum.told(orderly, null, await orderly.metrics.figures())
  orderly.isSilent = true
  assert.equal(value(await sum.page(), CALLS), 4, 'told its last, and not asked again')
  crashing.metrics.ended(exchange())
  end(crashing)
  end(orderly)
  const page = await sum.page()
  assert.deepEqual([value(page, CALLS), value(page, 'g_sum'), value(page, 'earthflow_overhead_ms_count')], [4, 0, 4])
  add().metrics.ended(exchange())
  assert.equal(value(await sum.page(), CALLS), 5)
})

test('of one that is silent counts what it told last, for a minute; then there is no page', async () => {
  const { workers, sum, pass, timeUp } = installation(2)
  const [, silent] = workers as [Worker, Worker]
  for (const worker of workers) worker.metrics.ended(exchange())
  assert.equal(value(await sum.page(), CALLS), 2)
  silent.isSilent = true
  workers[0]?.metrics.ended(exchange())
  const page = async (): Promise<string | null> => {
    const asked = sum.page()
    await turn()
    timeUp()
    return asked
  }
  pass(60_000)
  assert.equal(value(await page(), CALLS), 3)
  pass(1)
  assert.equal(await page(), null)
})

test('what is heard of a worker when it has ended does not count twice', async () => {
  const { workers, sum, end } = installation(1)
  const [worker] = workers as [Worker]
  worker.metrics.ended(exchange())
  assert.equal(value(await sum.page(), CALLS), 1)
  end(worker)
  sum.told(worker, null, await worker.metrics.figures())
  assert.equal(value(await sum.page(), CALLS), 1)
})

test('fractions that are added up in another order, for a process has ended, make no smaller sum', async () => {
  const { workers, sum, end } = installation(3)
  const line = 'earthflow_overhead_ms_sum'
  for (const [i, worker] of workers.entries()) worker.metrics.ended(exchange({ overheadMs: [0.1, 0.2, 0.3][i] ?? 0 }))
  const before = value(await sum.page(), line)
  for (const worker of workers.slice(1).reverse()) {
    end(worker)
    assert.equal(value(await sum.page(), line), before)
  }
})

test('how many files each process may open is no sum', { skip: process.platform !== 'linux' }, async () => {
  const { sum, own } = installation(2)
  const line = /^process_max_fds \S+$/m
  assert.equal(line.exec((await sum.page()) ?? '')?.[0], line.exec(await own.text())?.[0] ?? assert.fail('no such figure'))
})

test('where one has told nothing yet, nor does in time, there is no page, rather than a part of it; and whoever crashes meanwhile is not waited for', async () => {
  const { workers, sum, end, timeUp } = installation(2)
  const [, silent] = workers as [Worker, Worker]
  silent.isSilent = true
  const late = sum.page()
  await turn()
  timeUp()
  assert.equal(await late, null)
  const next = sum.page()
  await turn()
  end(silent)
  assert.match((await next) ?? '', /^# HELP/)
})

test('however many ask at once, there are two rounds: one that is under way, and one for all who asked since', async () => {
  const { workers, sum } = installation(1)
  const [worker] = workers as [Worker]
  let asked = 0
  const { tell } = worker
  worker.tell = (message) => {
    asked++
    tell(message)
  }
  const first = sum.page()
  worker.metrics.ended(exchange())
  const pages = await Promise.all([first, ...Array.from({ length: 50 }, () => sum.page())])
  assert.equal(asked, 2)
  assert.equal(value(pages.at(-1) ?? null, CALLS), 1)
})
