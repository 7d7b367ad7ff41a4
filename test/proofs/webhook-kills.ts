import assert from 'node:assert/strict'
import { join } from 'node:path'
import postgres from 'postgres'
import { Webhook } from 'standardwebhooks'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { type Installation, prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, startProvider } from '../harness/provider.ts'
import { answersAfter, startReceiver } from '../harness/receiver.ts'
import { keepCalling } from '../harness/steady.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  '10,000 events while processes are killed at random: each is delivered at least once, under one id for ever, and the official library verifies every delivery'

/** Most of its time it waits for leases of the dead. */
export const rests = true

const EVENTS = 10_000
const PROCESSES = 3
/** Of each process. */
const CLIENTS = 8
/** After about so many calls a process is killed. */
const CALLS_OF_A_LIFE = 200
/** Leases of the dead have to end, and calls they left open have to be closed. */
const DELIVERED_MS_MAX = 240_000

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  // Receivers are on this machine, and speak plain HTTP, which production forbids.
  const installation = await prepareInstallation(database.url, { EARTHFLOW_ENV: 'staging' })
  const provider = await startProvider(answerJson)
  const receiver = await startReceiver((received) => answersAfter(Math.random() * 20)(received))
  const sql = postgres(database.url, { max: 1, onnotice: () => {} })
  const acknowledged: string[] = []
  const nodes: Awaited<ReturnType<typeof startNode>>[] = []
  let kills = 0
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  let isOver = false
  const count = async (): Promise<number> => (await sql<{ count: number }[]>`select count(*)::int as count from webhook_events`)[0]?.count ?? 0
  try {
    const start = async (i: number) => {
      const node = await startNode(installation, i, () => tenant)
      nodes.push(node)
      return node
    }
    const first = await start(0)
    tenant = await first.newTenant({ max_requests_per_minute: 1e9 })
    await first.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const made = await first.admin('POST', `/v1/webhooks?tenant_id=${tenant.tenant_id}`, { url: receiver.url, events: ['ALLOW'] })
    assert.equal(made.status, 201, made.text)
    const official = new Webhook((made.json as { secret: string }).secret)
    const verified = (one: (typeof receiver.received)[number]) =>
      official.verify(one.body, one.headers as Record<string, string>) as { data: { audit_id: string } }
    await first.kill('SIGTERM')

    const wanted = short ? EVENTS / 10 : EVENTS
    const began = performance.now()
    const lives = Array.from({ length: PROCESSES }, async (_, i) => {
      while (!isOver) {
        const node = await start(i)
        const calling = keepCalling({ origin: node.origin, key: tenant.api_key, body: chat('x'), clients: CLIENTS })
        const last = CALLS_OF_A_LIFE * (0.5 + Math.random())
        await until(() => isOver || calling.acknowledged.length >= last, 'enough calls to be answered', 600_000)
        await node.kill('SIGKILL')
        kills++
        await calling.stop()
        acknowledged.push(...calling.acknowledged)
      }
    })
    await until(async () => (await count()) >= wanted, `${wanted} events`, 1_800_000)
    isOver = true
    await Promise.all(lives)
    say(`${PROCESSES} processes were killed ${kills} times in ${Math.round((performance.now() - began) / 1000)} s; ${acknowledged.length} calls were answered`)

    // What the dead have on their disks is written by whoever starts there next.
    const last = await Promise.all(Array.from({ length: PROCESSES }, (_, i) => start(i)))
    const isDelivered = async (): Promise<boolean> => {
      const [row] = await sql<{ told: number; pending: number }[]>`
        select (select count(*)::int from webhook_events e where e.data->>'audit_id' = any(${acknowledged})) as told,
          (select count(*)::int from webhook_deliveries where state <> 'delivered') as pending`
      return row?.told === new Set(acknowledged).size && row.pending === 0
    }
    await until(isDelivered, 'everything to be delivered', DELIVERED_MS_MAX)
    const events = await sql<{ id: string; audit_id: string }[]>`select id, data->>'audit_id' as audit_id from webhook_events`
    const idsOf = new Map<string, Set<string>>()
    for (const one of receiver.received) {
      const id = String(one.headers['webhook-id'])
      const auditId = verified(one).data.audit_id
      idsOf.set(auditId, (idsOf.get(auditId) ?? new Set()).add(id))
    }
    const lost = events.filter(({ id, audit_id }) => !idsOf.get(audit_id)?.has(id))
    const lostCalls = acknowledged.filter((id) => !idsOf.has(id))
    const renamed = [...idsOf.values()].filter((ids) => ids.size > 1)
    say(
      `${events.length} events, ${receiver.received.length} deliveries, each verified: ${lost.length} lost, ${receiver.received.length - idsOf.size} more than once, ${renamed.length} under two ids`,
    )
    assert.deepEqual([lost, lostCalls, renamed], [[], [], []])
    assert.ok(events.length >= wanted)
    await Promise.all(last.map((node) => node.kill('SIGTERM')))
  } finally {
    isOver = true
    await Promise.all(nodes.map((node) => (node.isAlive() ? node.kill('SIGKILL') : undefined)))
    receiver.close()
    provider.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}

/** One process of the installation, with a disk of its own. */
async function startNode(installation: Installation, i: number, tenant: () => Tenant) {
  const port = await freePort()
  const environment = {
    ...installation.environment,
    EARTHFLOW_PORT: String(port),
    AUDIT_SPOOL_DIR: join(installation.environment.EARTHFLOW_DATA_DIR ?? '', `spool-${i}`),
  }
  return startProcess({ ...installation, port, environment }, tenant, 'dropped')
}
