/** What Earthflow is meant to reach, one row a figure. */
import { STREAMS } from '../cases.ts'
import { OFF, ON } from '../earthflow/configurations.ts'
import type { BenchResult, Minute } from '../result.ts'
import { type Reference, type Summary, spreadOf, summarize } from './summary.ts'

export interface Target {
  name: string
  aim: { atLeast: number } | { atMost: number }
  unit: string
  /** Null where it was not measured. */
  measure(seen: Seen): number | null
}

interface Seen {
  summaries: readonly Summary[]
  result: Pick<BenchResult, 'figures' | 'steady'>
}

export interface Judged {
  name: string
  aim: string
  measured: string
  holds: boolean | null
}

const row = ({ summaries }: Seen, set: readonly string[], name: string, server: string): Summary | undefined =>
  summaries.find((one) => set.includes(one.set) && one.case === name && one.server === server)
const MAIN = ['beside', 'quick', 'check', 'chosen', 'short'] as const

const ratio = (name: string, server: string, to: Reference, atLeast: number): Target => ({
  name: `${name}, governance ${server === ON ? 'on' : 'off'}, beside ${to}`,
  aim: { atLeast },
  unit: '×',
  measure: (seen) => row(seen, MAIN, name, server)?.times[to] ?? null,
})
const between = (name: string, set: string, [server, other]: readonly [string, string], atLeast: number): Target => ({
  name,
  aim: { atLeast },
  unit: '×',
  measure(seen) {
    const [one, two] = [row(seen, [set, 'chosen'], 'plain', server), row(seen, [set, 'chosen'], 'plain', other)]
    return one && two ? one.rps.median / two.rps.median : null
  },
})
const milliseconds = (name: string, atMost: number, measure: (seen: Seen) => number | null | undefined): Target => ({
  name,
  aim: { atMost },
  unit: 'ms',
  measure: (seen) => {
    const us = measure(seen)
    return us === null || us === undefined ? null : us / 1000
  },
})
const PACED = ['paced', 'chosen', 'short'] as const
const overNginx =
  (read: (one: Summary) => number) =>
  (seen: Seen): number | null => {
    const [one, nginx] = [row(seen, PACED, 'paced', ON), row(seen, PACED, 'paced', 'nginx')]
    return one && nginx ? read(one) - read(nginx) : null
  }

/** What grows by less from the first to the last third of the minutes is flat: memory, and the 99th percentile, which is noisier. */
const MEMORY_FLAT = 1.1
const P99_FLAT = 1.5
const growth =
  (read: (minute: Minute) => number) =>
  ({ result: { steady } }: Seen): number | null => {
    if (!steady || steady.minutes.length < 3) return null
    const third = Math.floor(steady.minutes.length / 3)
    const middle = (minutes: readonly Minute[]): number => spreadOf(minutes.map(read)).median
    return middle(steady.minutes.slice(-third)) / middle(steady.minutes.slice(0, third))
  }

export const targets: readonly Target[] = [
  ratio('plain', ON, 'nginx', 0.22),
  ratio('plain', ON, 'portkey', 8),
  ratio('plain', OFF, 'nginx', 0.33),
  ratio('64k', OFF, 'nginx', 0.2),
  ratio('64k', OFF, 'portkey', 5),
  ratio('64k', ON, 'nginx', 0.08),
  ratio('64k', ON, 'portkey', 1.5),
  milliseconds('500 calls a second, on: added to direct, p50', 0.6, (seen) => row(seen, MAIN, 'rate-500', ON)?.added?.p50),
  milliseconds('500 calls a second, on: added to direct, p99', 3, (seen) => row(seen, MAIN, 'rate-500', ON)?.added?.p99),
  milliseconds(
    '1,000 streams, on: delay of a chunk over nginx, p50',
    0.3,
    overNginx((one) => one.chunkP50),
  ),
  milliseconds(
    '1,000 streams, on: delay of a chunk over nginx, p99',
    2,
    overNginx((one) => one.chunkP99),
  ),
  milliseconds('1,000 streams, on: first token over direct, p50', 0.5, (seen) => row(seen, PACED, 'paced', ON)?.added?.firstByte),
  {
    name: '1,000 streams, on: memory of each',
    aim: { atMost: 90 },
    unit: 'KiB',
    measure: (seen) => {
      const one = row(seen, PACED, 'paced', ON)
      return one ? one.grownKib / STREAMS.paced : null
    },
  },
  { name: '1,000 streams, on: failed', aim: { atMost: 0 }, unit: '', measure: (seen) => row(seen, PACED, 'paced', ON)?.failed ?? null },
  between('TLS beside plain, off', 'tls', [`${OFF}-tls`, OFF], 0.83),
  between('TLS beside plain, on', 'tls', [`${ON}-tls`, ON], 0.87),
  between('two workers beside one, off', 'workers', [`${OFF}-2`, `${OFF}-1`], 1.35),
  between('two workers beside one, on', 'workers', [`${ON}-2`, `${ON}-1`], 1.35),
  { name: 'memory at rest, on', aim: { atMost: 160 }, unit: 'MB', measure: ({ result }) => result.figures.start?.idleMb ?? null },
  {
    name: 'start on an existing database until calls are taken',
    aim: { atMost: 1.2 },
    unit: 's',
    measure: ({ result: { figures } }) => (figures.start ? spreadOf(figures.start.readyMs).median / 1000 : null),
  },
  { name: '70 % of the peak: p99, last third beside first', aim: { atMost: P99_FLAT }, unit: '×', measure: growth((minute) => minute.p99) },
  { name: '70 % of the peak: memory, last third beside first', aim: { atMost: MEMORY_FLAT }, unit: '×', measure: growth((minute) => minute.residentMb) },
]

export function judgeTargets(result: BenchResult): Judged[] {
  const seen: Seen = { summaries: summarize(result), result }
  return targets.map(({ name, aim, unit, measure }) => {
    const value = measure(seen)
    const [word, bound] = 'atLeast' in aim ? ['≥', aim.atLeast] : ['≤', aim.atMost]
    return {
      name,
      aim: `${word} ${bound}${unit && ` ${unit}`}`,
      measured: value === null ? 'not measured' : `${digits(value)}${unit && ` ${unit}`}`,
      holds: value === null ? null : 'atLeast' in aim ? value >= aim.atLeast : value <= aim.atMost,
    }
  })
}

const digits = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2))
