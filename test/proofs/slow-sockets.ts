import assert from 'node:assert/strict'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant } from '../harness/client.ts'
import { percentile } from '../harness/load.ts'
import { offerFromThread } from '../harness/load-thread.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, startProvider } from '../harness/provider.ts'
import { beSlowFromThread, type SlowKind } from '../harness/slow-clients.ts'

export const about = '2,500 slow sockets from 127.0.1.0/24: all closed within their deadline and 2 s, told why, and good traffic beside them'

export const rests = true

/** With the time (milliseconds) after which it is to be closed. */
interface Kind extends SlowKind {
  deadlineMs: number
}
const HEADERS_MS = 10_000
const BODY_IDLE_MS = 30_000
const BODY_MS = 60_000
const GRACE_MS = 2_000
/** Of each kind, in short form, which has no time for bodies. */
const SHORT_SHARE = 0.1
const RATE = 100
/** The first calls are slow: their code is not compiled yet. */
const WARM_UP_MS = 5_000
/** As long as the slow ones take: what is rare, such as a collection of garbage, is in both. */
const BASELINE_MS = 60_000
const LATENCY_MS_FLOOR = 10
const TIMES_MAX = 2

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url)
  const provider = await startProvider(answerJson)
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant, 'dropped')
  try {
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${tenant.api_key}\r\ncontent-length: 1000\r\n`
    const kinds: readonly Kind[] = [
      { name: 'slow headers', count: 1_500, deadlineMs: HEADERS_MS, first: head, drip: 'x: y\r\n' },
      { name: 'trickling bodies', count: 250, deadlineMs: BODY_MS, first: `${head}\r\n{`, drip: ' ' },
      { name: 'bodies that stop', count: 250, deadlineMs: BODY_IDLE_MS, first: `${head}\r\n{`, drip: '' },
      { name: 'silent', count: 500, deadlineMs: HEADERS_MS, first: '', drip: '' },
    ]
    const played = short ? kinds.filter(({ deadlineMs }) => deadlineMs === HEADERS_MS).map((kind) => ({ ...kind, count: kind.count * SHORT_SHARE })) : kinds
    const offered = { origins: [earthflow.origin], key: tenant.api_key, body: chat('x'), perSecond: short ? RATE / 10 : RATE }
    if (!short) await offerFromThread({ ...offered, ms: WARM_UP_MS })
    const baseline = short ? [] : await offerFromThread({ ...offered, ms: BASELINE_MS })
    const longest = Math.max(...played.map(({ deadlineMs }) => deadlineMs))
    const beside = offerFromThread({ ...offered, ms: short ? HEADERS_MS / 2 : longest })
    const closed = await beSlowFromThread({ port: installation.port, kinds: played })
    for (const kind of played) {
      const ended = closed.filter((one) => one.kind === kind.name)
      const told = ended.filter(({ text }) => text.startsWith('HTTP/1.1 408 ')).length
      const took = ended.map(({ ms }) => ms)
      const last = Math.max(...took)
      say(`${ended.length} ${kind.name}: closed after ${seconds(Math.min(...took))} to ${seconds(last)} s, ${told} were told 408`)
      assert.equal(told, kind.count, kind.name)
      if (!short) assert.ok(last < kind.deadlineMs + GRACE_MS, `${kind.name} are closed in time`)
    }
    const good = await beside
    const failed = good.filter(({ status }) => status !== 200).length
    const [before, during] = [baseline, good].map((answers) =>
      percentile(
        answers.map(({ ms }) => ms),
        0.99,
      ),
    ) as [number, number]
    say(
      `good traffic beside them: ${good.length} calls, ${failed} failed; 99th percentile ${during.toFixed(1)} ms${short ? '' : `, ${before.toFixed(1)} ms without them`}`,
    )
    assert.equal(failed, 0)
    if (!short) assert.ok(during < Math.max(LATENCY_MS_FLOOR, TIMES_MAX * before), 'good traffic is not held up')
    assert.ok(earthflow.isAlive())
  } finally {
    await earthflow.kill('SIGTERM')
    provider.close()
    installation.remove()
    await database.drop()
  }
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1)
