import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createServerDatabase } from '../db/engines.ts'
import { startRelay } from '../db/relay.ts'
import { chat, startEarthflow, until } from '../harness/earthflow.ts'

const mount = (dir: string): boolean => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test('a spool of 256 KiB that is full: 503 before the provider is called, and no row less than calls once there is room', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-tmpfs-'))
  if (!mount(dir)) {
    rmSync(dir, { recursive: true })
    return t.skip('this user may not mount a tmpfs; test/audit/spool/spool.test.ts has the same volume in memory')
  }
  const database = await createServerDatabase()
  const line = await startRelay(database.url)
  const flow = await startEarthflow({ environment: { DATABASE_URL: line.url, AUDIT_SPOOL_DIR: dir } })
  try {
    assert.equal((await flow.post('/v1/chat/completions', chat('before'))).status, 200)
    line.cut()
    let passed = 1
    let refused = 0
    for (let i = 0; i < 2_000 && refused < 10; i++) {
      const reached = flow.provider.seen.length
      const answer = await flow.post('/v1/chat/completions', chat(`away ${i}`))
      if (answer.status === 200) passed++
      else {
        refused++
        assert.equal(answer.status, 503, answer.text)
        assert.match(answer.text, /audit/)
        assert.ok(Number(answer.headers.get('retry-after')) > 0)
        assert.equal(flow.provider.seen.length, reached, 'it is refused before it leaves')
      }
    }
    assert.ok(refused === 10 && passed > 20, `${passed} passed, ${refused} refused`)
    const ready = await fetch(`${flow.origin}/health/ready`)
    assert.equal(ready.status, 503)
    assert.equal(((await ready.json()) as { checks: Record<string, string> }).checks.spool, 'failed')
    line.restore()
    await until(async () => (await flow.post('/v1/chat/completions', chat('after'))).status === 200, 'calls to pass again')
    passed++
    await flow.recorded(20_000)
    const completed = (await flow.rows()).filter(({ outcome }) => outcome === 'completed')
    assert.deepEqual([completed.length, flow.provider.seen.length], [passed, passed])
    await until(async () => (await fetch(`${flow.origin}/health/ready`)).status === 200, 'readiness')
  } finally {
    await flow.close()
    await line.close()
    await database.drop()
    execFileSync('umount', [dir])
    rmSync(dir, { recursive: true })
  }
})
