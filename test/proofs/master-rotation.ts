import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { generateMasterKey, masterKeyId, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { BATCH } from '../../src/crypto/rewrap.ts'
import { placeIn, sealedColumns } from '../../src/crypto/sealed-columns.ts'
import { connect } from '../../src/db/connect.ts'
import { CREDENTIAL, chat, type Tenant, until } from '../harness/client.ts'
import { type Installation, prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, startProvider } from '../harness/provider.ts'
import { keepCalling, type Steady } from '../harness/steady.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'the master key of three processes is replaced at full rate, with kill -9 at each step: no call fails, no data key is left on the old key, and retirement is refused while a process needs it'

export const rests = true

const PROCESSES = 3
const TENANTS = 500
/** Of each process, each calling as fast as it is answered; in short after a pause, because a dozen processes are started beside them. */
const LOAD = { long: { clients: 8, pauseMs: 0 }, short: { clients: 2, pauseMs: 50 } }
const SETTLE_MS = 2_000

const keyOf = (text: string): Buffer => parseMasterKeys(text)[0]!

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  if (services.redisUrl === undefined) return say('no Redis can be had on this machine: nothing was shown')
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const tenants = short ? TENANTS / 10 : TENANTS
  const load = short ? LOAD.short : LOAD.long
  const server = await createServerDatabase()
  const [old, fresh] = [generateMasterKey(), generateMasterKey()]
  const [oldId, freshId] = [old, fresh].map((text) => masterKeyId(keyOf(text))) as [string, string]
  const installation = await prepareInstallation(server.url, { REDIS_URL: services.redisUrl, EARTHFLOW_MASTER_KEY: old })
  const newKeyFile = join(installation.environment.EARTHFLOW_DATA_DIR!, 'new-master-key')
  writeFileSync(newKeyFile, `${fresh}\n`, { mode: 0o600 })
  const provider = await startProvider(answerJson)
  const sql = postgres(server.url, { max: 2, onnotice: () => {} })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const nodes: Node[] = []
  try {
    for (let i = 0; i < PROCESSES; i++) nodes.push(await createNode(installation, i, () => tenant))
    await Promise.all(nodes.map((node) => node.start(old)))
    const [first] = nodes as [Node, ...Node[]]
    tenant = await first.client().newTenant({ max_requests_per_minute: 1e9 })
    await first.client().addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    await addSecrets(first, { count: tenants, baseUrl: `${provider.origin}/v1` })
    await sleep(SETTLE_MS) // until every process has read the upstreams
    for (const node of nodes) node.call(tenant.api_key, load)
    const began = performance.now()

    const count = async (id: string): Promise<number> => (await sql<{ n: number }[]>`select count(*)::int as n from data_keys where wrappings ? ${id}`)[0]!.n
    const total = async (): Promise<number> => (await sql<{ n: number }[]>`select count(*)::int as n from data_keys`)[0]!.n
    const rotateMaster = (): Verb => verb(installation, old, ['--rotate-master', '--new-key-file', newKeyFile])
    const seen: number[] = []
    for (let batches = 0; batches * BATCH < (await total()); batches++) {
      const running = rotateMaster()
      await until(async () => running.isOver() || (await count(freshId)) >= batches * BATCH, `${batches} batches`)
      running.kill()
      await running.ended
      seen.push(await count(freshId))
    }
    const completed = await rotateMaster().ended
    assert.equal(completed.code, 0, completed.text)
    assert.deepEqual([await count(freshId), await count(oldId)], [await total(), await total()])
    say(`rotate-master: ${await total()} data keys; killed ${seen.length} times, when ${seen.join(', ')} were wrapped; then completed`)

    const refusals: number[] = []
    const retire = (keys: string): Verb => verb(installation, keys, ['--retire-old'])
    for (const node of nodes) {
      const refused = await retire(`${fresh},${old}`).ended
      refusals.push(refused.code ?? -1)
      assert.match(refused.text, /Nothing was retired/)
      assert.equal(await count(oldId), await total(), 'a refusal takes nothing')
      await node.restart(`${fresh},${old}`, tenant.api_key, load)
      // Whoever starts, and every other, makes data keys that all open.
      await addSecrets(node, { count: 2, baseUrl: `${provider.origin}/v1` })
    }
    assert.ok(
      refusals.every((code) => code === 1),
      String(refusals),
    )
    say(`--retire-old was refused ${refusals.length} times, with exit code 1, while processes were on the old key; all were restarted with both`)

    // What the last process with the old key alone made meanwhile.
    const rest = await rotateMaster().ended
    assert.equal(rest.code, 0, rest.text)
    const dying = retire(`${fresh},${old}`)
    await sleep(Math.random() * 1_500)
    dying.kill()
    const died = await dying.ended
    const between = await count(oldId)
    assert.ok(between === 0 || between === (await total()), 'all or nothing')
    const retired = await retire(`${fresh},${old}`).ended
    assert.equal(retired.code, 0, retired.text)
    assert.equal(await count(oldId), 0)
    say(
      `--retire-old ${died.code === null ? 'was killed' : 'ended before it was killed'} with ${between} wrappings of the old key left, then completed: 0 left`,
    )

    for (const node of nodes) await node.restart(fresh, tenant.api_key, load)
    await addSecrets(first, { count: 2, baseUrl: `${provider.origin}/v1` })
    await sleep(SETTLE_MS)
    const statuses = new Map<number, number>()
    for (const node of nodes) for (const [status, n] of await node.stopCalling()) statuses.set(status, (statuses.get(status) ?? 0) + n)
    const calls = [...statuses.values()].reduce((sum, n) => sum + n, 0)
    say(
      `${calls} calls in ${Math.round((performance.now() - began) / 1000)} s on ${PROCESSES} processes: ${[...statuses].map(([status, n]) => `${n} × ${status}`).join(', ')}`,
    )
    assert.deepEqual([...statuses.keys()], [200])

    const withOld = await verb(installation, old, [], 'start').ended
    assert.notEqual(withOld.code, 0)
    assert.match(withOld.text, /EARTHFLOW_MASTER_KEY does not open this database/)
    assert.deepEqual([await count(oldId), await count(freshId)], [0, await total()])
    const opened = await openAll(server.url, fresh)
    say(
      `a process with the old key alone refuses to start (exit code ${withOld.code}); with the new one alone ${opened} stored credentials open, all there are`,
    )
  } finally {
    await Promise.all(nodes.map((node) => node.end()))
    provider.close()
    installation.remove()
    await sql.end()
    await server.drop()
  }
}

