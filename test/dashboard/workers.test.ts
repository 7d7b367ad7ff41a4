import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createBareServerDatabase } from '../db/engines.ts'
import { request, until } from '../harness/client.ts'
import { type Installation, prepareInstallation, startProcess } from '../harness/process.ts'
import { freePort } from '../services/server-process.ts'

const redisUrl = process.env.TEST_REDIS_URL
const skip =
  (process.env.TEST_DATABASE_URL === undefined && 'TEST_DATABASE_URL is not set') || (redisUrl === undefined && 'no Redis can be had on this machine')

let database: Awaited<ReturnType<typeof createBareServerDatabase>>
let installation: Installation
let port: number
before(async () => {
  if (skip) return
  database = await createBareServerDatabase()
  port = await freePort()
  installation = await prepareInstallation(database.url, {
    EARTHFLOW_WORKERS: '2',
    EARTHFLOW_SERVICES: 'both',
    EARTHFLOW_DASHBOARD_PORT: String(port),
    REDIS_URL: redisUrl ?? '',
  })
})
after(async () => {
  if (skip) return
  installation.remove()
  await database.drop()
})

test('of several processes the one that does not come and go has the dashboard: it answers while the workers are replaced, and stops with them', {
  skip,
}, async () => {
  const earthflow = await startProcess(installation, () => ({ tenant_id: '', api_key: '' }))
  const statusOf = (path: string): Promise<number> =>
    fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' }).then(
      ({ status }) => status,
      () => 0,
    )
  assert.deepEqual([await statusOf('/health/ready'), await statusOf('/')], [200, 303])
  const { status, text } = await request(`http://127.0.0.1:${port}`, 'GET', '/v1/dashboard/metrics', undefined, {
    authorization: `Bearer ${installation.adminKey}`,
  })
  assert.equal(status, 200)
  // What a port has open is known to the workers alone.
  assert.ok(/^earthflow_connections \d/m.test(text), 'the metrics are those of all processes')
  const replaced = (): number => earthflow.output().split('a worker is ready').length
  const before = replaced()
  process.kill(earthflow.pid, 'SIGHUP')
  await until(async () => {
    assert.equal(await statusOf('/'), 303)
    return replaced() >= before + 2
  }, 'two new workers')
  await earthflow.kill('SIGTERM')
  assert.deepEqual(await earthflow.exited, [0, null])
  assert.equal(await statusOf('/'), 0)
})
