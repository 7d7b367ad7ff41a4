/** Tables in Markdown of what was measured. */
import { caseNamed } from '../cases.ts'
import type { BenchResult } from '../result.ts'
import { type Spread, type Summary, spreadOf, summarize } from './summary.ts'
import { type Judged, judgeTargets } from './targets.ts'

interface Column<Row> {
  title: string
  isText?: boolean
  cell(row: Row): string
}

const isProxy = (row: Summary): boolean => row.server !== 'direct'
const times = (value: number | null): string => (value === null ? '–' : value >= 10 ? value.toFixed(1) : value.toFixed(2))
const range = ({ min, max }: Spread, digits: number): string => `${number(min, digits)}–${number(max, digits)}`
const number = (value: number, digits = 0): string => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
const milliseconds = (us: number): string => (us / 1000).toFixed(2)

const columns: readonly Column<Summary>[] = [
  { title: 'case', isText: true, cell: (row) => row.case },
  { title: 'server', isText: true, cell: (row) => row.server },
  { title: 'calls/s', cell: (row) => number(row.rps.median) },
  { title: 'min–max', cell: (row) => range(row.rps, 0) },
  { title: '× nginx', cell: (row) => times(row.times.nginx) },
  { title: '× HAProxy', cell: (row) => times(row.times.haproxy) },
  { title: '× Portkey', cell: (row) => times(row.times.portkey) },
  { title: 'CPU µs/call', cell: (row) => (isProxy(row) ? number(row.cpuUs.median, 1) : '–') },
  { title: 'min–max', cell: (row) => (isProxy(row) ? range(row.cpuUs, 1) : '–') },
  { title: 'database µs', cell: (row) => (row.databaseCpuUs === null ? '–' : row.databaseCpuUs.toFixed(1)) },
  { title: 'p50 ms', cell: (row) => milliseconds(row.p50) },
  { title: 'p99 ms', cell: (row) => milliseconds(row.p99) },
  { title: 'first byte ms', cell: (row) => milliseconds(row.firstByte) },
  { title: 'chunk p50 ms', cell: (row) => (row.chunkP50 === 0 ? '–' : milliseconds(row.chunkP50)) },
  { title: 'chunk p99 ms', cell: (row) => (row.chunkP99 === 0 ? '–' : milliseconds(row.chunkP99)) },
  { title: 'MB', cell: (row) => (isProxy(row) ? number(row.residentMb) : '–') },
  { title: 'quiet/all', cell: (row) => `${row.quiet}/${row.rounds}` },
  { title: 'failed', cell: (row) => String(row.failed) },
]

export function markdownTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ cell }) => cell(row)))]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)))
  const lines = cells.map((line) => `| ${line.map((cell, i) => (columns[i]!.isText ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`)
  lines.splice(1, 0, `|${widths.map((width, i) => (columns[i]!.isText ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`)
  return lines.join('\n')
}

/** One table a set, and below them what did not start and whether every call was recorded. */
export function formatTables(result: BenchResult): string {
  const parts: string[] = []
  for (const [set, rows] of Map.groupBy(summarize(result), (row) => row.set)) {
    const cases = [...new Set(rows.map((row) => row.case))]
    parts.push(`### ${set}`, cases.map((name) => `- ${name}: ${caseNamed(name).about}`).join('\n'), markdownTable(columns, rows))
  }
  const { cpu, cores, memoryGb, kernel, node } = result.machine
  parts.push(
    [
      `${cpu}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}, Node ${node}; the server on one core, load, provider and database on another. Medians of the quiet rounds. Took ${Math.round(result.tookSeconds / 6) / 10} minutes.`,
      ...result.records.map(({ server, calls, rows }) => `${server}: ${calls} calls answered, ${rows} rows recorded.`),
      ...result.problems.map(({ server, problem }) => `${server} is missing: ${problem}`),
    ].join('\n'),
  )
  return parts.join('\n\n')
}

/** What was measured of one server alone. */
export function formatFigures({ figures: { start, stages, loop }, steady }: Pick<BenchResult, 'figures' | 'steady'>): string {
  const parts: string[] = []
  if (start) {
    const ready = spreadOf(start.readyMs)
    parts.push(
      `Ready after ${number(ready.median)} ms (${range(ready, 0)}, ${start.readyMs.length} starts) on an existing database; ${number(start.idleMb)} MB at rest.`,
    )
  }
  for (const { case: name, p50, p99, max } of loop)
    parts.push(`Event loop under full load, ${name}: late by ${p50.toFixed(1)} ms at p50, ${p99.toFixed(1)} at p99, ${max.toFixed(1)} at most.`)
  for (const { case: name, callsPerSecond, cpuUs, stages: all } of stages) {
    const main = all.reduce((sum, { us }) => sum + us, 0)
    const rows = [...all, { name: 'other threads', us: Math.max(0, cpuUs - main) }]
    parts.push(
      `CPU per call by stage, governance on, ${name} (while it is profiled: ${number(callsPerSecond)} calls/s, ${cpuUs.toFixed(1)} µs a call)`,
      markdownTable(
        [
          { title: 'stage', isText: true, cell: (row: { name: string; us: number }) => row.name },
          { title: 'µs/call', cell: (row) => row.us.toFixed(1) },
          { title: '%', cell: (row) => ((100 * row.us) / Math.max(cpuUs, main)).toFixed(1) },
        ],
        rows,
      ),
    )
  }
  if (steady) {
    parts.push(
      `${number(steady.rate)} calls a second, 70 % of the peak of ${number(steady.peakRps)}`,
      markdownTable(
        [
          { title: 'minute', cell: (row: { minute: number; p50: number; p99: number; residentMb: number; failed: number }) => String(row.minute) },
          { title: 'p50 ms', cell: (row) => row.p50.toFixed(2) },
          { title: 'p99 ms', cell: (row) => row.p99.toFixed(2) },
          { title: 'MB', cell: (row) => number(row.residentMb) },
          { title: 'failed', cell: (row) => String(row.failed) },
        ],
        steady.minutes.map((one, i) => ({ minute: i + 1, ...one })),
      ),
    )
  }
  return parts.join('\n\n')
}

/** Those that were measured, and how many were not. */
export function formatTargets(result: BenchResult): string {
  const [measured, rest] = [true, false].map((wanted) => judgeTargets(result).filter(({ holds }) => (holds !== null) === wanted)) as [Judged[], Judged[]]
  if (measured.length === 0) return ''
  const table = markdownTable(
    [
      { title: 'figure', isText: true, cell: (row: Judged) => row.name },
      { title: 'aim', cell: (row) => row.aim },
      { title: 'measured', cell: (row) => row.measured },
      { title: '', isText: true, cell: (row) => (row.holds ? 'holds' : 'does not hold') },
    ],
    measured,
  )
  return rest.length === 0 ? table : `${table}\n\n${rest.length} figures were not measured.`
}
