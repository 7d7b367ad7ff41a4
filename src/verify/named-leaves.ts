/** The leaves an entry of the log speaks of: `{<writer_id>: "1-5,8"}`. */
import { isObject } from './record.ts'

/** From the first of a run to its last. */
export type Run = readonly [first: number, last: number]

/** By writer. Null where it is not written as it should be. */
export function readNamedLeaves(value: unknown): Map<string, Run[]> | null {
  if (!isObject(value)) return null
  const named = new Map<string, Run[]>()
  for (const [writerId, list] of Object.entries(value)) {
    if (typeof list !== 'string') return null
    const runs: Run[] = []
    for (const part of list.split(',')) {
      const [, first, last = first] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(part) ?? []
      if (first === undefined || Number(first) < 1 || Number(last) < Number(first)) return null
      runs.push([Number(first), Number(last)])
    }
    named.set(writerId, runs)
  }
  return named
}

export const names = (named: ReadonlyMap<string, readonly Run[]>, writerId: string, seq: number): boolean =>
  named.get(writerId)?.some(([first, last]) => first <= seq && seq <= last) ?? false
