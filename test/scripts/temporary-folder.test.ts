import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../../scripts/dev/temporary-folder.ts'

test('a run keeps its databases in memory where there is enough, and where it was told to otherwise', () => {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-memory-'))
  try {
    const { bavail, bsize } = statfsSync(folder)
    const hasRoom = bavail * bsize >= 4 * 2 ** 30
    assert.equal(temporaryFolder('/chosen', folder, 2 ** 40), '/chosen')
    assert.equal(temporaryFolder(undefined, folder, 2 ** 40), hasRoom ? folder : tmpdir())
    assert.equal(temporaryFolder(undefined, folder, 2 ** 30), tmpdir())
    assert.equal(temporaryFolder(undefined, join(folder, 'none'), 2 ** 40), tmpdir())
    assert.deepEqual(readdirSync(folder), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
