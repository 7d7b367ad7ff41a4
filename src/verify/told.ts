/** What entries of the log tell of other leaves: that their rows were pruned or erased, and where chains end. Believed only of entries that are proved. */
import { type BitSet, createBitSet } from './bit-set.ts'
import type { Chains } from './chains.ts'
import type { Findings } from './findings.ts'
import { names, type Run, readNamedLeaves } from './named-leaves.ts'
import type { EntryFacts } from './record.ts'

export interface Place {
  writer_id: string | null
  seq: number | null
  audit_id: string
}

interface Close {
  lastSeq: number
  /** The entry that tells of it. */
  audit_id: string
  byItself: boolean
}

export function createTold({ chains, findings }: { chains: Chains; findings: Findings }) {
  const pruned = createBitSet()
  /** Leaves of which an entry tells that is not proved. */
  const claimed = createBitSet()
  /** By the audit_id of the entry that tells of the erasure. */
  const erasures = new Map<string, Map<string, Run[]>>()
  /** Of each chain that was closed, by whom and where; the furthest, for a silent writer may go on and be closed again. */
  const closes = new Map<string, Close>()
  let openedAt: string | null = null

  function take({ kind, reason, metadata, timestamp, audit_id }: EntryFacts, place: Place): void {
    if (kind === 'chain' && reason === 'writer.open') open(metadata, timestamp, place)
    else if (kind === 'chain' && reason === 'writer.close') close(metadata, place)
    else if (kind === 'change' && (reason === 'audit.prune' || reason === 'audit.erase')) {
      const named = readNamedLeaves(metadata.leaves)
      if (!named) findings.add('the entry does not say which leaves it speaks of', place)
      else if (reason === 'audit.erase') erasures.set(audit_id, named)
      else markPruned(named, place)
    }
  }

  /** Not believed: but who reads of a leaf without a row may want to know. */
  function takeClaim({ kind, metadata }: EntryFacts): void {
    if (kind === 'change') markAll(claimed, readNamedLeaves(metadata?.leaves) ?? new Map())
  }

  function open(metadata: EntryFacts['metadata'], timestamp: string, { seq, ...place }: Place): void {
    const writer = chains.writers.get(place.writer_id ?? '')
    if (seq !== 1 || metadata.subject !== place.writer_id) findings.add('the entry opens a writer in the middle of a chain', { ...place, seq })
    else if (metadata.public_key !== writer?.publicKeyText) findings.add('the public key of the writer is not the one it was opened with', { ...place, seq })
    if (openedAt === null || timestamp < openedAt) openedAt = timestamp
  }

  function close({ subject, last_seq, reason }: EntryFacts['metadata'], { writer_id, audit_id }: Place): void {
    const id = String(subject)
    const known = closes.get(id)
    if (known && known.lastSeq >= Number(last_seq)) return
    closes.set(id, { lastSeq: Number(last_seq), audit_id, byItself: reason === 'stopped' && writer_id === id })
  }

  function markPruned(named: ReadonlyMap<string, readonly Run[]>, { audit_id }: Place): void {
    for (const [writer_id, runs] of named) {
      const last = chains.writers.get(writer_id)?.last ?? 0
      const [, end] = runs.at(-1)!
      if (end > last) findings.add(`${audit_id} says that leaf ${end} was pruned, and the chain ends with leaf ${last}`, { writer_id, seq: last + 1 })
    }
    markAll(pruned, named)
  }

  function markAll(set: BitSet, named: ReadonlyMap<string, readonly Run[]>): void {
    for (const [writerId, runs] of named) {
      const last = chains.writers.get(writerId)?.last ?? 0
      for (const [from, to] of runs) {
        for (let seq = from; seq <= Math.min(to, last); seq++) {
          const at = chains.find(writerId, seq)
          if (at !== null) set.add(at)
        }
      }
    }
  }

  /** A chain goes as far as its close says, and no further where it closed itself; whatever is said to be closed is closed so. */
  function verifyCloses(): void {
    for (const [writer_id, { lastSeq, audit_id, byItself }] of closes) {
      const last = chains.writers.get(writer_id)?.last ?? 0
      if (last < lastSeq)
        findings.add(`the chain ends with leaf ${last}, and ${audit_id} says it was closed after ${lastSeq}: it was cut off`, { writer_id, seq: last + 1 })
      // Only the writer itself can sign more. One that was only slow does, after another took it for dead.
      else if (last > lastSeq && byItself) findings.add(`the chain goes on after ${audit_id}, which closed it`, { writer_id, seq: lastSeq + 1 })
    }
    for (const { id, last, lastSeq, closed } of chains.writers.values()) {
      const close = closes.get(id)
      if (last === 0) findings.add('the writer has no leaves', { writer_id: id, seq: 1 })
      if (closed !== (close !== undefined))
        findings.add(`the writer is said to be ${closed ? 'closed' : 'open'}, and its chain is not`, { writer_id: id, seq: last })
      else if (close && lastSeq !== close.lastSeq)
        findings.add(`the writer is said to end with leaf ${lastSeq}, and was closed after ${close.lastSeq}`, { writer_id: id, seq: last })
    }
  }

  return {
    take,
    takeClaim,
    pruned,
    claimed,
    /** When the first writer was opened; null: none was. */
    get openedAt() {
      return openedAt
    },
    isErasedBy: (auditId: string, writerId: string, seq: number): boolean => names(erasures.get(auditId) ?? new Map(), writerId, seq),
    verifyCloses,
    /** Chains that are not closed. */
    openChains: (): number => [...chains.writers.keys()].filter((id) => !closes.has(id)).length,
  }
}
