import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { createProver, isIncluded } from '../../../src/audit/chain/inclusion.ts'
import { appendLeaves, EMPTY_ROOT, hashLeaf, type Tile, type TileStore, type TreeHead, TreeMismatch, tileName } from '../../../src/audit/chain/tree.ts'

// The reference vectors of Certificate Transparency (RFC 6962): https://github.com/transparency-dev/merkle/tree/main/testonly
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const roots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
const paths: [index: number, size: number, path: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
]

/** RFC 6962, section 2.1, word for word. */
const sha256 = (...parts: Uint8Array[]): Buffer => parts.reduce((all, part) => all.update(part), createHash('sha256')).digest()
const split = (n: number): number => 2 ** Math.floor(Math.log2(n - 1))
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length <= 1) return leaves[0] ?? sha256()
  const k = split(leaves.length)
  return sha256(Buffer.of(1), naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)))
}
function naivePath(m: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length <= 1) return []
  const k = split(leaves.length)
  return m < k ? [...naivePath(m, leaves.slice(0, k)), naiveRoot(leaves.slice(k))] : [...naivePath(m - k, leaves.slice(k)), naiveRoot(leaves.slice(0, k))]
}

function memoryTiles(): TileStore & { tiles: Map<string, Tile>; reads: number } {
  const tiles = new Map<string, Tile>()
  return {
    tiles,
    reads: 0,
    async read(ids) {
      this.reads += ids.length
      return ids.flatMap((id) => tiles.get(tileName(id)) ?? [])
    },
    async write(all) {
      for (const tile of all) tiles.set(tileName(tile), { ...tile, hashes: Buffer.from(tile.hashes) })
    },
  }
}

const leaves = Array.from({ length: 100_000 }, (_, i) => hashLeaf(Buffer.from(String(i))))
const empty: TreeHead = { size: 0, root: EMPTY_ROOT }
const upTo = (from: number, to: number): Buffer => Buffer.concat(leaves.slice(from, to))

test('roots and inclusion proofs are those of the reference vectors of Certificate Transparency', async () => {
  const hashes = inputs.map((input) => hashLeaf(Buffer.from(input, 'hex')))
  const store = memoryTiles()
  let head = empty
  for (const [i, leaf] of hashes.entries()) {
    head = await appendLeaves(store, head, leaf)
    assert.deepEqual([head.size, head.root.toString('hex')], [i + 1, roots[i]])
  }
  for (const [index, size, path] of paths) {
    const [found] = await createProver((ids) => store.read(ids), size).pathsOf([index])
    assert.deepEqual(
      found?.map((one) => one.toString('hex')),
      path,
    )
    assert.ok(isIncluded(hashes[index]!, index, found!, { size, root: Buffer.from(roots[size - 1]!, 'hex') }))
  }
})

test('every size from 0 to 600 has the root that the definition gives, leaf by leaf and all at once', async () => {
  const store = memoryTiles()
  let head = await appendLeaves(store, empty, Buffer.alloc(0))
  assert.deepEqual(head, empty)
  for (let size = 1; size <= 600; size++) {
    const root = naiveRoot(leaves.slice(0, size))
    head = await appendLeaves(store, head, leaves[size - 1]!)
    assert.ok(head.root.equals(root), `leaf by leaf, ${size}`)
    assert.ok((await appendLeaves(memoryTiles(), empty, upTo(0, size))).root.equals(root), `at once, ${size}`)
  }
})

test('proofs of trees of every size up to 70, and around whole tiles, are those of the definition, also when the tree has grown since', async () => {
  const store = memoryTiles()
  await appendLeaves(store, empty, upTo(0, 700))
  for (const size of [...Array(70).keys(), 255, 256, 257, 511, 512, 513, 600, 700]) {
    const indexes = [...Array(size).keys()]
    const found = await createProver((ids) => store.read(ids), size).pathsOf(indexes)
    const root = naiveRoot(leaves.slice(0, size))
    for (const i of indexes) {
      if (size < 70 || i % 37 === 0) assert.deepEqual(found[i], naivePath(i, leaves.slice(0, size)), `${i} of ${size}`)
      assert.ok(isIncluded(leaves[i]!, i, found[i]!, { size, root }), `${i} of ${size}`)
    }
  }
})

test('trees of random sizes up to 100,000, grown in random steps, have the root of the definition, and proofs that hold', async () => {
  for (let round = 0; round < 3; round++) {
    const store = memoryTiles()
    const size = 70_000 + Math.floor(Math.random() * 30_000)
    let head = empty
    while (head.size < size) head = await appendLeaves(store, head, upTo(head.size, Math.min(size, head.size + Math.ceil(Math.random() * 20_000))))
    assert.ok(head.root.equals(naiveRoot(leaves.slice(0, size))), `${size}`)
    const indexes = Array.from({ length: 50 }, () => Math.floor(Math.random() * size))
    const found = await createProver((ids) => store.read(ids), size).pathsOf(indexes)
    for (const [i, index] of indexes.entries()) assert.ok(isIncluded(leaves[index]!, index, found[i]!, head), `${index} of ${size}`)
  }
})

test('a proof of another leaf, place, path or root does not hold', async () => {
  const store = memoryTiles()
  const head = await appendLeaves(store, empty, upTo(0, 300))
  const [path] = await createProver((ids) => store.read(ids), 300).pathsOf([7])
  assert.ok(isIncluded(leaves[7]!, 7, path!, head))
  assert.ok(!isIncluded(leaves[8]!, 7, path!, head))
  assert.ok(!isIncluded(leaves[7]!, 6, path!, head))
  assert.ok(!isIncluded(leaves[7]!, 300, path!, head))
  assert.ok(!isIncluded(leaves[7]!, 7, path!.slice(1), head))
  assert.ok(!isIncluded(leaves[7]!, 7, [...path!, leaves[0]!], head))
  assert.ok(!isIncluded(leaves[7]!, 7, path!, { ...head, root: leaves[0]! }))
  await assert.rejects(createProver((ids) => store.read(ids), 300).pathsOf([300]), RangeError)
})

test('thousands of proofs read each tile once', async () => {
  const store = memoryTiles()
  await appendLeaves(store, empty, upTo(0, 20_000))
  store.reads = 0
  const prover = createProver((ids) => store.read(ids), 20_000)
  for (let from = 0; from < 20_000; from += 500) await prover.pathsOf(Array.from({ length: 500 }, (_, i) => from + i))
  assert.equal(store.reads, store.tiles.size)
})

test('nothing is appended to tiles that are not those of the signed head', async () => {
  const fill = async () => {
    const store = memoryTiles()
    return { store, head: await appendLeaves(store, empty, upTo(0, 600)) }
  }
  const tamper: ((tiles: Map<string, Tile>) => void)[] = [
    (tiles) => (tiles.get('0/2')!.hashes[5]! ^= 1),
    (tiles) => (tiles.get('1/0')!.hashes[40]! ^= 1),
    (tiles) => tiles.delete('0/2'),
    (tiles) => tiles.set('0/2', { level: 0, index: 2, hashes: upTo(512, 601) }),
  ]
  for (const change of tamper) {
    const { store, head } = await fill()
    change(store.tiles)
    const before = structuredClone(store.tiles)
    await assert.rejects(appendLeaves(store, head, leaves[600]!), TreeMismatch)
    assert.deepEqual(structuredClone(store.tiles), before)
  }
})
