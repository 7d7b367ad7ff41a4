import assert from 'node:assert/strict'
import { once } from 'node:events'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { type Tenant, until } from '../harness/client.ts'
import { createMemoryGauge, type Memory, mib } from '../harness/live-memory.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { LAST, open, rawCases, startRecorder, statusesIn } from '../proxy/raw-cases.ts'

export const about = '10,000 requests made of raw ones by 13 ways of spoiling them: no crash, no 5xx but 501 and 505, memory flat, a row for every 2xx'

const MUTANTS = 10_000
/** Before them: until code is compiled and pools are full, memory grows whatever happens. */
const WARM_UP = 2_000
const AT_ONCE = 32
const SEED = 0x5eed
/** Ways of spoiling that one mutant went through, at most. */
const SPOILED_MAX = 3
/** Half of the mutants are made of these, which are good: spoiled once, some are calls all the same. */
const GOOD = new Set(['S01', 'S19', 'S62', 'S63', 'S66'])
/** A mutant that says it has more to say is not waited for longer. */
const PATIENCE_MS = 1_000
/** What the second half may add to what is live once garbage is collected. */
const LIVE_GROWTH_MAX = 4 << 20
/**
 * And to resident memory, which shows what lies outside the engine, if only coarsely: it also holds what is not collected yet and what the allocator keeps, and goes
 * up and down by 20 MiB while what is live stays the same.
 */
const RESIDENT_GROWTH_MAX = 64 << 20

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const memory = createMemoryGauge()
  const installation = await prepareInstallation(database.url, memory.environment)
  const recorder = await startRecorder()
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant, 'dropped')
  try {
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'recorder', dialects: ['openai-chat'], base_url: `${recorder.origin}/v1` })
    const [mutants, warmUp] = [MUTANTS, WARM_UP].map((count) => (short ? count / 10 : count)) as [number, number]
    const cases = rawCases(tenant.api_key)
    const mutate = createMutator(
      cases.map(({ bytes }) => bytes),
      cases.filter(({ id }) => GOOD.has(id)).map(({ bytes }) => bytes),
      SEED,
    )
    const door = { port: installation.port, isTls: false }
    const statuses = new Map<number, number>()
    const acknowledged: string[] = []
    const wrong: string[] = []
    /** Sends so many, and tells what the process holds once they are over. */
    const sendAll = async (count: number): Promise<Memory> => {
      let left = count
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          while (left-- > 0) {
            const bytes = mutate()
            const text = await send(door.port, bytes)
            for (const status of statusesIn(text)) {
              statuses.set(status, (statuses.get(status) ?? 0) + 1)
              if (status >= 500 && status !== 501 && status !== 505) wrong.push(`${status} for ${JSON.stringify(bytes.toString('latin1').slice(0, 400))}`)
            }
            for (const answer of text.split(/(?=HTTP\/1\.1 \d{3} )/)) {
              const id = /^HTTP\/1\.1 2[\s\S]*?\r\nx-earthflow-audit-id: (\S+)\r\n/i.exec(answer)?.[1]
              if (id !== undefined) acknowledged.push(id)
            }
          }
        }),
      )
      await until(async () => (await earthflow.openExchanges()) === 0, 'the exchanges to end')
      return memory.ask(earthflow.pid)
    }
    const began = performance.now()
    const first = await sendAll(warmUp)
    const half = await sendAll(mutants / 2)
    const last = await sendAll(mutants / 2)
    const seconds = (performance.now() - began) / 1000
    say(
      `${mutants} mutants after ${warmUp} to warm up, in ${seconds.toFixed(1)} s; answers: ${[...statuses]
        .sort(([a], [b]) => a - b)
        .map(([status, n]) => `${n} × ${status}`)
        .join(', ')}`,
    )
    say(
      `live memory ${mib(first.live)} MiB at first, ${mib(half.live)} at half, ${mib(last.live)} at the end; resident ${mib(first.resident)}, ${mib(half.resident)}, ${mib(last.resident)}`,
    )
    assert.deepEqual(wrong.slice(0, 10), [])
    assert.ok(earthflow.isAlive(), 'it lives')
    assert.ok(acknowledged.length > mutants / 200, `some of them were still calls: ${acknowledged.length}`)
    const rows = async (): Promise<number> =>
      Number((await sql`select count(distinct audit_id) as count from audit_entries where audit_id in ${sql(acknowledged)}`)[0]?.count)
    await until(async () => (await rows()) === new Set(acknowledged).size, 'a row for every call that was answered')
    say(`${acknowledged.length} were calls that were answered with 2xx, and each has its row`)
    assert.equal((await earthflow.post('/v1/vector_stores', '{}')).status, 200)
    assert.deepEqual(
      recorder.paths.filter((path) => path.includes('smuggled')),
      [],
    )
    if (!short) {
      assert.ok(last.live - half.live <= LIVE_GROWTH_MAX, `its memory is flat: ${last.live - half.live} bytes more are live`)
      assert.ok(last.resident - half.resident <= RESIDENT_GROWTH_MAX, `its memory is flat: ${last.resident - half.resident} bytes more are resident`)
    }
  } finally {
    await earthflow.kill('SIGTERM')
    recorder.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}

