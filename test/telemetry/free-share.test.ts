import assert from 'node:assert/strict'
import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freeShareOf } from '../../src/telemetry/free-share.ts'

test('the free share of several volumes is the smallest, and of a folder that is not there none', async () => {
  const { bavail, blocks } = statfsSync(tmpdir())
  const share = await freeShareOf([tmpdir()])
  assert.ok(share > 0 && share <= 1 && Math.abs(share - bavail / blocks) < 0.05)
  assert.equal(await freeShareOf([tmpdir(), join(tmpdir(), 'nowhere', 'at', 'all')]), 0)
})
