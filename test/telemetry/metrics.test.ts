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