type Load = (typeof LOAD)['short']
type Node = Awaited<ReturnType<typeof createNode>>

/** One process of the installation: restarted, and only called while it is up. */
async function createNode(installation: Installation, i: number, tenant: () => Tenant) {
  const port = await freePort()
  let running: Awaited<ReturnType<typeof startProcess>> | undefined
  let calling: Steady | undefined
  const statuses = new Map<number, number>()
  const node = {
    client: () => running!,
    async start(masterKeys: string): Promise<void> {
      const environment = {
        ...installation.environment,
        EARTHFLOW_PORT: String(port),
        EARTHFLOW_MASTER_KEY: masterKeys,
        AUDIT_SPOOL_DIR: join(installation.environment.EARTHFLOW_DATA_DIR!, `spool-${i}`),
      }
      running = await startProcess({ ...installation, port, environment }, tenant, 'dropped')
    },
    call(key: string, load: Load): void {
      calling = keepCalling({ origin: running!.origin, key, body: chat('x'), ...load })
    },
    async stopCalling(): Promise<ReadonlyMap<number, number>> {
      await calling?.stop()
      for (const [status, n] of calling?.statuses ?? []) statuses.set(status, (statuses.get(status) ?? 0) + n)
      calling = undefined
      return statuses
    },
    async restart(masterKeys: string, key: string, load: Load): Promise<void> {
      await node.stopCalling()
      await running!.kill('SIGTERM')
      assert.deepEqual(await running!.exited, [0, null])
      await node.start(masterKeys)
      node.call(key, load)
    },
    async end(): Promise<void> {
      await node.stopCalling()
      if (running?.isAlive()) await running.kill('SIGKILL')
    },
  }
  return node
}

/** Tenants with a stored credential, and so with a data key of their own. */
async function addSecrets(node: Node, { count, baseUrl }: { count: number; baseUrl: string }): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { tenant_id } = await node.client().newTenant()
    const made = await node
      .client()
      .admin('POST', `/v1/upstreams?tenant_id=${tenant_id}`, { name: 'own', dialects: ['openai-chat'], base_url: baseUrl, credential: CREDENTIAL })
    assert.equal(made.status, 201, made.text)
  }
}

interface Verb {
  isOver(): boolean
  kill(): void
  ended: Promise<{ code: number | null; text: string }>
}

function verb(installation: Installation, masterKeys: string, args: readonly string[], name = 'rotate-keys'): Verb {
  const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
  const child = spawn(process.execPath, [main, name, ...args], { env: { ...installation.environment, EARTHFLOW_MASTER_KEY: masterKeys } })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += String(chunk)
    })
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number | null, text }))
  return { isOver: () => child.exitCode !== null || child.signalCode !== null, kill: () => void child.kill('SIGKILL'), ended }
}

/** How many credentials of upstreams there are; throws where one does not open to the secret it was made of. */
async function openAll(url: string, masterKey: string): Promise<number> {
  const database = await connect({ kind: 'postgres', url })
  try {
    const keyring = createKeyring(database.db, [keyOf(masterKey)])
    await keyring.verify()
    const rows = await database.sql<{ id: string; tenant_id: string | null; credential: string }[]>`
      select id, tenant_id, credential from upstreams where credential is not null`
    for (const { id, tenant_id, credential } of rows) assert.equal(await keyring.open(tenant_id, placeIn(sealedColumns[0]!, id), credential), CREDENTIAL)
    return rows.length
  } finally {
    await database.close()
  }
}
