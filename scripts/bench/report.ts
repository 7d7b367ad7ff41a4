import type { BenchResult, Round } from './run-bench.ts'

/** Rounds in which others used more of the server's core than this do not count, where there are quieter ones. */
const FOREIGN_MAX = 0.1
const REFERENCE = 'nginx'

/** The medians of one server in one case. Times are microseconds. */
export interface Summary {
  case: string
  server: string
  rps: number
  cpuUs: number
  databaseCpuUs: number | null
  p50: number
  p99: number
  firstByte: number
  chunkP99: number
  residentMb: number
  quiet: number
  rounds: number
  failed: number
  /** Beside nginx in the same run; null without it. */
  timesNginx: { rps: number; cpu: number } | null
}

export function summarize(result: BenchResult): Summary[] {
  const groups = Map.groupBy(result.rounds, (round) => `${round.case}\n${round.server}`)
  const summaries = [...groups.values()].map(summarizeOne)
  for (const one of summaries) {
    const nginx = summaries.find((other) => other.case === one.case && other.server === REFERENCE)
    if (nginx) one.timesNginx = { rps: one.rps / nginx.rps, cpu: one.cpuUs / nginx.cpuUs }
  }
  return summaries
}

function summarizeOne(rounds: readonly Round[]): Summary {
  const quiet = rounds.filter((round) => round.foreign <= FOREIGN_MAX)
  const counted = quiet.length > 0 ? quiet : rounds
  const middle = (read: (round: Round) => number): number => median(counted.map(read))
  const { case: name, server } = rounds[0]!
  return {
    case: name,
    server,
    rps: middle((round) => round.load.rps),
    cpuUs: middle((round) => round.cpuUs),
    databaseCpuUs: rounds.some((round) => round.databaseCpuUs === null) ? null : middle((round) => round.databaseCpuUs!),
    p50: middle((round) => round.load.lat_us.p50),
    p99: middle((round) => round.load.lat_us.p99),
    firstByte: middle((round) => round.load.ttfb_us.p50),
    chunkP99: middle((round) => round.load.chunk_us.p99),
    residentMb: middle((round) => round.residentMb),
    quiet: quiet.length,
    rounds: rounds.length,
    failed: rounds.reduce((sum, { load }) => sum + load.non2xx + load.errs + load.lost, 0),
    timesNginx: null,
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const columns: readonly { title: string; cell(row: Summary): string }[] = [
  { title: 'case', cell: (row) => row.case },
  { title: 'server', cell: (row) => row.server },
  { title: 'calls/s', cell: (row) => Math.round(row.rps).toLocaleString('en') },
  { title: '× nginx', cell: (row) => (row.timesNginx ? row.timesNginx.rps.toFixed(2) : '–') },
  { title: 'CPU µs/call', cell: (row) => (row.server === 'direct' ? '–' : row.cpuUs.toFixed(1)) },
  { title: '× nginx', cell: (row) => (row.timesNginx && row.server !== 'direct' ? row.timesNginx.cpu.toFixed(2) : '–') },
  { title: 'database µs', cell: (row) => (row.databaseCpuUs === null ? '–' : row.databaseCpuUs.toFixed(1)) },
  { title: 'p50 ms', cell: (row) => milliseconds(row.p50) },
  { title: 'p99 ms', cell: (row) => milliseconds(row.p99) },
  { title: 'first byte ms', cell: (row) => milliseconds(row.firstByte) },
  { title: 'chunk p99 ms', cell: (row) => (row.chunkP99 === 0 ? '–' : milliseconds(row.chunkP99)) },
  { title: 'MB', cell: (row) => (row.server === 'direct' ? '–' : String(Math.round(row.residentMb))) },
  { title: 'quiet/all', cell: (row) => `${row.quiet}/${row.rounds}` },
  { title: 'failed', cell: (row) => String(row.failed) },
]
const milliseconds = (us: number): string => (us / 1000).toFixed(2)

/** A table in Markdown, and below it what did not start and whether every call was recorded. */
export function formatTable(result: BenchResult): string {
  const rows = [columns.map(({ title }) => title), ...summarize(result).map((row) => columns.map(({ cell }) => cell(row)))]
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const lines = rows.map((row) => `| ${row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`)
  lines.splice(1, 0, `|${widths.map((width, i) => (i < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`)
  const { cpu, cores, node } = result.machine
  return [
    ...lines,
    '',
    `${cpu}, ${cores} cores, Node ${node}; the server on one core, load, provider and database on another. Medians of the quiet rounds.`,
    ...result.records.map(({ server, calls, rows }) => `${server}: ${calls} calls answered, ${rows} rows recorded.`),
    ...result.problems.map(({ server, problem }) => `${server} did not start: ${problem}`),
  ].join('\n')
}
