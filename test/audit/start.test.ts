import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type StartAuditOptions, startAudit } from '../../src/audit/start.ts'
import { createChecks } from '../../src/proxy/checks.ts'
import { folder } from './logs.ts'

test('a spool that cannot be is told of at the start, not by the first call', async () => {
  const dir = folder()
  writeFileSync(join(dir, 'file'), '')
  const options = { spoolDir: join(dir, 'file', 'spool') } as StartAuditOptions
  await assert.rejects(startAudit(options), /^Error: the folder .*file\/spool of AUDIT_SPOOL_DIR cannot be written to \(E\w+\)/)
})

test('a full spool is not ready, and is once there is room, though no call came meanwhile', async () => {
  let free = 10
  const spool = {
    usedBytes: 90,
    capacityBytes: 0,
    async measure() {
      spool.capacityBytes = spool.usedBytes + free
    },
  }
  const checks = createChecks({
    isDraining: () => false,
    databaseSilentMs: () => 0,
    staleMs: 1_000,
    pendingMigrations: async () => 0,
    isLoaded: () => true,
    auditLog: { isAway: false, backlog: 0 },
    limits: { health: 'none' },
    spool,
  })
  assert.equal((await checks()).spool?.state, 'failed')
  free = 1_000
  assert.equal((await checks()).spool?.state, 'ok')
})
