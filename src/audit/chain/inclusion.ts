/** Inclusion proofs (RFC 6962, section 2.1.1; checked as RFC 9162, section 2.1.3.2, has it), read from tiles. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { HASH_BYTES, hashChildren, parentsOf, TILE_HASHES, type TileId, type TileStore, TreeMismatch, tileName } from './tree.ts'

/** Tiles that are kept with their inner nodes, 16 KB each. What one call of `pathsOf` needs is held beside them until it returns. */
const TILES_CACHED_MAX = 256
/** Tiles that are hashed before others get the thread, some 4 ms. */
const TILES_PER_TURN = 32
/** Levels of the tree from one level of tiles to the next: 256 is 2^8. */
const TILE_DEPTH = 8

export interface Prover {
  /** For each leaf the hashes that lead from it to the root, from the bottom up. Reads each tile once. Throws where a leaf is not in the tree. */
  pathsOf(indexes: readonly number[]): Promise<Buffer[][]>
}

/** The root of 2^height leaves, the `index`th of its kind. */
interface Perfect {
  height: number
  index: number
}

/** Leaves from `start` to the end of the tree, no perfect subtree. */
interface Ragged {
  start: number
}

/** A tile's hashes, and above them those of its inner nodes, level by level. */
type Levels = readonly Buffer[]

/** Proofs for the tree as it was at `size`: it may have grown since. */
export function createProver(read: TileStore['read'], size: number): Prover {
  const cached = new Map<string, Levels>()
  const raggedHashes = new Map<number, Buffer>()

  async function pathsOf(indexes: readonly number[]): Promise<Buffer[][]> {
    const paths = indexes.map((index) => siblingsOf(index, size))
    const tiles = await tilesFor(paths.flat().flatMap((node) => ('start' in node ? peaksOf(node.start, size) : [node])))
    const hashOf = (node: Perfect | Ragged): Buffer => ('start' in node ? raggedHash(node.start, tiles) : perfectHash(node, tiles))
    const hashes = paths.map((path) => path.map(hashOf))
    for (const name of cached.keys()) {
      if (cached.size <= TILES_CACHED_MAX) break
      cached.delete(name)
    }
    return hashes
  }

  async function tilesFor(nodes: readonly Perfect[]): Promise<ReadonlyMap<string, Levels>> {
    const tiles = new Map<string, Levels>()
    const missing = new Map<string, TileId>()
    for (const node of nodes) {
      const id = placeOf(node)
      const name = tileName(id)
      if (tiles.has(name) || missing.has(name)) continue
      const known = cached.get(name)
      if (known) {
        cached.delete(name)
        cached.set(name, known)
        tiles.set(name, known)
      } else missing.set(name, id)
    }
    if (missing.size === 0) return tiles
    for (const [i, tile] of (await read([...missing.values()])).entries()) {
      const levels = [tile.hashes]
      for (let depth = 1; depth < TILE_DEPTH; depth++) levels.push(parentsOf(levels[depth - 1]))
      tiles.set(tileName(tile), levels)
      cached.set(tileName(tile), levels)
      if (i % TILES_PER_TURN === TILES_PER_TURN - 1) await nextTurn()
    }
    return tiles
  }

  function raggedHash(start: number, tiles: ReadonlyMap<string, Levels>): Buffer {
    const known = raggedHashes.get(start)
    if (known) return known
    const hash = peaksOf(start, size)
      .map((peak) => perfectHash(peak, tiles))
      .reduceRight((right, left) => hashChildren(left, right))
    raggedHashes.set(start, hash)
    return hash
  }

  return { pathsOf }
}

function placeOf({ height, index }: Perfect): TileId & { depth: number; position: number } {
  const depth = height % TILE_DEPTH
  const perTile = TILE_HASHES / 2 ** depth
  return { level: (height - depth) / TILE_DEPTH, index: Math.floor(index / perTile), depth, position: index % perTile }
}

function perfectHash(node: Perfect, tiles: ReadonlyMap<string, Levels>): Buffer {
  const place = placeOf(node)
  const hash = tiles.get(tileName(place))?.[place.depth].subarray(place.position * HASH_BYTES, (place.position + 1) * HASH_BYTES)
  if (hash?.length !== HASH_BYTES) throw new TreeMismatch(`Tile ${tileName(place)} does not hold what a checkpoint says is there.`)
  return hash
}

/** The subtrees beside the way from the root to a leaf, from the bottom up. */
function siblingsOf(leaf: number, size: number): (Perfect | Ragged)[] {
  if (!Number.isInteger(leaf) || leaf < 0 || leaf >= size) throw new RangeError(`Leaf ${leaf} is not in a tree of ${size}.`)
  const siblings: (Perfect | Ragged)[] = []
  for (let start = 0, end = size; end - start > 1; ) {
    const height = heightBelow(end - start)
    const middle = start + 2 ** height
    if (leaf < middle) {
      siblings.push(subtree(middle, end))
      end = middle
    } else {
      siblings.push({ height, index: start / 2 ** height })
      start = middle
    }
  }
  return siblings.reverse()
}

/** The height of the largest perfect tree of less than `leaves`: where RFC 6962 divides them. */
function heightBelow(leaves: number): number {
  let height = 0
  while (2 ** (height + 1) < leaves) height++
  return height
}

function subtree(start: number, end: number): Perfect | Ragged {
  const height = heightBelow(end - start + 1)
  return 2 ** height === end - start ? { height, index: start / 2 ** height } : { start }
}

function peaksOf(start: number, end: number): Perfect[] {
  const peaks: Perfect[] = []
  for (let at = start; at < end; ) {
    const height = heightBelow(end - at + 1)
    peaks.push({ height, index: at / 2 ** height })
    at += 2 ** height
  }
  return peaks
}

/** Whether the path leads from the leaf's hash to the root of a tree of `size`. */
export function isIncluded(leafHash: Buffer, index: number, path: readonly Buffer[], { size, root }: { size: number; root: Buffer }): boolean {
  if (index < 0 || index >= size) return false
  let hash = leafHash
  let node = index
  let last = size - 1
  for (const sibling of path) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      hash = hashChildren(sibling, hash)
      while (node % 2 === 0 && node !== 0) {
        node /= 2
        last = Math.floor(last / 2)
      }
    } else hash = hashChildren(hash, sibling)
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && hash.equals(root)
}
