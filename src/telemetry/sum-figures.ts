/** One page of metrics for several processes, those that have ended included: what counts upwards must never fall. */
import { AggregatorRegistry } from 'prom-client'
import { blockRateOf, errorRateOf, type Recent, sumRecent } from './last-minute.ts'

/** How a gauge of several processes becomes one: `first` and `omit` are for those that Node's own metrics bring along. */
export type Across = 'sum' | 'max' | 'min' | 'average' | 'first' | 'omit'

/** A metric as prom-client writes it down. */
export interface MetricFigures {
  name: string
  help: string
  type: string
  aggregator: string
  values: { value: number; labels: Record<string, string | number>; metricName?: string }[]
}

/** The metrics of one process, as they go from one process to another. */
export interface Figures {
  metrics: MetricFigures[]
  recent: Recent
}

export const BLOCK_RATE = 'earthflow_block_rate'
export const ERROR_RATE = 'earthflow_error_rate'

/** The page of all processes: those that live, and what those that have ended had counted. */
export function pageOf(living: readonly Figures[], ended: Figures | null): Promise<string> {
  const recent = sumRecent(living.map((one) => one.recent))
  const parts = [...living, ...(ended ? [ended] : [])].map(({ metrics }) => metrics)
  return aggregate(parts.map((metrics) => metrics.map((metric) => withRate(summable(metric), recent)))).metrics()
}

/** What stays of processes that have ended: what they counted, and nothing of how they were. */
export async function endedFigures(ended: Figures | null, { metrics }: Figures): Promise<Figures> {
  const counted = metrics.filter(isCounted).map(summable)
  const sum = (await aggregate([...(ended ? [ended.metrics] : []), counted]).getMetricsAsJSON()) as unknown as MetricFigures[]
  return { metrics: sum, recent: sumRecent([]) }
}

const isCounted = ({ type }: MetricFigures): boolean => type === 'counter' || type === 'histogram'

/**
 * Multiples of it (a millionth) are added up without an error below 2^33. Else a sum in another order could be smaller in its last digit, which Prometheus
 * would take for a restart.
 */
const QUANTUM = 2 ** -20
const summable = (metric: MetricFigures): MetricFigures =>
  isCounted(metric) ? { ...metric, values: metric.values.map((one) => ({ ...one, value: Math.floor(one.value / QUANTUM) * QUANTUM })) } : metric

const aggregate = (parts: readonly MetricFigures[][]) => AggregatorRegistry.aggregate(parts as object[])

/** Shares are shares of all calls: each process says the same, and the largest is it. */
function withRate(metric: MetricFigures, recent: Recent): MetricFigures {
  const rate = metric.name === BLOCK_RATE ? blockRateOf(recent) : metric.name === ERROR_RATE ? errorRateOf(recent) : null
  return rate === null ? metric : { ...metric, values: [{ value: rate, labels: {} }] }
}
