import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until, wire } from '../harness/client.ts'
import { createMemoryGauge, mib } from '../harness/live-memory.ts'
import { percentile } from '../harness/load.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { chatEvent, DONE } from '../harness/provider.ts'
import { answer, CHUNKED, chunk, type RawCall, startRawUpstream } from '../harness/raw-upstream.ts'

export const about =
  '1,000 clients that leave at five moments: upstream calls are closed at once, one row each, charged for the input and all that was relayed, and nothing is left open'

const CLIENTS = 1_000
const AT_ONCE = 20
const WORDS = 'hung up on '
const CLOSED_MS_P99 = 250
const PROMPT = 'a prompt of forty characters, no less ok.'
const SSE = `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n${CHUNKED}\r\n\r\n`
const EVENTS = 10
const STALLED = 100
const STALLED_BYTES = 32 << 20
/**
 * What all of them may hold once garbage is collected: 290 to 350 KiB each with events of 60 KB, which is what undici and Node read before they were paused (three
 * reads of 64 KiB), the event that is not whole yet, the write that did not fit, and the two ends that are remembered.
 */
const STALLED_LIVE_MAX = 48 << 20
/** Resident memory is two or three times that: hundreds of MiB passed into the kernel's buffers before, and what carried them is garbage, or the allocator keeps it. */
const STALLED_RESIDENT_MAX = 160 << 20
/** Each question stops the process for a collection. */
const ASK_MEMORY_EVERY_MS = 5_000
/** The kernel takes 4 MiB for each first, which is seconds of work, on a busy machine twenty; then the 30 seconds begin in which nothing is taken. */
const STALLED_MS_MAX = 60_000

const moments = ['while their body arrives', 'while the provider thinks', 'at the first byte', 'mid-stream', 'at the last event'] as const
type Moment = (typeof moments)[number]