/** All that is answered. */
async function send(port: number, bytes: Buffer): Promise<string> {
  const socket = await open({ port, isTls: false })
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  const timer = setTimeout(() => socket.end(), PATIENCE_MS)
  const over = once(socket, 'close')
  socket.write(Buffer.concat([bytes, Buffer.from(LAST)]))
  await over
  clearTimeout(timer)
  return text
}

/** The operators of the HTTP Garden and their like, over a corpus, by a generator of its own: the same seed, the same mutants. */
function createMutator(corpus: readonly Buffer[], good: readonly Buffer[], seed: number): () => Buffer {
  const random = mulberry32(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const any = <T>(list: readonly T[]): T => list[below(list.length)]!
  const insert = (bytes: Buffer, at: number, more: Buffer): Buffer => Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
  const lines = (bytes: Buffer): string[] => bytes.toString('latin1').split('\r\n')
  const joined = (some: readonly string[]): Buffer => Buffer.from(some.join('\r\n'), 'latin1')
  const odd = [
    '\0',
    '\t',
    '\v',
    '\f',
    '\r',
    '\n',
    ' ',
    '\r\n',
    ',',
    ';',
    ':',
    '/',
    '\\',
    '%',
    '..',
    '%2e',
    '_',
    '-',
    '0',
    'ff',
    '\xff',
    '"',
    '#',
    '?',
    '@',
    'chunked',
    'close',
  ]
  const operators: readonly ((bytes: Buffer) => Buffer)[] = [
    (bytes) => insert(bytes, below(bytes.length), Buffer.from([below(256)])),
    (bytes) => insert(bytes, below(bytes.length), Buffer.from(any(odd), 'latin1')),
    (bytes) => Buffer.concat([bytes.subarray(0, below(bytes.length)), bytes.subarray(below(bytes.length))]),
    (bytes) => {
      const at = below(bytes.length)
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
    },
    (bytes) => {
      const changed = Buffer.from(bytes)
      changed[below(bytes.length)] = below(256)
      return changed
    },
    (bytes) => {
      const at = below(bytes.length)
      return insert(bytes, at, bytes.subarray(at, at + 1 + below(16)))
    },
    (bytes) => {
      const changed = Buffer.from(bytes)
      const [a, b] = [below(bytes.length), below(bytes.length)]
      ;[changed[a], changed[b]] = [changed[b]!, changed[a]!]
      return changed
    },
    (bytes) => bytes.subarray(0, 1 + below(bytes.length)),
    (bytes) => {
      const changed = Buffer.from(bytes)
      for (let i = below(bytes.length); i < changed.length && random() < 0.9; i++) changed[i]! ^= /[a-z]/i.test(String.fromCharCode(changed[i]!)) ? 0x20 : 0
      return changed
    },
    (bytes) => {
      const some = lines(bytes)
      return joined(some.toSpliced(below(some.length), 1))
    },
    (bytes) => {
      const some = lines(bytes)
      return joined(some.toSpliced(below(some.length), 0, any(some)))
    },
    (bytes) => {
      const some = lines(bytes)
      return joined(some.toSpliced(below(some.length), 0, any(lines(any(corpus)))))
    },
    (bytes) => {
      const other = any(corpus)
      return Buffer.concat([bytes.subarray(0, below(bytes.length)), other.subarray(below(other.length))])
    },
  ]
  return () => {
    const isGood = random() < 0.5
    let bytes = any(isGood ? good : corpus)
    for (let i = isGood ? 1 : 1 + below(SPOILED_MAX); i > 0 && bytes.length > 0; i--) bytes = any(operators)(bytes)
    return bytes
  }
}

function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
