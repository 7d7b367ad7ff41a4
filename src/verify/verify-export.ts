/** Verifies some entries of a log by themselves: each is in the tree that a checkpoint signs. That is what a tenant can tell of its own. */
import { createFindings, type Finding, type Findings } from './findings.ts'
import { rootOfInclusion } from './merkle.ts'
import { names, type Run, readNamedLeaves } from './named-leaves.ts'
import type { EntryFacts, EntryRecord, LogRecord, RowLeaf, Standing } from './record.ts'
import { BadNote, type NoteKey, openCheckpoint } from './signed-note.ts'
import { createUnplaced } from './unplaced.ts'
import type { OutsideNote } from './verify-log.ts'

export interface ExportReport {
  kind: 'export'
  holds: boolean
  entries: number
  /** Entries that are in the tree of a checkpoint. */
  covered: number
  /** Entries that no checkpoint holds yet, or that have no place yet. */
  waiting: number
  /** Entries from before the log was chained: nothing proves them. */
  unproved: number
  erased: number
  /** Of those, the ones of which an entry that is here tells. */
  erasures_told: number
  /** The file claims to hold all that a tenant has, so that holes were looked for. */
  whole: boolean
  checkpoints: number
  problems: Finding[]
  problems_total: number
}

/** What is known of one writer's leaves. */
interface Leaves {
  seen: Set<number>
  /** Leaves that a later one names as its tenant's before it, and that later one. */
  named: Map<number, number>
  newestCovered: number
  oldestUncovered: number
}

/** `isWhole`: no entry of the tenant may be missing between two others. `outside`: the checkpoints. */
export async function verifyExport(
  records: AsyncIterable<LogRecord>,
  { keys, outside, isWhole }: { keys: readonly NoteKey[]; outside: Iterable<OutsideNote>; isWhole: boolean },
): Promise<ExportReport> {
  const findings = createFindings()
  const roots = readRoots(outside, keys, findings)
  const unplaced = createUnplaced({ findings })
  const writers = new Map<string, Leaves>()
  const erasures = new Map<string, Map<string, Run[]>>()
  const pruned: Map<string, Run[]>[] = []
  const erased: { by: string; writer_id: string; seq: number }[] = []
  const counts = { entries: 0, covered: 0, uncovered: 0 }
  /** The oldest time of an entry with a place, and the newest of one that is in the tree. */
  let openedAt: string | null = null
  let coveredUntil = ''

  for await (const record of records) {
    if (record.kind === 'unreadable') findings.add(`line ${record.line} cannot be read: ${record.why}`)
    else if (record.kind !== 'entry') findings.add(`a record of kind ${record.kind} stands where it should not`)
    else takeEntry(record)
  }
  for (const [writerId, leaves] of writers) verifyLeaves(writerId, leaves)
  const { waiting, unproved } = unplaced.finish({ openedAt, coveredUntil })
  const told = erased.filter(({ by, writer_id, seq }) => names(erasures.get(by) ?? new Map(), writer_id, seq))
  return {
    kind: 'export',
    holds: findings.total === 0,
    entries: counts.entries,
    covered: counts.covered,
    waiting: waiting + counts.uncovered,
    unproved,
    erased: erased.length,
    erasures_told: told.length,
    whole: isWhole,
    checkpoints: roots.size,
    problems: findings.list(),
    problems_total: findings.total,
  }

  function takeEntry({ entry, chain, leaf }: EntryRecord): void {
    counts.entries++
    if (!chain || !leaf) {
      unplaced.add(entry, 'unknown')
      return
    }
    const { writer_id, seq, erased_by } = chain
    const place = { writer_id, seq, audit_id: entry.audit_id }
    const leaves = leavesOf(writer_id)
    const problem = leaves.seen.has(seq) ? 'a second entry for the leaf' : entryProblem(leaf, chain, roots)
    leaves.seen.add(seq)
    if (problem) {
      findings.add(problem, place)
      return
    }
    if (openedAt === null || entry.timestamp < openedAt) openedAt = entry.timestamp
    if (chain.tenant_prev > 0) leaves.named.set(chain.tenant_prev, seq)
    if (erased_by !== null) erased.push({ by: erased_by, writer_id, seq })
    if (chain.index == null) {
      counts.uncovered++
      leaves.oldestUncovered = Math.min(leaves.oldestUncovered, seq)
      return
    }
    counts.covered++
    leaves.newestCovered = Math.max(leaves.newestCovered, seq)
    if (entry.timestamp > coveredUntil) coveredUntil = entry.timestamp
    if (entry.kind === 'change') takeTold(entry)
  }

  /** Believed only of what is in the tree. */
  function takeTold({ reason, metadata, audit_id }: EntryFacts): void {
    const named = readNamedLeaves(metadata.leaves)
    if (named && reason === 'audit.erase') erasures.set(audit_id, named)
    if (named && reason === 'audit.prune') pruned.push(named)
  }

  function verifyLeaves(writer_id: string, { seen, named, newestCovered, oldestUncovered }: Leaves): void {
    // The tree takes the leaves of a writer in their order.
    if (oldestUncovered < newestCovered)
      findings.add('no checkpoint holds the entry, though one holds a later entry of its writer', { writer_id, seq: oldestUncovered })
    if (!isWhole) return
    for (const [seq, by] of named) {
      if (!seen.has(seq) && !pruned.some((each) => names(each, writer_id, seq)))
        findings.add(`the entry is missing that leaf ${by} names as its tenant's before it`, { writer_id, seq })
    }
  }

  function leavesOf(writerId: string): Leaves {
    const known = writers.get(writerId)
    if (known) return known
    const leaves = { seen: new Set<number>(), named: new Map<number, number>(), newestCovered: 0, oldestUncovered: Number.POSITIVE_INFINITY }
    writers.set(writerId, leaves)
    return leaves
  }
}

function readRoots(outside: Iterable<OutsideNote>, keys: readonly NoteKey[], findings: Findings): Map<number, Buffer> {
  const roots = new Map<number, Buffer>()
  for (const { note, source } of outside) {
    try {
      const { size, root } = openCheckpoint(note, keys)
      if (roots.get(size)?.equals(root) === false) findings.add(`${source}: another checkpoint of size ${size} signs another tree`)
      else roots.set(size, root)
    } catch (error) {
      if (!(error instanceof BadNote)) throw error
      findings.add(`${source}: ${error.message}`)
    }
  }
  return roots
}

function entryProblem({ hash, problem }: RowLeaf, { index, tree_size, path }: Standing, roots: ReadonlyMap<number, Buffer>): string | null {
  if (problem || index == null) return problem
  const root = roots.get(tree_size ?? -1)
  if (!root) return `it is proved by a checkpoint of size ${tree_size}, which is not among those given`
  const hashes = (path ?? []).map((text) => Buffer.from(text, 'base64'))
  return rootOfInclusion(hash, index, tree_size!, hashes)?.equals(root)
    ? null
    : 'the entry is not what was logged: it is not in the tree that the checkpoint signs'
}
