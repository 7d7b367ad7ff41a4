/** Whether the rows are what the leaves say, each leaf has its row, and no row is without a leaf. */
import { createBitSet } from './bit-set.ts'
import type { Chains } from './chains.ts'
import type { Findings } from './findings.ts'
import type { EntryRecord, LogRecord, RowLeaf, Standing } from './record.ts'
import { createSuperseded } from './superseded.ts'
import { createTold } from './told.ts'
import { createUnplaced } from './unplaced.ts'

export interface EntryCounts {
  /** Rows, those without a place among them. */
  entries: number
  erased: number
  pruned: number
  superseded: number
  /** Rows that will be given their place before the next checkpoint. */
  waiting: number
  /** Rows from before the log was chained: nothing proves them. */
  unproved: number
  /** Chains that are not closed. */
  open: number
}

export function createEntriesVerifier({ chains, findings }: { chains: Chains; findings: Findings }) {
  /** The leaves, by their place in the list, that have a row, and those whose row is what was logged. */
  const seen = createBitSet()
  const proved = createBitSet()
  const told = createTold({ chains, findings })
  const unplaced = createUnplaced({ findings })
  const superseded = createSuperseded({ chains, findings })
  /** The leaves whose rows name an erasure, by what they name. */
  const erased = new Map<string, number[]>()
  let entries = 0
  /** The newest time that a row in the tree names. */
  let coveredUntil = ''

  let writerId = ''
  let lastSeq = 0
  const finished = new Set<string>()
  /** The last leaf of each tenant in the chain that goes by. */
  const tenantSeq = new Map<string, number>()

  function takeEntry({ entry, chain, leaf, seal }: EntryRecord): void {
    entries++
    if (!chain || !leaf) {
      unplaced.add(entry, seal)
      // Whoever prunes or erases writes what tells of it in the same transaction.
      if (seal === 'right') told.take(entry, { writer_id: null, seq: null, audit_id: entry.audit_id })
      else told.takeClaim(entry)
      return
    }
    const place = { writer_id: chain.writer_id, seq: chain.seq, audit_id: entry.audit_id }
    const isInOrder = follow(chain)
    if (!isInOrder) findings.add('the row does not stand in the order of the leaves', place)
    const at = chains.find(chain.writer_id, chain.seq)
    if (at === null) {
      findings.add('the row has a place that no leaf has', place)
      return
    }
    if (seen.has(at)) {
      findings.add('a second row for the leaf', place)
      return
    }
    seen.add(at)

    const problem = rowProblem(leaf, chain, at) ?? (seal === 'wrong' ? 'the row has a place, and yet a seal' : null)
    if (problem) {
      findings.add(problem, place)
      return
    }
    proved.add(at)
    if (isInOrder) {
      const owner = `${entry.kind} ${entry.tenant_id ?? ''}`
      if (!isTenantPrev(owner, chain)) findings.add(`the row names leaf ${chain.tenant_prev} as the one of its tenant before it`, place)
      tenantSeq.set(owner, chain.seq)
    }
    if (chain.seq === 1 && !(entry.kind === 'chain' && entry.reason === 'writer.open'))
      findings.add('the first entry of the chain does not open its writer', place)
    if (entry.kind !== 'exchange') told.take(entry, place)
    else superseded.addRow(entry)
    if (chain.erased_by !== null) listOf(erased, chain.erased_by).push(at)
    if (chains.treeIndexAt(at) !== null && entry.timestamp > coveredUntil) coveredUntil = entry.timestamp
  }

  /** Whether a row comes where its place is: all rows of a writer after one another, by seq. */
  function follow({ writer_id, seq }: Standing): boolean {
    if (writer_id !== writerId) {
      finished.add(writerId)
      writerId = writer_id
      lastSeq = 0
      tenantSeq.clear()
      if (finished.has(writer_id)) return false
    }
    // A second row for the same leaf is told as such.
    if (seq < lastSeq) return false
    lastSeq = seq
    return !finished.has(writer_id)
  }

  function rowProblem({ hash, problem }: RowLeaf, { index }: Standing, at: number): string | null {
    if (problem) return problem
    if (!hash.equals(chains.leaves.at(at))) return 'the row is not what was logged'
    return index == null || index === chains.treeIndexAt(at) ? null : 'the row names another place in the tree than its leaf has'
  }

  /** Where rows in between are gone, or wrong, one of them may be the tenant's. */
  function isTenantPrev(owner: string, { writer_id, seq, tenant_prev }: Standing): boolean {
    const last = tenantSeq.get(owner) ?? 0
    if (tenant_prev === last) return true
    const at = chains.find(writer_id, tenant_prev)
    return tenant_prev > last && tenant_prev < seq && (at === null || !proved.has(at))
  }

  function finish(): EntryCounts {
    superseded.finish({ seen, onErased: (by, at) => listOf(erased, by).push(at) })
    reportMissing()
    for (const [by, leaves] of erased) {
      for (const at of leaves) {
        const place = chains.placeAt(at)
        if (!told.isErasedBy(by, place.writer_id, place.seq))
          findings.add(`the row is said to be erased by ${by}, and no such entry names it${claimAt(at)}`, place)
      }
    }
    told.verifyCloses()
    const { waiting, unproved } = unplaced.finish({ openedAt: told.openedAt, coveredUntil })
    const erasedCount = [...erased.values()].reduce((sum, leaves) => sum + leaves.length, 0)
    return { entries, erased: erasedCount, pruned: told.pruned.size, superseded: superseded.count, waiting, unproved, open: told.openChains() }
  }

  function reportMissing(): void {
    for (const { writer, first, at, count } of chains.runs) {
      let missing = 0
      for (let i = 0; i <= count; i++) {
        const isThere = i === count || seen.has(at + i) || superseded.has(at + i) || told.pruned.has(at + i)
        if (!isThere) missing++
        if (!isThere || missing === 0) continue
        const [from, to] = [first + i - missing, first + i - 1]
        const what = from === to ? 'the row of the leaf is missing' : `the rows of leaves ${from} to ${to} are missing`
        findings.add(what + claimAt(at + i - 1), { writer_id: writer.id, seq: from })
        missing = 0
      }
      if (first === 1 && !seen.has(at) && (superseded.has(at) || told.pruned.has(at)))
        findings.add('the entry that opens the writer is gone, which none may', { writer_id: writer.id, seq: 1 })
    }
  }

  /** What an export says of the last seconds before it: it has no seals. */
  function claimAt(at: number): string {
    return told.claimed.has(at) ? '; an entry that has no place yet tells of it, which the next checkpoint will prove or not' : ''
  }

  return {
    takeEntry,
    takeSuperseded: (record: Extract<LogRecord, { kind: 'superseded' }>): void => superseded.add(record),
    finish,
  }
}

function listOf<Key, Value>(lists: Map<Key, Value[]>, key: Key): Value[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}
