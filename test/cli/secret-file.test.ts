import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSecretFile } from '../../src/cli/secret-file.ts'

test('what was written is on the disk when it is said to be: the text, and the file’s name in its folder', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-secret-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const handle = await open(dir)
  const prototype: FileHandle = Object.getPrototypeOf(handle)
  await handle.close()
  const synced: string[] = []
  t.mock.method(prototype, 'sync', async function (this: FileHandle) {
    synced.push((await this.stat()).isDirectory() ? 'folder' : readFileSync(join(dir, 'keys'), 'utf8'))
  })
  const file = await createSecretFile(join(dir, 'keys'))
  await file.append('one,')
  assert.deepEqual(synced, ['one,', 'folder'])
  await file.append('two')
  assert.deepEqual(synced, ['one,', 'folder', 'one,two'])
  await file.close()
})
