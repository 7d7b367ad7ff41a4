import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { generateMasterKey } from '../../src/crypto/master-key.ts'
import { withoutDumps } from '../backup/installations.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { runVerb, verifyOnline } from '../harness/earthflow-verb.ts'
import { type Installation, prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import { keepCalling } from '../harness/steady.ts'
import { startPostgres } from '../services/postgres.ts'

export const about =
  'a backup made while calls come in, all of it lost with the machine, and restored elsewhere: every call acknowledged before the backup is there, once, and the log holds; another master key and a flipped byte are refused'

const CLIENTS = 32
const BEFORE_MS = 60_000
const AFTER_MS = 2_000
const FLIPS = 40

export default async function prove(context: ProofContext): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-recovery-'))
  try {
    if (withoutDumps) context.say(`PostgreSQL is left out: ${withoutDumps}`)
    else await onPostgres(join(dir, 'postgres.tar'), context)
    await embedded(join(dir, 'embedded.tar'), context)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function onPostgres(path: string, { short, say }: ProofContext): Promise<void> {
  const server = await startPostgres()
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  const urlOf = (name: string): string => server.url.replace(/\/postgres$/, `/${name}`)
  await admin`create database before`
  const lost = await prepareInstallation(urlOf('before'))
  const found = await prepareInstallation(urlOf('after'), { EARTHFLOW_MASTER_KEY: lost.environment.EARTHFLOW_MASTER_KEY })
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    const earthflow = await startProcess(lost, () => tenant, 'dropped')
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const calling = keepCalling({ origin: earthflow.origin, key: tenant.api_key, body: chat('x'), clients: CLIENTS })
    await sleep(short ? BEFORE_MS / 20 : BEFORE_MS)

    const before = [...calling.acknowledged]
    const began = performance.now()
    say(await runVerb(lost, ['backup', '--output', path]))
    const backupMs = performance.now() - began
    const afterwards = calling.acknowledged.length
    await sleep(AFTER_MS)
    await earthflow.kill('SIGKILL')
    await calling.stop()
    say(
      `${before.length} calls were answered before the backup, ${afterwards - before.length} while it was made in ${seconds(backupMs)}, ${calling.acknowledged.length - afterwards} until the machine was lost; ${mebibytes(path)}`,
    )
    assert.deepEqual(
      [...calling.statuses.keys()].filter((status) => status !== 200 && status !== 0),
      [],
      'no call was refused meanwhile',
    )

    await admin`drop database before with (force)`
    lost.remove()
    await admin`create database after`
    await refuses(path, found, short, say)
    const restoredIn = await restore(path, found, say)
    const again = await startProcess(found, () => tenant, 'dropped')
    const rows = await rowsIn(found, before)
    say(
      `restored in ${seconds(restoredIn)}: of ${before.length} calls acknowledged before the backup ${before.filter((id) => !rows.has(id)).length} are missing; ${rows.size} rows in all`,
    )
    assert.equal((await again.post('/v1/chat/completions', chat('x'))).status, 200, 'it takes calls with the keys it had')
    await again.kill('SIGTERM')
    say(await verifyOnline(found))
  } finally {
    provider.close()
    found.remove()
    lost.remove()
    await admin.end()
    await server.stop()
  }
}

/** Its spool and its database as a process leaves them that was killed under load. */
async function embedded(path: string, { short, say }: ProofContext): Promise<void> {
  const more = { DATABASE_URL: '', EARTHFLOW_EMBEDDED_DB: 'true' }
  const lost = await prepareInstallation('', more)
  const found = await prepareInstallation('', { ...more, EARTHFLOW_MASTER_KEY: lost.environment.EARTHFLOW_MASTER_KEY })
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    const earthflow = await startProcess(lost, () => tenant, 'dropped')
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const calling = keepCalling({ origin: earthflow.origin, key: tenant.api_key, body: chat('x'), clients: CLIENTS })
    await sleep(short ? BEFORE_MS / 20 : BEFORE_MS)
    await earthflow.kill('SIGKILL')
    await calling.stop()
    const began = performance.now()
    say(await runVerb(lost, ['backup', '--output', path]))
    say(
      `embedded, killed under load: ${calling.acknowledged.length} calls were answered; backed up in ${seconds(performance.now() - began)}, ${mebibytes(path)}`,
    )
    lost.remove()
    await refuses(path, found, short, say)
    const restoredIn = await restore(path, found, say)
    const again = await startProcess(found, () => tenant, 'dropped')
    const rows = await rowsIn(found, calling.acknowledged)
    say(`restored in ${seconds(restoredIn)}: ${calling.acknowledged.filter((id) => !rows.has(id)).length} of them are missing; ${rows.size} rows in all`)
    await again.kill('SIGTERM')
    say(await verifyOnline(found))
  } finally {
    provider.close()
    found.remove()
    lost.remove()
  }
}

async function restore(path: string, installation: Installation, say: (line: string) => void): Promise<number> {
  const began = performance.now()
  const said = await runVerb(installation, ['restore', path])
  const ms = performance.now() - began
  say(said)
  assert.match(said, /It was restored\.[\s\S]*All of it holds\.$/)
  return ms
}

async function refuses(path: string, installation: Installation, short: boolean, say: (line: string) => void): Promise<void> {
  const refused = async (file: string, more: Record<string, string>): Promise<string> => {
    const { code, stderr } = (await runVerb({ environment: { ...installation.environment, ...more } }, ['restore', file]).then(
      () => assert.fail('it was restored'),
      (error: unknown) => error,
    )) as { code: number; stderr: string }
    assert.equal(code, 1, stderr)
    return stderr.trim()
  }
  say(`refused: ${await refused(path, { EARTHFLOW_MASTER_KEY: generateMasterKey() })}`)
  const flipped = `${path}.flipped`
  const bytes = readFileSync(path)
  const times = short ? FLIPS / 10 : FLIPS
  let said = ''
  for (let flip = 0; flip < times; flip++) {
    const at = Math.floor(Math.random() * bytes.length)
    bytes[at] ^= 1 << (flip % 8)
    writeFileSync(flipped, bytes)
    bytes[at] ^= 1 << (flip % 8)
    said = await refused(flipped, {})
    assert.match(said, /^(?:The archive (?:is|was)|.* holds no manifest)/, `byte ${at}`)
  }
  rmSync(flipped)
  say(`refused, ${times} times with one bit changed: ${said}`)
}

/** Every row of a call, once each, as soon as all of these are there. */
async function rowsIn(installation: Installation, expected: readonly string[]): Promise<Set<string>> {
  const environment = { ...installation.environment, EARTHFLOW_URL: `http://127.0.0.1:${installation.port}` }
  const file = join(installation.environment.EARTHFLOW_DATA_DIR, 'rows.jsonl')
  let ids: string[] = []
  await until(async () => {
    rmSync(file, { force: true })
    await runVerb({ environment }, ['audit', 'export', '--no-proofs', '--output', file])
    ids = readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { audit_id: string }).audit_id]))
    const there = new Set(ids)
    return expected.every((id) => there.has(id))
  }, 'every call that was acknowledged to have its row')
  const rows = new Set(ids)
  assert.equal(rows.size, ids.length, 'no call has two rows')
  return rows
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
const mebibytes = (path: string): string => `${(statSync(path).size / 2 ** 20).toFixed(1)} MiB`
