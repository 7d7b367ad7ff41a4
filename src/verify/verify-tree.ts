/** Whether the leaves, in the order of the tree, are those that checkpoints sign. */
import { type Chains, lastWhere } from './chains.ts'
import type { Checkpoints, Head } from './checkpoints.ts'
import type { Findings } from './findings.ts'
import { createCompactRange } from './merkle.ts'

/**
 * Computes every checkpoint's root anew at its size, so that any two that hold are of one tree that only grew. Where batches are missing in the tree,
 * roots end, and only what else is missing is looked for. Returns the size of the tree.
 */
export function verifyTree({ chains, checkpoints, findings }: { chains: Chains; checkpoints: Checkpoints; findings: Findings }): number {
  const batches = [...chains.treeBatches].sort((a, b) => a.treeIndex - b.treeIndex)
  const heads = checkpoints.sorted()
  const tree = createCompactRange()
  let head = heads.next()
  /** The size of the last head before the first that does not hold. */
  let held = 0
  const broken = { first: null as Head | null, count: 0 }

  compareHeads()
  let size = 0
  let isWhole = true
  for (const { treeIndex, at, count } of batches) {
    if (treeIndex !== size) {
      isWhole = false
      if (treeIndex > size) findings.add(`leaves ${size} to ${treeIndex - 1} of the tree are in no batch; after them stands ${nameOf(treeIndex)}`)
      else findings.add(`the batch has a place in the tree that another one has, ${treeIndex}`, chains.placeAt(at))
    }
    if (isWhole) {
      for (let i = 0; i < count; i++) {
        tree.push(chains.leaves.at(at + i))
        compareHeads()
      }
    }
    size = Math.max(size, treeIndex + count)
  }

  const { own, outside } = checkpoints
  if (broken.first) {
    const [first, last] = [held, broken.first.size - 1]
    const leaves = last < first ? 'the empty tree is' : `the leaves from here to ${nameOf(last)} (${first} to ${last} of the tree) are`
    const later = broken.count === 1 ? '' : `; ${broken.count - 1} later ones do not fit either`
    findings.add(`${leaves} not what the checkpoint of size ${sizeOf(broken.first)} signs${later}`, leafAt(first))
  }
  const greatest = { size: Math.max(own.newest, outside.newest), isOutside: outside.newest > own.newest }
  if (greatest.size > size)
    findings.add(`leaves ${size} to ${greatest.size - 1} of the tree are missing: the log ends before the checkpoint of size ${sizeOf(greatest)}`)
  if (size > own.newest) findings.add(`no checkpoint of the log signs the leaves from here on (${own.newest} to ${size - 1} of the tree)`, leafAt(own.newest))
  return size

  function compareHeads(): void {
    for (; !head.done && head.value.size === tree.size; head = heads.next()) {
      const holds = tree.root().equals(head.value.root)
      if (holds && !broken.first) held = tree.size
      if (holds) continue
      broken.first ??= head.value
      broken.count++
    }
  }

  function leafAt(index: number): { writer_id: string; seq: number } | undefined {
    const batch = lastWhere(batches, ({ treeIndex }) => treeIndex <= index)
    return batch && index < batch.treeIndex + batch.count ? chains.placeAt(batch.at + index - batch.treeIndex) : undefined
  }

  function nameOf(index: number): string {
    const leaf = leafAt(index)
    return leaf ? `${leaf.writer_id} ${leaf.seq}` : 'none'
  }
}

const sizeOf = ({ size, isOutside }: Pick<Head, 'size' | 'isOutside'>): string => (isOutside ? `${size} from outside` : `${size}`)
