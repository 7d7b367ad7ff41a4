import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import postgres from 'postgres'
import { isRunning } from '../../src/db/is-running.ts'
import { createBareServerDatabase, type ServerDatabase } from '../db/engines.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { type Installation, prepareInstallation, startProcess } from '../harness/process.ts'
import { type Provider, startProvider } from '../harness/provider.ts'
import { keepCalling } from '../harness/steady.ts'

const redisUrl = process.env.TEST_REDIS_URL
const skip = redisUrl ? false : 'TEST_REDIS_URL is not set'

let database: ServerDatabase
let installation: Installation
let provider: Provider
let earthflow: Awaited<ReturnType<typeof startProcess>>
let sql: postgres.Sql
let tenant: Tenant = { tenant_id: '', api_key: '' }
before(async () => {
  if (skip) return
  database = await createBareServerDatabase()
  installation = await prepareInstallation(database.url, {
    EARTHFLOW_WORKERS: '2',
    EARTHFLOW_DRAIN_SECONDS: '1',
    REDIS_URL: redisUrl ?? '',
  })
  provider = await startProvider()
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
  earthflow = await startProcess(installation, () => tenant)
  tenant = await earthflow.newTenant()
  await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
})
after(async () => {
  if (skip) return
  if (earthflow?.isAlive()) await earthflow.kill('SIGKILL')
  provider.close()
  await sql.end()
  installation.remove()
  await database.drop()
})

/** Of whoever answers: the one who was asked may be the one who was killed. */
const page = (): Promise<string> => earthflow.admin('GET', '/v1/dashboard/metrics').then(({ text }) => text, page)
const counted = (text: string, name: string): number =>
  [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([\\d.e+]+)$`, 'gm'))].reduce((sum, [, value]) => sum + Number(value), 0)
const calls = async (): Promise<number> => counted(await page(), 'earthflow_requests_total')
const replaced = async (why: string): Promise<number> => counted(await page(), `earthflow_workers_replaced_total\\{why="${why}"\\}`)
/** The numbers of the workers that are alive, or were until they were killed, oldest first. */
const workers = async (): Promise<number[]> =>
  (await sql<{ pid: number }[]>`select pid from processes where pid <> ${earthflow.pid} order by started_at`).map(({ pid }) => pid)
const load = () => keepCalling({ origin: earthflow.origin, key: tenant.api_key, body: chat('x'), clients: 2 })
const acknowledged: string[] = []

test('two workers share the port, and the metrics of either are those of all processes', { skip }, async () => {
  await until(async () => counted(await page(), 'earthflow_workers') === 2, 'both to be ready')
  for (let i = 0; i < 10; i++) {
    const { status, headers } = await earthflow.post('/v1/chat/completions', chat('x'), { connection: 'close' })
    assert.equal(status, 200)
    acknowledged.push(headers.get('x-earthflow-audit-id') ?? '')
  }
  for (let i = 0; i < 4; i++) assert.equal(await calls(), 10)
  const serving = () => new Set([...earthflow.output().matchAll(/"pid":(\d+)[^\n]*"exchange ended"/g)].map(([, pid]) => Number(pid)))
  await until(() => serving().size === 2, 'both to have logged')
  assert.deepEqual([...serving()].sort(), (await workers()).sort())
})

test('SIGHUP replaces every worker without a call that fails, and no counter falls', { skip }, async () => {
  const before = await calls()
  const old = await workers()
  const calling = load()
  process.kill(earthflow.pid, 'SIGHUP')
  await until(async () => (await replaced('restart')) === 2, 'both to be replaced')
  await until(() => !old.some(isRunning), 'the old ones to end')
  await calling.stop()
  assert.deepEqual([...calling.statuses.keys()], [200])
  assert.equal(await calls(), before + calling.acknowledged.length)
  acknowledged.push(...calling.acknowledged)
})

test('a worker that somebody tells to end is replaced before it has ended', { skip }, async () => {
  await until(async () => counted(await page(), 'earthflow_workers') === 2, 'two to be there')
  const restarts = await replaced('restart')
  const [told = 0] = await workers()
  process.kill(told, 'SIGTERM')
  await until(async () => (await replaced('restart')) === restarts + 1, 'it to be replaced')
  await until(async () => !isRunning(told) && counted(await page(), 'earthflow_workers') === 2, 'it to end')
})

test('a worker that is killed is replaced, others go on, and what it had told stays counted', { skip }, async () => {
  const before = await calls()
  const [killed = 0] = await workers()
  process.kill(killed, 'SIGKILL')
  await until(async () => (await replaced('crash')) === 1 && counted(await page(), 'earthflow_workers') === 2, 'it to be replaced')
  assert.equal(await calls(), before)
  assert.ok(!isRunning(killed) && (await workers()).includes(killed), 'its row stays until it is known to be dead')
})

test('SIGTERM ends all in order: every call has its row, once, and a checkpoint holds it', { skip }, async () => {
  const all = await workers()
  await earthflow.kill('SIGTERM')
  assert.deepEqual(await earthflow.exited, [0, null])
  assert.deepEqual(all.filter(isRunning), [])
  const rows = await sql<{ audit_id: string }[]>`select audit_id from audit_entries where kind = 'exchange' and outcome = 'completed'`
  assert.deepEqual(rows.map(({ audit_id }) => audit_id).sort(), acknowledged.sort())
  const [left] = await sql<{ batches: number }[]>`select count(*)::int as batches from audit_batches where tree_index is null`
  assert.equal(left?.batches, 0)
})

test('one process that is told to replace itself stops, and says how it would not', { skip }, async () => {
  const alone = await startProcess({ ...installation, environment: { ...installation.environment, EARTHFLOW_WORKERS: '1' } }, () => tenant)
  await alone.kill('SIGHUP')
  assert.deepEqual(await alone.exited, [0, null])
  assert.match(alone.output(), /"SIGHUP stops Earthflow [^"]*EARTHFLOW_WORKERS/)
})
