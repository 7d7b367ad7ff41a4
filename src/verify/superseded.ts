/** Leaves whose exchange was logged twice: it has one row, and what the other leaf said is kept. */
import { hash } from 'node:crypto'
import { type BitSet, createBitSet } from './bit-set.ts'
import type { Chains } from './chains.ts'
import { leafOfRow } from './check-row.ts'
import type { Findings } from './findings.ts'
import { createHashList, type HashList } from './hash-list.ts'
import type { Chained, EntryFacts, LogRecord } from './record.ts'
import { entryOfRow } from './row-entry.ts'

type SupersededRecord = Extract<LogRecord, { kind: 'superseded' }>

interface Kept {
  at: number
  audit_id: string
  isUnknown: boolean
  erasedBy: string | null
}

/** Of the hash of an audit_id: what it is found again by. */
const ID_BYTES = 8

export function createSuperseded({ chains, findings }: { chains: Chains; findings: Findings }) {
  const leaves = createBitSet()
  /** The exchanges that have a row: those whose end it knows, and the others. */
  const ended = createHashList(ID_BYTES)
  const unknown = createHashList(ID_BYTES)
  const kept: Kept[] = []

  function addRow({ audit_id, outcome }: EntryFacts): void {
    const rows = outcome === 'unknown' ? unknown : ended
    rows.add(idOf(audit_id))
  }

  function add({ writer_id, seq, audit_id: idBeside, row }: SupersededRecord): void {
    const audit_id = String(row.audit_id)
    const place = { writer_id, seq, audit_id }
    const at = chains.find(writer_id, seq)
    const problem =
      at === null ? 'its place is one that no leaf has' : leaves.has(at) ? 'it is there twice' : rowProblem({ writer_id, seq, row }, chains.leaves.at(at))
    if (at !== null) leaves.add(at)
    if (problem) findings.add(`of a row that was superseded: ${problem}`, place)
    else if ((idBeside ?? audit_id) !== audit_id) findings.add('of a row that was superseded: the audit_id beside it is not its own', place)
    else kept.push({ at: at!, audit_id, isUnknown: row.outcome === 'unknown', erasedBy: (row.erased_by as string | null | undefined) ?? null })
  }

  /** `seen`: the leaves that have a row. `onErased` is told of each that names an erasure. */
  function finish({ seen, onErased }: { seen: BitSet; onErased(by: string, at: number): void }): void {
    const isEnded = findAll(ended, kept)
    const isUnknown = findAll(unknown, kept)
    for (const { at, audit_id, erasedBy, ...row } of kept) {
      const place = { ...chains.placeAt(at), audit_id }
      const id = textOf(audit_id)
      if (seen.has(at)) findings.add('the leaf has a row, and is said to be superseded', place)
      // What knows the end of an exchange gives way to nothing that does not.
      else if (!isEnded.has(id) && !(row.isUnknown && isUnknown.has(id))) findings.add('the row was superseded, and the one that says more is missing', place)
      if (erasedBy !== null) onErased(erasedBy, at)
    }
  }

  return {
    addRow,
    add,
    finish,
    has: (at: number): boolean => leaves.has(at),
    get count() {
      return leaves.size
    },
  }
}

function rowProblem({ writer_id, seq, row }: Pick<SupersededRecord, 'writer_id' | 'seq' | 'row'>, leaf: Buffer): string | null {
  const { tenant_prev, salt = null, payload_hash, erased_by = null } = row
  const chain = { writer_id, seq, tenant_prev: Number(tenant_prev), salt, payload_hash, erased_by } as Chained
  try {
    const entry = entryOfRow(row)
    const { hash: found, problem } = leafOfRow(entry, chain)
    if (problem) return problem
    if (!found.equals(leaf)) return 'it is not what was logged'
    return entry.kind === 'exchange' ? null : 'it is of no exchange'
  } catch {
    return 'it holds what no entry can'
  }
}

const idOf = (auditId: string): Buffer => hash('sha256', auditId, 'buffer').subarray(0, ID_BYTES)
const textOf = (auditId: string): string => idOf(auditId).toString('latin1')

/** Which of the exchanges are in the list. */
function findAll(ids: HashList, kept: readonly Kept[]): Set<string> {
  const wanted = new Set(kept.map(({ audit_id }) => textOf(audit_id)))
  const found = new Set<string>()
  if (wanted.size === 0) return found
  for (let i = 0; i < ids.length; i++) {
    const id = ids.at(i).toString('latin1')
    if (wanted.has(id)) found.add(id)
  }
  return found
}
