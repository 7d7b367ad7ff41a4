/** A report in sentences, for people. */
import type { Finding } from './findings.ts'
import type { ExportReport } from './verify-export.ts'
import type { LogReport } from './verify-log.ts'

export type Report = LogReport | ExportReport

export function tell(report: Report): string {
  const { holds, problems, problems_total: total } = report
  const listed = problems.length < total ? `, of which ${problems.length} are listed` : ''
  const lines = report.kind === 'log' ? ofLog(report) : ofExport(report)
  return [...lines, holds ? 'All of it holds.' : `It does not hold: ${total} problems${listed}.`, ...problems.map(lineOf), ''].join('\n')
}

function ofLog(report: LogReport): string[] {
  const { origin, entries, writers, open, batches, leaves, tree_size, checkpoints, outside_checkpoints, pruned, superseded, erased, waiting, unproved } = report
  const fresh = leaves - tree_size
  return [
    `The log ${origin}: ${entries} entries; ${leaves} leaves of ${writers} writers, ${open} of which go on, in ${batches} batches.`,
    `${tree_size} leaves stand in the tree; ${checkpoints} checkpoints of the log and ${outside_checkpoints} from outside were compared with it.`,
    ...(pruned + superseded > 0 ? [`Leaves without a row: ${pruned} were pruned, of ${superseded} a later row says more.`] : []),
    ...(erased > 0 ? [`Of ${erased} rows what they said of people was erased.`] : []),
    ...(fresh > 0 ? [`${fresh} leaves stand in no tree yet: their writers' signatures alone prove them.`] : []),
    ...(waiting > 0 ? [`${waiting} entries wait for their place in a chain.`] : []),
    ...beforeChains(unproved),
    ...(outside_checkpoints > 0
      ? []
      : ['Whether its newest part was cut off, checkpoints and all, only checkpoints from outside can tell: see --checkpoints.']),
  ]
}

function ofExport({ entries, covered, waiting, unproved, erased, erasures_told, whole, checkpoints }: ExportReport): string[] {
  return [
    `${entries} entries, ${covered} of which are in the trees of ${checkpoints} checkpoints.`,
    ...(waiting > 0 ? [`${waiting} entries are under no checkpoint yet: nothing proves them so far.`] : []),
    ...beforeChains(unproved),
    ...(erased > 0 ? [`Of ${erased} entries what they said of people was erased; for ${erasures_told} of them the entry is here that tells of it.`] : []),
    whole
      ? 'No entry is missing between two others of a writer, but for those told of below; whether later ones were cut off cannot be told from a part of the log.'
      : 'Whether entries are missing cannot be told without --whole.',
  ]
}

const beforeChains = (count: number): string[] => (count > 0 ? [`${count} entries are from before the log was chained: nothing proves them.`] : [])

function lineOf({ writer_id, seq, audit_id, problem }: Finding): string {
  const place = writer_id === null ? '' : `writer ${writer_id}${seq === null ? '' : `, leaf ${seq}`}`
  const id = audit_id === null ? '' : place === '' ? `entry ${audit_id}` : ` (${audit_id})`
  return place + id === '' ? `- ${problem}` : `- ${place}${id}: ${problem}`
}
