/** Where traces go, if anywhere. */
import { type Config, ConfigError } from './config.ts'
import { EgressRefused } from './egress/check-url.ts'
import type { Egress } from './egress/dispatcher.ts'
import { describeError, type Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { createTracing, type Tracing } from './telemetry/tracing.ts'

export interface TraceServiceParts {
  config: Pick<Config, 'env' | 'traces'>
  version: string
  processId: string
  /** The way out to whoever is told of things. */
  egress: Egress
  log: Log
  metrics: Pick<Metrics, 'counted'>
}

const ANSWER_MS = 5_000
const POST_MS_MAX = 10_000
const ANSWER_BYTES_MAX = 64 << 10

/** Null where no collector is set: then nothing of it is loaded. Throws ConfigError where the collector may not be reached. */
export async function createTraceService({ config, version, processId, egress, log, metrics }: TraceServiceParts): Promise<Tracing | null> {
  const { traces } = config
  if (traces === null) return null
  await refuseCollector(traces.url, egress)
  const { origin, pathname } = new URL(traces.url)
  const pool = egress.pool(origin, { connections: 1, firstByteMs: ANSWER_MS, idleMs: ANSWER_MS, responseBytesMax: ANSWER_BYTES_MAX })
  const headers = ['content-type', 'application/json', ...traces.headers]

  const tracing = await createTracing({
    version,
    instance: processId,
    environment: config.env,
    sampledShare: traces.sampledShare,
    async post(body) {
      const answer = await pool.request({ method: 'POST', path: pathname, headers, body, signal: AbortSignal.timeout(POST_MS_MAX) })
      await answer.body.dump()
      return answer.statusCode
    },
    onChange: (trouble) =>
      trouble === null
        ? log.info('traces reach the collector again')
        : log.warn('error' in trouble ? describeError(trouble.error) : trouble, 'traces do not reach the collector, and are lost'),
  })
  metrics.counted(
    'earthflow_trace_spans_total',
    'Spans by what became of them: sent, failed (the collector did not take them), or dropped (too many waited).',
    () => ({ ...tracing.counts }),
    'result',
  )
  return {
    ...tracing,
    async close() {
      await tracing.close()
      await pool.destroy()
    },
  }
}

async function refuseCollector(url: string, egress: Pick<Egress, 'check'>): Promise<void> {
  try {
    await egress.check(url, { https: 'unless opened' })
  } catch (error) {
    if (!(error instanceof EgressRefused)) throw error
    throw new ConfigError([`OTEL_EXPORTER_OTLP_ENDPOINT cannot be reached: ${error.message}`])
  }
}
