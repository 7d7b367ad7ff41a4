import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCompactRange, leafHash, rootOfInclusion } from '../../src/verify/merkle.ts'
import { pathOf, rootOf } from './log-records.ts'

/** The vectors of Certificate Transparency (github.com/google/certificate-transparency, merkletree). */
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
/** Leaf (from 0), size, path. */
const paths: readonly (readonly [number, number, readonly string[]])[] = [
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

/** Leaves are texts in a log; these inputs are ASCII, but for one that is not among the characters that matter here. */
const leaves = inputs.map((hex) => leafHash(Buffer.from(hex, 'hex').toString('latin1')))

test('roots are those of the vectors of RFC 6962', () => {
  const tree = createCompactRange()
  assert.equal(tree.root().toString('hex'), roots[0])
  for (const [i, leaf] of leaves.entries()) {
    tree.push(leaf)
    assert.equal(tree.size, i + 1)
    assert.equal(tree.root().toString('hex'), roots[i + 1])
  }
})

test('inclusion proofs of the vectors of RFC 6962 lead to their roots, and nowhere else', () => {
  for (const [index, size, path] of paths) {
    const hashes = path.map((hex) => Buffer.from(hex, 'hex'))
    assert.equal(rootOfInclusion(leaves[index]!, index, size, hashes)?.toString('hex'), roots[size])
    assert.notEqual(rootOfInclusion(leaves[index]!, index + 1, size + 1, hashes)?.toString('hex'), roots[size])
    assert.equal(rootOfInclusion(leaves[index]!, size, size, hashes), null)
    assert.equal(rootOfInclusion(leaves[index]!, index, size, [...hashes, leaves[0]!]), null)
    if (hashes.length > 0) assert.equal(rootOfInclusion(leaves[index]!, index, size, hashes.slice(1)), null)
  }
})

test('in every tree of up to 64 leaves every proof leads to the root, and no proof of another leaf does', () => {
  const many = Array.from({ length: 64 }, (_, i) => leafHash(String(i)))
  const tree = createCompactRange()
  for (let size = 1; size <= many.length; size++) {
    tree.push(many[size - 1]!)
    const root = tree.root()
    assert.deepEqual(root, rootOf(many.slice(0, size)))
    for (let index = 0; index < size; index++) {
      const path = pathOf(index, many.slice(0, size))
      assert.deepEqual(rootOfInclusion(many[index]!, index, size, path), root)
      const other = (index + 1) % size
      if (other !== index) assert.notDeepEqual(rootOfInclusion(many[other]!, index, size, path), root)
      if (other !== index) assert.notDeepEqual(rootOfInclusion(many[index]!, other, size, path), root)
    }
  }
})
