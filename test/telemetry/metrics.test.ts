import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics, type EndedExchange } from '../../src/telemetry/metrics.ts'

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

test('block rate, error rate and p99 look back a minute and forget', () => {
  let now = 1_000_000
  const metrics = createMetrics({ now: () => now })
  assert.deepEqual(metrics.summary(), { block_rate: 0, error_rate: 0, latency_p99_ms: 0 })
  for (let i = 0; i < 98; i++) metrics.ended(exchange())
  metrics.ended(exchange({ status: 'BLOCK', httpStatus: 403 }))
  metrics.ended(exchange({ status: 'REJECTED', judged: false, httpStatus: 503, overheadMs: 400 }))
  const { block_rate, error_rate, latency_p99_ms } = metrics.summary()
  assert.deepEqual([block_rate, error_rate], [1 / 99, 1 / 100])
  assert.ok(latency_p99_ms >= 1 && latency_p99_ms < 450)
  now += 30_000
  assert.equal(metrics.summary().error_rate, 1 / 100)
  now += 31_000
  assert.deepEqual(metrics.summary(), { block_rate: 0, error_rate: 0, latency_p99_ms: 0 })
})

test('the page names the design’s metrics with their labels', async () => {
  const metrics = createMetrics({ now: () => 0 })
  metrics.ended(exchange({ status: 'BLOCK', violations: [{ rule: 'rule_1', action: 'BLOCK' }] }))
  metrics.unauthenticated()
  const page = await metrics.text()
  for (const line of [
    'earthflow_requests_total{tenant="t",status="BLOCK",dialect="openai-chat",upstream="u"} 1',
    'earthflow_rule_violations_total{tenant="t",rule="rule_1",action="BLOCK"} 1',
    'earthflow_authentication_failures_total 1',
    'earthflow_tokens_total{tenant="t",direction="output"} 4',
    'earthflow_overhead_ms_count 1',
  ])
    assert.ok(page.includes(line), line)
  for (const name of [
    'earthflow_block_rate',
    'earthflow_error_rate',
    'earthflow_latency_p99_ms',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_p99_seconds',
  ])
    assert.match(page, new RegExp(`^${name} `, 'm'))
})

test('a histogram counts up to each bound, and each part of a metric by itself', async () => {
  const metrics = createMetrics({ now: () => 0 })
  for (const ms of [0.1, 0.25, 0.2500001, 1000, 5000]) metrics.limited('shared', ms)
  metrics.limited('local', 3)
  metrics.ended(exchange({ upstream: 'a', cost: 0.25 }))
  metrics.ended(exchange({ upstream: 'a', cost: 0.5 }))
  metrics.ended(exchange({ upstream: 'b', cost: null }))
  const lines = (await metrics.text()).split('\n').filter((line) => /^earthflow_(?:limits_ms|cost_usd|unpriced)/.test(line))
  const shared = lines.filter((line) => line.includes('"shared"'))
  const bounds = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 60, 100, 250, 1000].map((le, i) => [le, i === 0 ? 1 : i === 1 ? 2 : i === 12 ? 4 : 3])
  assert.deepEqual(shared, [
    ...bounds.map(([le, count]) => `earthflow_limits_ms_bucket{le="${le}",mode="shared"} ${count}`),
    'earthflow_limits_ms_bucket{le="+Inf",mode="shared"} 5',
    `earthflow_limits_ms_sum{mode="shared"} ${0.1 + 0.25 + 0.2500001 + 1000 + 5000}`,
    'earthflow_limits_ms_count{mode="shared"} 5',
  ])
  assert.ok(lines.includes('earthflow_limits_ms_count{mode="local"} 1'))
  assert.deepEqual(
    lines.filter((line) => line.includes('tenant')),
    ['earthflow_cost_usd_total{tenant="t",upstream="a"} 0.75', 'earthflow_unpriced_requests_total{tenant="t",upstream="b"} 1'],
  )
})
