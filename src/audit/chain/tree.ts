/** The Merkle tree over all leaves (RFC 6962, section 2.1), kept in tiles (C2SP tlog-tiles): 256 hashes of every eighth level each. */
import { hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'

export const HASH_BYTES = 32
export const TILE_HASHES = 256
/** Tiles that are hashed before others get the thread, some 4 ms. */
const TILES_PER_TURN = 32

export interface TileId {
  /** Hash `i` of a tile of level `n` is the root of 256^n leaves. */
  level: number
  index: number
}

export interface Tile extends TileId {
  /** 256 of them, or fewer in the last tile of a level. */
  hashes: Buffer
}

export interface TileStore {
  /** Those of them that exist. */
  read(ids: readonly TileId[]): Promise<Tile[]>
  write(tiles: readonly Tile[]): Promise<void>
}

export interface TreeHead {
  size: number
  root: Buffer
}

/** The stored tiles are not those of the tree whose head was signed last: nothing may be signed after it. */
export class TreeMismatch extends Error {
  readonly code = 'AUDIT_TREE_MISMATCH'
  override readonly name = 'TreeMismatch'
}

const NODE = Buffer.alloc(1 + 2 * HASH_BYTES, 1)

export const hashLeaf = (leaf: Uint8Array): Buffer => hash('sha256', Buffer.concat([Buffer.of(0), leaf]), 'buffer')

/** The hash of an inner node, written to `target`. By way of latin1, which is four times as fast as a Buffer for each. */
function hashNode(children: Buffer, target: Buffer, at: number): void {
  NODE.set(children, 1)
  target.write(hash('sha256', NODE, 'latin1'), at, 'latin1')
}

export function hashChildren(left: Buffer, right: Buffer): Buffer {
  const node = Buffer.allocUnsafe(HASH_BYTES)
  hashNode(Buffer.concat([left, right]), node, 0)
  return node
}

/** The next level: the hash of each whole pair. */
export function parentsOf(hashes: Buffer): Buffer {
  const pairs = Math.floor(hashes.length / (2 * HASH_BYTES))
  const parents = Buffer.allocUnsafe(pairs * HASH_BYTES)
  for (let i = 0; i < pairs; i++) hashNode(hashes.subarray(2 * i * HASH_BYTES, 2 * (i + 1) * HASH_BYTES), parents, i * HASH_BYTES)
  return parents
}

/** Of nothing, SHA-256 of nothing. */
export const EMPTY_ROOT: Buffer = hash('sha256', '', 'buffer')

/** Where a level's last tile is not full: that tile, and how many hashes it holds. */
export function edgeOf(size: number): (TileId & { width: number })[] {
  const edge = []
  for (let level = 0, hashes = size; hashes > 0; level++, hashes = Math.floor(hashes / TILE_HASHES)) {
    const width = hashes % TILE_HASHES
    if (width > 0) edge.push({ level, index: Math.floor(hashes / TILE_HASHES), width })
  }
  return edge
}

export const tileName = ({ level, index }: TileId): string => `${level}/${index}`

/**
 * Appends leaf hashes (32 bytes each) and returns the new head. Reads the right edge alone. Throws TreeMismatch where that edge does not have the root of
 * `head`, before anything is written.
 */
export async function appendLeaves(store: TileStore, head: TreeHead, leaves: Buffer): Promise<TreeHead> {
  const edge = await readEdge(store, head)
  const tiles: Tile[] = []
  for (let level = 0, size = head.size, fresh = leaves; fresh.length > 0; level++, size = Math.floor(size / TILE_HASHES)) {
    const hashes = Buffer.concat([edge[level] ?? NOTHING, fresh])
    const full: Buffer[] = []
    let index = Math.floor(size / TILE_HASHES)
    let at = 0
    for (; at + TILE_BYTES <= hashes.length; at += TILE_BYTES) {
      const tile = hashes.subarray(at, at + TILE_BYTES)
      tiles.push({ level, index: index++, hashes: tile })
      full.push(rootOfPerfect(tile))
      if (full.length % TILES_PER_TURN === 0) await nextTurn()
    }
    edge[level] = hashes.subarray(at)
    if (at < hashes.length) tiles.push({ level, index, hashes: edge[level] })
    fresh = Buffer.concat(full)
  }
  await store.write(tiles)
  return { size: head.size + leaves.length / HASH_BYTES, root: rootOfEdge(edge) }
}

const TILE_BYTES = TILE_HASHES * HASH_BYTES
const NOTHING = Buffer.alloc(0)

/** By level: the hashes of the last tile, none where that is full. */
async function readEdge(store: TileStore, { size, root }: TreeHead): Promise<Buffer[]> {
  const ids = edgeOf(size)
  const tiles = new Map((await store.read(ids)).map((tile) => [tileName(tile), tile.hashes]))
  const edge: Buffer[] = []
  for (const id of ids) {
    const hashes = tiles.get(tileName(id))
    if (hashes?.length !== id.width * HASH_BYTES) throw new TreeMismatch(`Tile ${tileName(id)} does not hold the ${id.width} hashes it had.`)
    edge[id.level] = hashes
  }
  if (!rootOfEdge(edge).equals(root)) throw new TreeMismatch(`The tiles do not have the root of the checkpoint of size ${size}.`)
  return edge
}

function rootOfEdge(edge: readonly (Buffer | undefined)[]): Buffer {
  let root: Buffer | null = null
  for (const hashes of edge) root = foldPeaks(hashes ?? NOTHING, root)
  return root ?? EMPTY_ROOT
}

/** Less than 256 hashes are perfect trees side by side, the largest first; `right` is the root of what stands to their right. */
export function foldPeaks(hashes: Buffer, right: Buffer | null): Buffer | null {
  let root = right
  for (let width = 1, end = hashes.length / HASH_BYTES; end > 0; width *= 2) {
    if ((end & width) === 0) continue
    const peak = rootOfPerfect(hashes.subarray((end - width) * HASH_BYTES, end * HASH_BYTES))
    root = root ? hashChildren(peak, root) : peak
    end -= width
  }
  return root
}

/** Of 1, 2, 4 … hashes. */
function rootOfPerfect(hashes: Buffer): Buffer {
  let level = hashes
  while (level.length > HASH_BYTES) level = parentsOf(level)
  return level
}
