import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, request, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'sessions of two tenants call on three processes; lock-all on one of them ends every session on the others within 2 s, none can be made until it is unlocked, and keys are not touched by it'
export const rests = true

const PROCESSES = 3
const ROUNDS = 10
const STOPPED_MS = 2_000
const AFTER_MS = 1_000

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  if (services.redisUrl === undefined) return say('no Redis can be had on this machine: nothing was shown')
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url, { REDIS_URL: services.redisUrl })
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const processes: Awaited<ReturnType<typeof startProcess>>[] = []
  try {
    for (let i = 0; i < PROCESSES; i++) {
      const port = await freePort()
      processes.push(await startProcess({ ...installation, port, environment: { ...installation.environment, EARTHFLOW_PORT: String(port) } }, () => tenant))
    }
    const [first] = processes
    assert.ok(first)
    tenant = await first.newTenant()
    const tenants = [tenant, await first.newTenant()]
    await first.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const call = async (origin: string, credential: string): Promise<number> => {
      const headers = { authorization: `Bearer ${credential}`, 'content-type': 'application/json' }
      return (await request(origin, 'POST', '/v1/chat/completions', chat('x'), headers)).status
    }
    const newSession = (at: (typeof processes)[number], { tenant_id }: Tenant) => at.admin('POST', `/v1/sessions?tenant_id=${tenant_id}`, {})

    let slowest = 0
    let inAll = 0
    for (let round = 0; round < (short ? 2 : ROUNDS); round++) {
      // Made anywhere, good everywhere.
      const tokens: string[] = []
      for (const [i, one] of tenants.entries()) {
        const made = await newSession(processes[(round + i) % PROCESSES], one)
        assert.equal(made.status, 201, made.text)
        tokens.push((made.json as { token: string }).token)
      }
      let isOver = false
      let lockedAt = Number.POSITIVE_INFINITY
      let served = 0
      let latest = 0
      const keysRefused: number[] = []
      const otherwise: number[] = []
      const clients = processes.flatMap(({ origin }) => [
        ...tokens.map(async (token) => {
          while (!isOver) {
            const began = performance.now()
            const status = await call(origin, token)
            if (status !== 200 && status !== 401) otherwise.push(status)
            // What had begun before may end after.
            if (status === 200 && began > lockedAt) latest = Math.max(latest, began - lockedAt)
            if (status === 200) served++
          }
        }),
        (async () => {
          while (!isOver) {
            const status = await call(origin, tenant.api_key)
            if (status !== 200) keysRefused.push(status)
          }
        })(),
      ])
      const stopped = Promise.all(clients)
      await until(() => served > 20 * PROCESSES, 'sessions to be served everywhere')
      const locker = processes[round % PROCESSES]
      const locked = await locker.admin('POST', '/v1/sessions/lock-all', { reason: 'proof' })
      lockedAt = performance.now()
      assert.equal(locked.status, 200, locked.text)
      assert.deepEqual(locked.json, { ended: tenants.length, locked: true })
      for (const one of processes) assert.equal((await newSession(one, tenant)).status, 403, 'none is made while they are locked')
      await sleep(STOPPED_MS + AFTER_MS)
      isOver = true
      await stopped
      slowest = Math.max(slowest, latest)
      inAll += served
      for (const { origin } of processes) for (const token of tokens) await until(async () => (await call(origin, token)) === 401, 'no session to be left')
      assert.deepEqual(keysRefused, [], 'keys go on')
      assert.deepEqual(otherwise, [], 'sessions are served, or are 401')
      assert.ok(short || latest < STOPPED_MS, `the last session ended ${Math.round(latest)} ms after it was locked`)
      assert.equal((await locker.admin('POST', '/v1/sessions/unlock', {})).status, 200)
      for (const { origin } of processes) for (const token of tokens) assert.equal(await call(origin, token), 401, 'what has ended stays so')
    }
    say(`${inAll} calls of sessions on ${PROCESSES} processes; the last one that was let in began ${Math.round(slowest)} ms after the lock was answered`)
  } finally {
    for (const one of processes) if (one.isAlive()) await one.kill('SIGTERM')
    provider.close()
    installation.remove()
    await database.drop()
  }
}
