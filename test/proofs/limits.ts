import assert from 'node:assert/strict'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { connectRedis, type RedisConnection } from '../../src/db/redis.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { offer } from '../harness/load.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, startProvider } from '../harness/provider.ts'
import { freePort } from '../services/server-process.ts'

export const about = 'two and four processes under ten times the load admit what one limit allows, together: never more than cap + rate · t + 1, and 99 % of it'

const CAP = 100
const RATE = 50
const LOAD = 10 * RATE

const OWED_MS = 10_000

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  if (services.redisUrl === undefined) return say('no Redis can be had on this machine: nothing was shown')
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const ms = short ? 3_000 : 30_000
  for (const count of [2, 4]) {
    const database = await createServerDatabase()
    const installation = await prepareInstallation(database.url, {
      REDIS_URL: services.redisUrl,
      // A window of one second, of which a full bucket holds two: 100 requests, and 50 more each second.
      RATE_LIMIT_WINDOW_SECONDS: '1',
      RATE_LIMIT_BURST_FACTOR: String(CAP / RATE),
    })
    const provider = await startProvider(answerJson)
    const sql = postgres(database.url, { max: 1 })
    const redis = await connectRedis({ url: services.redisUrl, onChange: () => {} })
    let tenant: Tenant = { tenant_id: '', api_key: '' }
    const processes: Awaited<ReturnType<typeof startProcess>>[] = []
    try {
      for (let i = 0; i < count; i++) {
        const port = await freePort()
        processes.push(await startProcess({ ...installation, port, environment: { ...installation.environment, EARTHFLOW_PORT: String(port) } }, () => tenant))
      }
      tenant = await processes[0]!.newTenant({ max_requests_per_minute: RATE * 60 })
      await processes[0]!.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
      await warm(processes, () => processes[0]!.newTenant())
      const warmed = provider.seen.length
      const began = performance.now()
      const answers = await offer({ origins: processes.map(({ origin }) => origin), key: tenant.api_key, body: chat('x'), perSecond: LOAD, ms })
      const seconds = (performance.now() - began) / 1000
      const admitted = answers.filter(({ status }) => status === 200).length
      const refused = answers.filter(({ status }) => status === 429).length
      const allowed = CAP + RATE * seconds
      // Where the machine stalls for longer than a decision may take, a process counts by itself for a moment: its rows say so, and Redis is charged.
      const [{ alone } = { alone: 0 }] = await sql<{ alone: number }[]>`
        select count(*)::int as alone from audit_entries where tenant_id = ${tenant.tenant_id} and degraded is not null and http_status = 200`
      say(
        `${count} processes, ${answers.length} calls in ${seconds.toFixed(1)} s: ${admitted} admitted of ${allowed.toFixed(0)} allowed (${((100 * admitted) / allowed).toFixed(2)} %), ${refused} refused, ${alone} counted by one process alone`,
      )
      if (short) {
        const isOwed = async (): Promise<boolean> => admitted <= allowed + 1 - Math.min(0, await levelOf(redis, tenant))
        // Told, not judged: on a machine that stalls, processes count alone for so long that some of it has flowed in by the time it is charged.
        const owed = await until(isOwed, 'what was admitted beyond the limit to be owed', OWED_MS).then(
          () => true,
          () => false,
        )
        say(owed ? 'what was admitted beyond the limit is owed' : `what was admitted beyond the limit is not all owed after ${OWED_MS / 1000} s`)
      } else assert.ok(admitted <= allowed + 1, 'never more than the limit')
      assert.equal(admitted + refused, answers.length, 'every call was answered')
      assert.equal(provider.seen.length - warmed, admitted, 'what was refused did not reach the provider')
      if (!short) assert.ok(admitted >= 0.99 * allowed, '99 % of the limit')
    } finally {
      await Promise.all(processes.map((one) => one.kill('SIGTERM')))
      provider.close()
      installation.remove()
      await sql.end()
      redis.close()
      await database.drop()
    }
  }
}

/** What is left in the tenant's bucket; less than 0 where more was taken than flowed in. */
const levelOf = async (redis: RedisConnection, { tenant_id: id }: Tenant): Promise<number> =>
  Number.parseFloat(String(await redis.send(['GET', `ef:{${id}}:tenant:requests:minute`])))

/** Every process has opened its connections and knows policies and upstreams, with another tenant's key, so that the first calls are as good as the rest. */
async function warm(processes: readonly { origin: string }[], newTenant: () => Promise<Tenant>): Promise<void> {
  const { api_key: key } = await newTenant()
  for (const { origin } of processes) await offer({ origins: [origin], key, body: chat('x'), perSecond: 50, ms: 500 })
}
