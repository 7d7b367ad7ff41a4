/** The few figures of a run that the front page shows. */
import { OFF, ON } from '../earthflow/configurations.ts'
import type { BenchResult } from '../result.ts'
import { type Summary, summarize } from './summary.ts'

export const FRONT_HEAD = '| one core each, 64 connections | 1.5 KB: calls/s | × nginx | × Portkey | CPU µs | 64 KB: calls/s | × nginx | × Portkey | CPU µs |'

const SHOWN: readonly (readonly [server: string, label: string])[] = [
  ['direct', 'nobody in between'],
  ['nginx', 'nginx, `proxy_pass`'],
  ['haproxy', 'HAProxy'],
  ['portkey', 'Portkey’s gateway, no guardrails'],
  [OFF, 'Earthflow, governance off'],
  [ON, 'Earthflow, governance on'],
]
const CASES = ['plain', '64k'] as const

/** Its rows. A server or a case that was not measured has dashes. */
export function frontRows(result: Pick<BenchResult, 'rounds'>): string[] {
  const summaries = summarize(result)
  return SHOWN.map(([server, label]) => {
    const cells = CASES.flatMap((name) => cellsOf(summaries.find((one) => one.set === 'beside' && one.case === name && one.server === server)))
    return `| ${[label, ...cells].join(' | ')} |`
  })
}

const cellsOf = (one: Summary | undefined): string[] =>
  one === undefined
    ? ['–', '–', '–', '–']
    : [
        one.rps.median.toLocaleString('en', { maximumFractionDigits: 0 }),
        times(one.times.nginx),
        times(one.times.portkey),
        one.server === 'direct' ? '–' : one.cpuUs.median.toFixed(0),
      ]

const times = (value: number | null): string => (value === null ? '–' : value.toFixed(2))
