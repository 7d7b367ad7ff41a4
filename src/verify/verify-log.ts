/** Verifies a whole log: every chain, every row, and the tree that checkpoints sign. What holds is told by the counts, what does not by the findings. */
import { createChains } from './chains.ts'
import { createCheckpoints } from './checkpoints.ts'
import { createFindings, type Finding } from './findings.ts'
import type { LogRecord } from './record.ts'
import type { NoteKey } from './signed-note.ts'
import { createEntriesVerifier, type EntryCounts } from './verify-entries.ts'
import { verifyTree } from './verify-tree.ts'

/** A checkpoint that was kept elsewhere, and where. */
export interface OutsideNote {
  note: string
  source: string
}

export interface LogReport extends EntryCounts {
  kind: 'log'
  holds: boolean
  origin: string
  writers: number
  batches: number
  leaves: number
  /** Leaves under checkpoints. */
  tree_size: number
  /** Of the log's own, and of those from outside: how many are signed as they should be. */
  checkpoints: number
  outside_checkpoints: number
  problems: Finding[]
  /** Some may not be listed: see PROBLEMS_MAX. */
  problems_total: number
}

/** The order of records; those of one number may be mixed. */
const order: Readonly<Record<Exclude<LogRecord['kind'], 'unreadable'>, number>> = {
  log: 0,
  checkpoint: 1,
  writer: 1,
  batch: 1,
  entry: 2,
  superseded: 3,
  end: 4,
}

/** Reads all records and keeps of each leaf its hash and two bits. `keys`: who may sign checkpoints. */
export async function verifyLog(
  records: AsyncIterable<LogRecord>,
  { keys, outside = [] }: { keys: readonly NoteKey[]; outside?: Iterable<OutsideNote> },
): Promise<LogReport> {
  const findings = createFindings()
  const checkpoints = createCheckpoints({ keys, findings })
  let origin = ''
  const chains = createChains({ origin: () => origin, findings })
  const entries = createEntriesVerifier({ chains, findings })
  let step = -1
  let entriesRead = 0
  let checkpointsRead = 0
  let treeSize = 0
  for (const { note, source } of outside) checkpoints.add(note, { source, isOutside: true })

  for await (const record of records) {
    if (record.kind === 'unreadable') {
      findings.add(`line ${record.line} cannot be read: ${record.why}`)
      continue
    }
    const next = order[record.kind]
    if (next < step || (next === step && next === 0) || step === 4 || (step === -1 && next !== 0))
      findings.add(`a record of kind ${record.kind} stands where it should not`)
    step = Math.max(step, next)
    take(record)
  }
  if (step !== 4) findings.add('the last line is missing: the file was cut off')
  const size = verifyTree({ chains, checkpoints, findings })
  if (treeSize !== checkpoints.own.newest)
    findings.add(`the log says that its tree has ${treeSize} leaves, and its newest checkpoint is of size ${checkpoints.own.newest}`)
  const counts = entries.finish()
  const problems = findings.list()
  return {
    kind: 'log',
    holds: findings.total === 0,
    origin,
    ...counts,
    writers: chains.writers.size,
    batches: chains.batches,
    leaves: chains.leaves.length,
    tree_size: size,
    checkpoints: checkpoints.own.count,
    outside_checkpoints: checkpoints.outside.count,
    problems,
    problems_total: findings.total,
  }

  function take(record: Exclude<LogRecord, { kind: 'unreadable' }>): void {
    switch (record.kind) {
      case 'log':
        origin = record.origin
        treeSize = record.tree_size
        if (!keys.some(({ name }) => name === origin)) findings.add(`the log is ${origin}, and the public key is of ${keys.map(({ name }) => name).join(', ')}`)
        break
      case 'checkpoint':
        checkpoints.add(record.note, { source: `checkpoint ${++checkpointsRead} of the log`, isOutside: false, size: record.tree_size, root: record.root })
        break
      case 'writer':
        chains.addWriter(record)
        break
      case 'batch':
        chains.addBatch(record)
        break
      case 'entry':
        entriesRead++
        entries.takeEntry(record)
        break
      case 'superseded':
        entries.takeSuperseded(record)
        break
      case 'end':
        if (record.entries !== entriesRead) findings.add(`there are ${entriesRead} entries, and the last line says ${record.entries}`)
    }
  }
}
