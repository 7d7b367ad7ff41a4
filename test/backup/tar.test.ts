import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { packFolder, unpackFolder } from '../../src/backup/folder-tar.ts'
import { BLOCK_BYTES, end, headerOf, paddingOf, readHeader } from '../../src/backup/tar.ts'
import { Told } from '../../src/cli/told.ts'

const dir = mkdtempSync(join(tmpdir(), 'earthflow-tar-'))
after(() => rmSync(dir, { recursive: true, force: true }))

async function whole(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}
async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
const member = (name: string, content: string): Buffer =>
  Buffer.concat([headerOf({ name, bytes: content.length, isFolder: false }, new Date(0)), Buffer.from(content), paddingOf(content.length)])

test('a folder that is packed is unpacked the same, empty folders and empty files too, and for its owner alone', async () => {
  const from = join(dir, 'from')
  mkdirSync(join(from, 'a', 'empty'), { recursive: true })
  writeFileSync(join(from, 'a', 'large'), Buffer.alloc(700_001, 'x'))
  writeFileSync(join(from, 'none'), '')
  writeFileSync(join(from, 'exact'), Buffer.alloc(BLOCK_BYTES, 'y'))
  const to = join(dir, 'to')
  await unpackFolder(packFolder(from), to)
  assert.deepEqual(readdirSync(to, { recursive: true }).sort(), readdirSync(from, { recursive: true }).sort())
  for (const name of ['a/large', 'none', 'exact']) {
    assert.deepEqual(readFileSync(join(to, name)), readFileSync(join(from, name)))
    assert.equal(statSync(join(to, name)).mode & 0o777, 0o600)
  }
  assert.equal(statSync(join(to, 'a')).mode & 0o777, 0o700)
})

test('a folder that is not there is packed as an empty one', async () => {
  const to = join(dir, 'nothing')
  await unpackFolder(packFolder(join(dir, 'is not there')), to)
  assert.deepEqual(readdirSync(to), [])
})

test('what is packed is read by tar', async () => {
  const from = join(dir, 'plain')
  const long = `${'d'.repeat(60)}/${'e'.repeat(60)}`
  mkdirSync(join(from, long), { recursive: true })
  writeFileSync(join(from, long, 'file'), 'content')
  const path = join(dir, 'plain.tar.gz')
  writeFileSync(path, await whole(packFolder(from)))
  mkdirSync(join(dir, 'by-tar'))
  execFileSync('tar', ['-xzf', path, '-C', join(dir, 'by-tar')])
  assert.equal(readFileSync(join(dir, 'by-tar', long, 'file'), 'utf8'), 'content')
})

test('sizes beyond 8 GiB are written and read', () => {
  for (const bytes of [0, 1, 8 ** 11 - 1, 8 ** 11, 2 ** 45]) assert.equal(readHeader(headerOf({ name: 'x', bytes, isFolder: false }, new Date()))?.bytes, bytes)
})

test('a size that no file has is refused', () => {
  const block = headerOf({ name: 'x', bytes: 2 ** 45, isFolder: false }, new Date())
  for (const bytes of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    block.writeBigUInt64BE(bytes, 128)
    assert.throws(() => readHeader(block), Told)
  }
})

test('an archive that would write outside of its folder, or is damaged, is refused', async () => {
  const refused: readonly (readonly [Buffer, RegExp])[] = [
    [Buffer.concat([member('../outside', 'x'), end()]), /outside of its folder/],
    [Buffer.concat([member('a/../../outside', 'x'), end()]), /outside of its folder/],
    [Buffer.concat([Buffer.alloc(BLOCK_BYTES, 'a'), end()]), /cannot be read as tar/],
    [member('cut', 'x').subarray(0, BLOCK_BYTES), /cut off/],
  ]
  for (const [i, [tar, why]] of refused.entries()) {
    await assert.rejects(unpackFolder(once(gzipSync(tar)), join(dir, `refused-${i}`)), (error) => error instanceof Told && why.test(error.message))
  }
  await assert.rejects(unpackFolder(once(Buffer.from('no gzip')), join(dir, 'refused')), /cannot be unpacked/)
  await assert.rejects(unpackFolder(once(gzipSync(Buffer.concat([member('x', 'y'), end()])).subarray(0, 30)), join(dir, 'refused-too')), Told)
  assert.throws(() => statSync(join(dir, 'outside')))
})
