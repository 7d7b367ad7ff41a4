import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createSink, type SinkOptions } from '../../../src/audit/chain/sink.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'earthflow-sink-'))
})
after(() => rm(directory, { recursive: true }))

const sinkTo = (place: string, more: Partial<SinkOptions> = {}) =>
  createSink({
    to: place.startsWith('http') ? { kind: 'url', url: place } : { kind: 'directory', path: place },
    vkey: async () => 'log+00000000+AQ==',
    post: () => Promise.reject(new Error('nothing is posted')),
    ...more,
  })

test('a directory gets each checkpoint as a file of its own, and the public key, whole and read-only', async () => {
  await sinkTo(directory).deliver({ treeSize: 42, note: 'a note\n' })
  await sinkTo(directory).deliver({ treeSize: 1_000, note: 'another\n' })
  assert.deepEqual((await readdir(directory)).sort(), ['0000000000000042.checkpoint', '0000000000001000.checkpoint', 'public-key'])
  assert.equal(await readFile(join(directory, '0000000000000042.checkpoint'), 'utf8'), 'a note\n')
  assert.equal(await readFile(join(directory, 'public-key'), 'utf8'), 'log+00000000+AQ==\n')
  assert.equal((await stat(join(directory, '0000000000000042.checkpoint'))).mode & 0o777, 0o444)
})

test('what a directory has is not written over: the same again is delivered, another is refused', async () => {
  const sink = sinkTo(directory)
  await sink.deliver({ treeSize: 7, note: 'first\n' })
  await sink.deliver({ treeSize: 7, note: 'first\n' })
  await assert.rejects(sink.deliver({ treeSize: 7, note: 'second\n' }), /holds another 0000000000000007.checkpoint/)
  assert.equal(await readFile(join(directory, '0000000000000007.checkpoint'), 'utf8'), 'first\n')
  await assert.rejects(sinkTo(directory, { vkey: async () => 'other' }).deliver({ treeSize: 8, note: 'x\n' }), /public-key/)
})

test('a directory that is not there is not made, and half a file is not left', async () => {
  await assert.rejects(sinkTo(join(directory, 'missing')).deliver({ treeSize: 1, note: 'x\n' }), { code: 'ENOENT' })
  const file = join(directory, 'file')
  await writeFile(file, '')
  await assert.rejects(sinkTo(file).deliver({ treeSize: 1, note: 'x\n' }), { code: 'ENOTDIR' })
  assert.ok((await readdir(directory)).every((name) => !name.startsWith('.')))
})

test('a URL is posted the note; 2xx is delivered and anything else is not', async () => {
  const posted: [string, string][] = []
  const answering = (status: number) =>
    sinkTo('https://witness.example.com/log', {
      post: async (url, body) => {
        posted.push([url, body])
        return status
      },
    })
  await answering(204).deliver({ treeSize: 1, note: 'a note\n' })
  assert.deepEqual(posted, [['https://witness.example.com/log', 'a note\n']])
  for (const status of [302, 404, 500]) await assert.rejects(answering(status).deliver({ treeSize: 1, note: 'x' }), new RegExp(`answered ${status}`))
})

test('a sink that does not answer is given up', async () => {
  const sink = sinkTo('http://witness.example.com/', { post: () => new Promise(() => {}), deliveryMsMax: 5 })
  await assert.rejects(sink.deliver({ treeSize: 1, note: 'x' }), /within 5 ms/)
})
