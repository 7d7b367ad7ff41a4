import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { logKeyOf } from '../../../src/audit/chain/note.ts'
import { openCheckpoint, openNote } from './read-note.ts'

// The example of golang.org/x/mod/sumdb/note, whose format signed-note is.
const vkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const privateKey = 'AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const note =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'

test('the public form of a key is that of the example of signed notes', () => {
  assert.match(openNote(note, vkey), /^If you think/)
  assert.equal(logKeyOf('PeterNeumann', Buffer.from(privateKey, 'base64').subarray(1)).vkey, vkey)
})

test('a checkpoint is read by whoever knows the public key, and is the same every time', () => {
  const key = logKeyOf('earthflow/8a4f', randomBytes(32))
  const head = { size: 12_345_678_901, root: randomBytes(32) }
  assert.deepEqual(openCheckpoint(key.sign(head), key.vkey), { origin: 'earthflow/8a4f', ...head })
  assert.equal(key.sign(head), key.sign(head))
})

test('a checkpoint that was changed, or is of another log, is not read', () => {
  const key = logKeyOf('earthflow/a', randomBytes(32))
  const signed = key.sign({ size: 7, root: randomBytes(32) })
  assert.throws(() => openCheckpoint(signed.replace('\n7\n', '\n8\n'), key.vkey))
  assert.throws(() => openCheckpoint(signed, logKeyOf('earthflow/a', randomBytes(32)).vkey))
  assert.throws(() => openCheckpoint(signed, logKeyOf('earthflow/b', randomBytes(32)).vkey))
})