/** How a provider answers the clients of a moment; a stream never ends by itself, and never says what it used. */
const answers: Record<Moment, (socket: Socket) => void> = {
  'while their body arrives': () => {},
  'while the provider thinks': () => {},
  'at the first byte': (socket) => void socket.write(SSE),
  'mid-stream': (socket) => {
    socket.write(SSE)
    const timer = setInterval(() => socket.write(chunk(chatEvent(WORDS))), 5)
    socket.on('close', () => clearInterval(timer))
  },
  'at the last event': (socket) => void socket.write(SSE + chunk(chatEvent(WORDS).repeat(EVENTS)) + chunk(DONE)),
}

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const memory = createMemoryGauge()
  const redis: Record<string, string> = services.redisUrl === undefined ? {} : { REDIS_URL: services.redisUrl }
  const installation = await prepareInstallation(database.url, { ...redis, ...memory.environment })
  /** By the name that each client puts into its call: when its connection to the provider was closed. */
  const closedAt = new Map<string, number>()
  const reached = new Set<string>()
  const provider = await startRawUpstream(({ socket, body }: RawCall) => {
    const [, moment, name] = /@(\d)@([\w-]+)@/.exec(body) ?? []
    if (name === undefined) return void socket.write(answer('{"choices":[]}'))
    socket.on('close', () => closedAt.set(name, performance.now()))
    answers[moments[Number(moment)] as Moment](socket)
    reached.add(name)
  })
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant)
  try {
    tenant = await earthflow.newTenant({ max_tokens_per_minute: 1_000_000_000, max_concurrency: 10 * AT_ONCE })
    await earthflow.addUpstream({
      name: 'provider',
      dialects: ['openai-chat'],
      base_url: `${provider.origin}/v1`,
      prices: [{ model: '*', input: 1_000, output: 2_000 }],
    })
    const budget = { scope: 'tenant', amount: 1_000_000, unit: 'usd', window: 'month', mode: 'hard' }
    const { id } = (await earthflow.admin('POST', `/v1/budgets?tenant_id=${tenant.tenant_id}`, budget)).json as { id: string }
    const port = Number(new URL(earthflow.origin).port)
    const each = (short ? CLIENTS / 10 : CLIENTS) / moments.length
    /** By audit id: the tokens of what arrived. */
    const relayed = new Map<string, number>()
    const late: number[] = []
    for (const [index, moment] of moments.entries()) {
      const closings: number[] = []
      for (let done = 0; done < each; done += AT_ONCE) {
        const batch = Math.min(AT_ONCE, each - done)
        const begun =
          moment === 'while their body arrives' ? until(async () => (await earthflow.openExchanges()) >= batch, 'the calls to begin') : Promise.resolve()
        await Promise.all(
          Array.from({ length: batch }, async (_, i) => {
            const name = `${index}-${done + i}`
            const request = wire('/v1/chat/completions', tenant.api_key, chat(`${PROMPT}@${index}@${name}@`, { stream: true }))
            const events = moment === 'mid-stream' ? 1 + ((done + i) % 40) : EVENTS
            const { auditId, tokens, leftAt } = await leave(moment, { port, request, events, resets: i % 2 === 0, begun, reached: () => reached.has(name) })
            if (auditId !== undefined) relayed.set(auditId, tokens)
            if (!reached.has(name)) return
            await until(() => closedAt.has(name), `the upstream call of a client that left ${moment} to be closed`)
            closings.push((closedAt.get(name) ?? 0) - leftAt)
          }),
        )
        // Who has not left yet would be counted with the next ones.
        if (moment === 'while their body arrives') await until(async () => (await earthflow.openExchanges()) === 0, 'the calls to end')
      }
      await until(async () => (await earthflow.openExchanges()) === 0, `the exchanges of those that left ${moment} to end`)
      late.push(...closings)
      say(
        `${each} left ${moment}: ${closings.length} upstream calls closed${closings.length === 0 ? '' : `, p99 after ${percentile(closings, 0.99).toFixed(0)} ms`}`,
      )
    }
    if (!short) assert.ok(percentile(late, 0.99) <= CLOSED_MS_P99, `upstream calls were closed after ${percentile(late, 0.99)} ms (p99)`)

    await until(async () => (await sql`select 1 from audit_open`).length === 0, 'every exchange to be closed', 30_000)
    const rows = await sql<{ audit_id: string; outcome: string; input: number | null; output: number | null; nano: string; charged: string }[]>`
      select audit_id, outcome, (usage->>'input_tokens')::int as input, (usage->>'output_tokens')::int as output, (cost_usd * 1e9)::bigint as nano,
             (budgets->0->>'amount')::bigint as charged
      from audit_entries where kind = 'exchange' and tenant_id = ${tenant.tenant_id}`
    assert.equal(rows.length, each * moments.length, 'one row each')
    assert.deepEqual([...new Set(rows.map(({ outcome }) => outcome))], ['cancelled'])
    const input = Math.ceil(PROMPT.length / 4)
    const used = rows.filter(({ input }) => input !== null)
    assert.equal(used.length, each * (moments.length - 1), 'all that reached the provider are charged')
    const byId = new Map(rows.map((row) => [row.audit_id, row]))
    let least = Number.POSITIVE_INFINITY
    for (const row of used) {
      assert.ok((row.input ?? 0) >= input, `charged ${row.input} for ${input}`)
      assert.equal(Number(row.charged), Number(row.nano))
      assert.equal(Number(row.nano), (row.input ?? 0) * 1_000_000 + (row.output ?? 0) * 2_000_000)
    }
    for (const [auditId, tokens] of relayed) {
      const row = byId.get(auditId)
      assert.ok(row && (row.output ?? 0) >= tokens, `charged ${row?.output} for ${tokens}`)
      if (tokens > 0) least = Math.min(least, (row.output ?? 0) / tokens)
    }
    const [window] = await sql<{ spent: string; reserved: string }[]>`select spent, reserved from budget_windows where budget_id = ${id}`
    const sum = used.reduce((total, { nano }) => total + Number(nano), 0)
    say(`${rows.length} rows, all cancelled; each charged at least what was relayed (the closest at ${(100 * least).toFixed(0)} % of it)`)
    say(`budget: spent ${window?.spent}, sum of the rows ${sum}, still reserved ${window?.reserved} nano-dollars`)
    assert.deepEqual([Number(window?.spent), Number(window?.reserved)], [sum, 0])

    assert.equal(provider.connections.open, 0, 'no connection that was left is kept')
    const files = filesOpenIn(earthflow.pid)
    const good = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => earthflow.post('/v1/chat/completions', chat(`good ${i}`))))
    assert.deepEqual([...new Set(good.map(({ status }) => status))], [200])
    say(`open exchanges ${await earthflow.openExchanges()}, connections to the provider 0; ${AT_ONCE} calls at once still pass`)
    if (!short) await stall(files)
    assert.ok(earthflow.isAlive())

    /** Readers that take nothing: each stream is paused at a bounded backlog, and let go. */
    async function stall(files: number): Promise<void> {
      const before = await memory.ask(earthflow.pid)
      const flood = Buffer.from(SSE + chunk(chatEvent('y'.repeat(60_000))).repeat(STALLED_BYTES / 60_000))
      provider.script = ({ socket }) => void socket.write(flood)
      const readers = Array.from({ length: STALLED }, () => {
        const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {})
        socket.pause()
        socket.write(wire('/v1/chat/completions', tenant.api_key, chat('stalled', { stream: true })))
        return socket
      })
      const most = { ...before }
      const began = performance.now()
      let askedAt = began
      await until(
        async () => {
          most.resident = Math.max(most.resident, residentOf(earthflow.pid))
          if (performance.now() - askedAt > ASK_MEMORY_EVERY_MS) {
            most.live = Math.max(most.live, (await memory.ask(earthflow.pid)).live)
            askedAt = performance.now()
          }
          return (await sql`select 1 from audit_entries where reason = 'slow_reader'`).length === STALLED
        },
        'every reader that takes nothing to be let go',
        STALLED_MS_MAX,
      )
      for (const socket of readers) socket.destroy()
      const [live, resident] = [most.live - before.live, most.resident - before.resident]
      say(`${STALLED} readers that took nothing of ${STALLED_BYTES >> 20} MiB: all let go after ${((performance.now() - began) / 1000).toFixed(0)} s`)
      say(`they held at most ${mib(live)} MiB live, ${(live / STALLED / 1024).toFixed(0)} KiB each; resident memory at most ${mib(resident)} MiB more`)
      assert.ok(live <= STALLED_LIVE_MAX, `${live} bytes more are live`)
      assert.ok(resident <= STALLED_RESIDENT_MAX, `${resident} bytes more are resident`)
      await until(async () => (await earthflow.openExchanges()) === 0 && filesOpenIn(earthflow.pid) <= files + AT_ONCE, 'their connections to be gone')
    }
  } finally {
    await earthflow.kill('SIGTERM')
    provider.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}

