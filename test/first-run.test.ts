import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createPasswords } from '../src/access/passwords.ts'
import { ensureOwner as ensureOwnerRow } from '../src/admin/ensure-owner.ts'
import type { Config } from '../src/config.ts'
import { ensureOwner, provideSecret } from '../src/first-run.ts'
import type { Earthflow } from '../src/services.ts'
import { NOW } from './admin/management.ts'
import { seal } from './audit/entries.ts'
import { openTestDatabase } from './db/engines.ts'

test('the first start makes an owner whose password lies in the data folder; later starts change nothing, and a lost password is made anew', async (t) => {
  const database = await openTestDatabase('pglite')
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-owner-'))
  t.after(async () => {
    rmSync(dataDir, { recursive: true, force: true })
    await database.drop()
  })
  const passwords = createPasswords()
  const parts = { db: database.db, now: () => NOW, changed: async () => {}, seal, report: assert.fail, passwords }
  const earthflow = { ensureOwner: (owner: Parameters<typeof ensureOwnerRow>[1]) => ensureOwnerRow(parts, owner) } as Earthflow
  const start = () => ensureOwner(earthflow, { dataDir } as Config)
  const rows = () => database.sql<{ id: string; role: string; tenant_id: string | null; password_hash: string; email: string }[]>`select * from users`

  const path = await start()
  assert.equal(path, join(dataDir, 'owner'))
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const [owner, ...others] = await rows()
  assert.deepEqual([owner.email, owner.role, owner.tenant_id, others], ['owner@earthflow.test', 'owner', null, []])
  assert.equal(await passwords.verify(readFileSync(path, 'utf8').trim(), owner.password_hash), true)

  await start()
  assert.deepEqual([...(await rows())], [owner])

  rmSync(path)
  await start()
  const [again, ...more] = await rows()
  assert.deepEqual([again.id, more], [owner.id, []])
  assert.notEqual(again.password_hash, owner.password_hash)
  assert.equal(await passwords.verify(readFileSync(path, 'utf8').trim(), again.password_hash), true)
})

test('a draft that a killed start left, open to others or a link, never holds a secret', (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-draft-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const [path, draft, elsewhere] = [join(dataDir, 'secrets'), join(dataDir, 'secrets.new'), join(dataDir, 'elsewhere')]
  writeFileSync(draft, '', { mode: 0o644 })
  const reader = openSync(draft, 'r')
  t.after(() => closeSync(reader))
  provideSecret('EARTHFLOW_ADMIN_API_KEY', dataDir)
  assert.equal(readFileSync(reader, 'utf8'), '')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  writeFileSync(elsewhere, '')
  symlinkSync(elsewhere, draft)
  provideSecret('EARTHFLOW_MASTER_KEY', dataDir)
  assert.equal(readFileSync(elsewhere, 'utf8'), '')
})
