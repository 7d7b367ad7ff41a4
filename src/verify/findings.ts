/** What does not hold, and where. */

export interface Finding {
  /** Null where it concerns no one chain. */
  writer_id: string | null
  seq: number | null
  audit_id: string | null
  problem: string
}

export interface Findings {
  /** Everything that was found, more than is kept. */
  readonly total: number
  add(problem: string, place?: Partial<Omit<Finding, 'problem'>>): void
  /** The first of every writer, and as many others as are kept, by writer and place; what concerns no writer comes first. */
  list(): Finding[]
}

/** Findings that are kept beside the first of each writer, and writers whose first is kept. */
export const PROBLEMS_MAX = 1_000

export function createFindings(): Findings {
  const kept: Finding[] = []
  const first = new Map<string, Finding>()
  let total = 0
  return {
    get total() {
      return total
    },
    add(problem, { writer_id = null, seq = null, audit_id = null } = {}) {
      const finding: Finding = { writer_id, seq, audit_id, problem }
      total++
      if (kept.length < PROBLEMS_MAX) kept.push(finding)
      if (writer_id === null) return
      const known = first.get(writer_id)
      if (known ? (seq ?? 0) < (known.seq ?? 0) : first.size < PROBLEMS_MAX) first.set(writer_id, finding)
    },
    list() {
      const all = [...new Set([...kept, ...first.values()])]
      return all.sort((a, b) => compare(a.writer_id ?? '', b.writer_id ?? '') || (a.seq ?? 0) - (b.seq ?? 0))
    },
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
