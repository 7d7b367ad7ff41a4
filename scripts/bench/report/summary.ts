import type { BenchResult, Round } from '../result.ts'
import { FOREIGN_MAX } from '../run-set.ts'

/** A figure over the rounds that count. */
export interface Spread {
  median: number
  min: number
  max: number
}

export const references = ['nginx', 'haproxy', 'portkey'] as const
export type Reference = (typeof references)[number]

/** One server in one case. Times are microseconds. */
export interface Summary {
  set: string
  case: string
  server: string
  /** Calls answered with 2xx, a second. */
  rps: Spread
  cpuUs: Spread
  databaseCpuUs: number | null
  p50: number
  p99: number
  firstByte: number
  chunkP50: number
  chunkP99: number
  residentMb: number
  /** What it grew by while it was under load. */
  grownKib: number
  quiet: number
  rounds: number
  failed: number
  /** Calls a second beside others in the same set and case; null without them. */
  times: Record<Reference, number | null>
  /** CPU of a call beside theirs. */
  cpuTimes: Record<Reference, number | null>
  /** What it adds to a call to the provider itself, where that was measured in the same set and case. */
  added: { p50: number; p99: number; firstByte: number } | null
}

/** Medians over the quiet rounds where there are any, else over all. */
export function summarize({ rounds }: Pick<BenchResult, 'rounds'>): Summary[] {
  const groups = Map.groupBy(rounds, (round) => `${round.set}\n${round.case}\n${round.server}`)
  const summaries = [...groups.values()].map(summarizeOne)
  for (const one of summaries) {
    const other = (server: string): Summary | undefined => summaries.find((each) => each.set === one.set && each.case === one.case && each.server === server)
    for (const reference of references) {
      const its = other(reference)
      if (!its) continue
      one.times[reference] = one.rps.median / its.rps.median
      one.cpuTimes[reference] = one.cpuUs.median / its.cpuUs.median
    }
    const direct = other('direct')
    if (direct) one.added = { p50: one.p50 - direct.p50, p99: one.p99 - direct.p99, firstByte: one.firstByte - direct.firstByte }
  }
  return summaries
}

function summarizeOne(rounds: readonly Round[]): Summary {
  const quiet = rounds.filter((round) => round.foreign <= FOREIGN_MAX)
  const counted = quiet.length > 0 ? quiet : rounds
  const spread = (read: (round: Round) => number): Spread => spreadOf(counted.map(read))
  const middle = (read: (round: Round) => number): number => spread(read).median
  const { set, case: name, server } = rounds[0]!
  return {
    set,
    case: name,
    server,
    rps: spread((round) => round.load.ok_rps),
    cpuUs: spread((round) => round.cpuUs),
    databaseCpuUs: rounds.some((round) => round.databaseCpuUs === null) ? null : middle((round) => round.databaseCpuUs!),
    p50: middle((round) => round.load.lat_us.p50),
    p99: middle((round) => round.load.lat_us.p99),
    firstByte: middle((round) => round.load.ttfb_us.p50),
    chunkP50: middle((round) => round.load.chunk_us.p50),
    chunkP99: middle((round) => round.load.chunk_us.p99),
    residentMb: middle((round) => round.residentKib) / 1024,
    grownKib: middle((round) => round.residentKib - round.residentBeforeKib),
    quiet: quiet.length,
    rounds: rounds.length,
    failed: rounds.reduce((sum, { load }) => sum + load.non2xx + load.errs + load.lost, 0),
    times: { nginx: null, haproxy: null, portkey: null },
    cpuTimes: { nginx: null, haproxy: null, portkey: null },
    added: null,
  }
}

/** Throws on an empty list. */
export function spreadOf(numbers: readonly number[]): Spread {
  if (numbers.length === 0) throw new Error('There is no median of nothing.')
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}