interface Leaving {
  port: number
  request: string
  /** After so many it leaves, where it reads any. */
  events: number
  resets: boolean
  /** Its call has begun, though its body has not all arrived. */
  begun: Promise<void>
  reached: () => boolean
}

/** One client. `tokens` is a quarter of the bytes of text that arrived. */
async function leave(
  moment: Moment,
  { port, request, events, resets, begun, reached }: Leaving,
): Promise<{ auditId: string | undefined; tokens: number; leftAt: number }> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  let got = ''
  let leftAt = 0
  const go = (): void => {
    if (leftAt > 0) return
    leftAt = performance.now()
    if (resets) socket.resetAndDestroy()
    else socket.destroy()
  }
  const gone = once(socket, 'close')
  socket.on('data', (data) => {
    got += data.toString('latin1')
    if (moment === 'at the first byte' || got.split(WORDS).length > events) go()
  })
  socket.write(moment === 'while their body arrives' ? request.slice(0, -20) : request)
  if (moment === 'while their body arrives') void begun.then(go)
  if (moment === 'while the provider thinks') void until(reached, 'a call to reach the provider').then(go)
  await gone
  return { auditId: /x-earthflow-audit-id: (\S+)/i.exec(got)?.[1], tokens: Math.floor(((got.split(WORDS).length - 1) * WORDS.length) / 4), leftAt }
}

/** Bytes that a process has in memory. */
const residentOf = (pid: number): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
const filesOpenIn = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length
