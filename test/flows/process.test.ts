import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import postgres from 'postgres'
import { createBareServerDatabase } from '../db/engines.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import { freePort } from '../services/server-process.ts'

test('a process in production serves and stops in order, also when nobody reads its log any more', { timeout: 120_000 }, async () => {
  const database = await createBareServerDatabase()
  const installation = await prepareInstallation(database.url)
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant)
  try {
    tenant = await earthflow.newTenant()
    assert.match(tenant.api_key, /^ef_live_/)
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    assert.equal((await earthflow.post('/v1/chat/completions', chat('x'))).status, 200)
    // Each would let through what the limit allows.
    const second = await freePort()
    const environment = { ...installation.environment, EARTHFLOW_PORT: String(second) }
    await assert.rejects(
      startProcess({ ...installation, port: second, environment }, () => tenant),
      /REDIS_URL is missing: another process/,
    )
    earthflow.closeOutput()
    for (let i = 0; i < 50; i++) assert.equal((await earthflow.post('/v1/chat/completions', chat('x'))).status, 200)
    await earthflow.kill('SIGTERM')
    assert.deepEqual(await earthflow.exited, [0, null])
  } finally {
    if (earthflow.isAlive()) await earthflow.kill('SIGKILL')
    provider.close()
    installation.remove()
    await database.drop()
  }
})

test('SIGTERM ends a process in order that has not come to listen yet', { timeout: 120_000 }, async () => {
  const database = await createBareServerDatabase()
  const installation = await prepareInstallation(database.url)
  const sql = postgres(database.url, { max: 2, onnotice: () => {} })
  const held = await sql.reserve()
  // As another process does that migrates.
  await held`select pg_advisory_lock(${MIGRATION_LOCK}::bigint)`
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'main.ts'), 'start'], { env: installation.environment, stdio: 'ignore' })
  try {
    const isWaiting = async (): Promise<boolean> =>
      (
        await sql`select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`
      ).length > 0
    await until(isWaiting, 'it to wait for its turn')
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  } finally {
    child.kill('SIGKILL')
    held.release()
    await sql.end()
    installation.remove()
    await database.drop()
  }
})

/** See src/db/migrate.ts. */
const MIGRATION_LOCK = '111469206437889'
