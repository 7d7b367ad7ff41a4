/** The Merkle tree of RFC 6962 (section 2.1), for SHA-256. Written anew here: whoever verifies a log shares no tree with whoever made it. */
import { hash } from 'node:crypto'

const HASH_BYTES = 32
const EMPTY_ROOT = hash('sha256', '', 'buffer')

/** Inner nodes are hashed in this one place: 0x01, left, right. */
const node = Buffer.alloc(1 + 2 * HASH_BYTES, 0x01)

export function nodeHash(left: Buffer, right: Buffer): Buffer {
  left.copy(node, 1)
  right.copy(node, 1 + HASH_BYTES)
  return hash('sha256', node, 'buffer')
}

/** SHA-256(0x00 ‖ the leaf's text in UTF-8). */
export const leafHash = (text: string): Buffer => hash('sha256', `\0${text}`, 'buffer')

export interface CompactRange {
  readonly size: number
  /** The hash of the next leaf. */
  push(leaf: Buffer): void
  /** Of the tree over all leaves so far. */
  root(): Buffer
}

/** Computes roots while leaves go by: keeps the roots of the full subtrees, one for each bit of the size. */
export function createCompactRange(): CompactRange {
  const subtrees: Buffer[] = []
  const heights: number[] = []
  let size = 0
  return {
    get size() {
      return size
    },
    push(leaf) {
      let subtree = leaf
      let height = 0
      for (; heights.at(-1) === height; height++) {
        heights.pop()
        subtree = nodeHash(subtrees.pop()!, subtree)
      }
      subtrees.push(subtree)
      heights.push(height)
      size++
    },
    root: () => (size === 0 ? EMPTY_ROOT : subtrees.reduceRight((right, left) => nodeHash(left, right))),
  }
}

/** The root that an inclusion proof leads to (RFC 9162, 2.1.3.2); null where the path does not fit a tree of this size. */
export function rootOfInclusion(leaf: Buffer, index: number, size: number, path: readonly Buffer[]): Buffer | null {
  if (!(index >= 0 && index < size)) return null
  let at = index
  let last = size - 1
  let root = leaf
  for (const sibling of path) {
    if (last === 0 || sibling.length !== HASH_BYTES) return null
    if (at % 2 === 1 || at === last) {
      root = nodeHash(sibling, root)
      for (; at % 2 === 0 && at !== 0; at /= 2) last = Math.floor(last / 2)
    } else {
      root = nodeHash(root, sibling)
    }
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? root : null
}
