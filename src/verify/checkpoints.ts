/** Signed heads of the tree, from the log itself and from outside, by size. */
import type { Findings } from './findings.ts'
import { createHashList } from './hash-list.ts'
import { BadNote, type NoteKey, openCheckpoint } from './signed-note.ts'

export interface Head {
  size: number
  root: Buffer
  isOutside: boolean
}

export interface Checkpoints {
  /** Of the log's own, and of those from outside: how many were signed as they should be, and the size of the greatest. */
  readonly own: { count: number; newest: number }
  readonly outside: { count: number; newest: number }
  add(note: string, from: { source: string; isOutside: boolean; size?: number | undefined; root?: Buffer | undefined }): void
  /** By size, ascending. */
  sorted(): Generator<Head>
}

export function createCheckpoints({ keys, findings }: { keys: readonly NoteKey[]; findings: Findings }): Checkpoints {
  const sizes: number[] = []
  const roots = createHashList()
  const outsides = new Set<number>()
  const own = { count: 0, newest: 0 }
  const outside = { count: 0, newest: 0 }
  return {
    own,
    outside,
    add(note, { source, isOutside, size: sizeBeside, root: rootBeside }) {
      try {
        const { size, root } = openCheckpoint(note, keys)
        if ((sizeBeside ?? size) !== size || !(rootBeside ?? root).equals(root)) findings.add(`${source}: size or root beside the note are not what it says`)
        if (isOutside) outsides.add(sizes.length)
        sizes.push(size)
        roots.add(root)
        const side = isOutside ? outside : own
        side.count++
        side.newest = Math.max(side.newest, size)
      } catch (error) {
        if (!(error instanceof BadNote)) throw error
        findings.add(`${source}: ${error.message}`)
      }
    },
    *sorted() {
      const order = Uint32Array.from(sizes.keys()).sort((a, b) => sizes[a]! - sizes[b]!)
      for (const i of order) yield { size: sizes[i]!, root: roots.at(i), isOutside: outsides.has(i) }
    },
  }
}
