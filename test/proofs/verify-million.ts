import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { createLogBuilder, type LogBuilder } from '../verify/build-log.ts'
import { exported, linesOf } from '../verify/log-records.ts'
import { below, createRandom, type Random, randomExchange } from '../verify/random-entries.ts'

export const about = 'a complete export of a million entries is verified offline in 60 s with 512 MiB at most, and one changed entry in it is found'

const ROWS = 1_000_000
const SECONDS_MAX = 60
const MIB_MAX = 512
const WRITERS = 8
const TENANTS = 50
const ROWS_PER_BATCH_MAX = 100
/** Leaves between two checkpoints. */
const CHECKPOINT_EVERY = 5_000
const POLL_MS = 50

export default async function prove({ short, say }: ProofContext): Promise<void> {
  const rows = short ? ROWS / 10 : ROWS
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-million-'))
  try {
    const file = join(dir, 'export.jsonl')
    const { vkey, changed } = await writeExport({ rows, file, dir })
    say(`${rows} entries in ${(statSync(file).size / 2 ** 20).toFixed(0)} MiB`)
    const whole = await runVerify(['--file', file, '--public-key', vkey, '--json'])
    say(`verified in ${whole.seconds.toFixed(1)} s with ${whole.mib.toFixed(0)} MiB`)
    assert.deepEqual([whole.report.problems, whole.code, whole.report.entries], [[], 0, rows + WRITERS])
    if (!short) {
      assert.ok(whole.seconds <= SECONDS_MAX, 'in time')
      assert.ok(whole.mib <= MIB_MAX, 'in little memory')
    }
    const { report, code } = await runVerify(['--file', changed.file, '--public-key', vkey, '--json'])
    assert.equal(code, 1)
    assert.deepEqual(
      report.problems.map(({ writer_id, seq }) => [writer_id, seq]),
      [[changed.writer_id, changed.seq]],
    )
    say(`one entry of them changed: found at ${changed.writer_id} ${changed.seq}`)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The export, and beside it another one of which one entry was changed. */
async function writeExport({ rows, file, dir }: { rows: number; file: string; dir: string }) {
  const random = createRandom(1)
  const builder = createLogBuilder()
  const entries = join(dir, 'entries.jsonl')
  const count = await writeEntries({ builder, random, rows, path: entries })
  const head = [...linesOf(builder.log)].slice(0, -1)
  await concatenate(file, head, entries, count)

  const writer = builder.log.writers[below(random, WRITERS)]!.id
  const changed = { file: join(dir, 'changed.jsonl'), writer_id: writer, seq: 0 }
  const altered = join(dir, 'altered.jsonl')
  await pipeline(
    createReadStream(entries, { highWaterMark: 1 << 20 }),
    alterOne(writer, (seq) => {
      changed.seq = seq
    }),
    createWriteStream(altered),
  )
  await concatenate(changed.file, head, altered, count)
  return { vkey: builder.key.vkey, changed }
}

/** Writer after writer, as an export has them; the rows leave memory at once. */
async function writeEntries({ builder, random, rows, path }: { builder: LogBuilder; random: Random; rows: number; path: string }): Promise<number> {
  const { log } = builder
  const output = createWriteStream(path, { highWaterMark: 1 << 20 })
  const writers = Array.from({ length: WRITERS }, () => builder.openWriter()).sort((a, b) => (a.id < b.id ? -1 : 1))
  let written = 0
  let sinceCheckpoint = 0
  for (const [i, writer] of writers.entries()) {
    const end = Math.round((rows * (i + 1)) / WRITERS)
    for (let done = Math.round((rows * i) / WRITERS); done < end; ) {
      const size = Math.min(1 + below(random, ROWS_PER_BATCH_MAX), end - done)
      builder.passTime(size)
      builder.write(
        writer,
        Array.from({ length: size }, () => randomExchange(random, `ten_${below(random, TENANTS)}`, builder.now)),
      )
      done += size
      sinceCheckpoint += size
      const lines = log.rows.splice(0).map((row) => `${JSON.stringify(exported(row))}\n`)
      written += lines.length
      if (!output.write(lines.join(''))) await once(output, 'drain')
      if (sinceCheckpoint >= CHECKPOINT_EVERY) {
        builder.checkpoint()
        sinceCheckpoint = 0
      }
    }
  }
  builder.checkpoint()
  output.end()
  await once(output, 'finish')
  return written
}

async function concatenate(path: string, head: readonly string[], entries: string, count: number): Promise<void> {
  await pipeline(async function* () {
    yield `${head.join('\n')}\n`
    yield* createReadStream(entries, { highWaterMark: 1 << 20 })
    yield `${JSON.stringify({ kind: 'end', entries: count })}\n`
  }, createWriteStream(path))
}

/** Changes the first entry of the writer, in whose line it finds where, that was blocked: now it was allowed. */
const alterOne = (writerId: string, found: (seq: number) => void) =>
  async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let isDone = false
    let rest = Buffer.alloc(0)
    for await (const chunk of source) {
      if (isDone) {
        yield chunk
        continue
      }
      const whole = Buffer.concat([rest, chunk])
      const end = whole.lastIndexOf(10) + 1
      rest = whole.subarray(end)
      const lines = whole.subarray(0, end).toString().split('\n')
      const at = lines.findIndex((line) => line.includes(`"writer_id":"${writerId}"`) && line.includes('"status":"BLOCK"'))
      if (at !== -1) {
        found((JSON.parse(lines[at]!) as { chain: { seq: number } }).chain.seq)
        lines[at] = lines[at]!.replace('"status":"BLOCK"', '"status":"ALLOW"')
        isDone = true
      }
      yield Buffer.from(lines.join('\n'))
      if (isDone) yield rest
    }
    assert.ok(isDone)
  }

interface Verified {
  code: number | null
  seconds: number
  /** The most memory it ever had (VmHWM). */
  mib: number
  report: { entries: number; problems: { writer_id: string; seq: number }[] }
}

/** The verb, as anybody runs it, in a process of its own with nothing in its environment. */
async function runVerify(args: readonly string[]): Promise<Verified> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'main.ts'), 'audit', 'verify', ...args], {
    env: { PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let kib = 0
  const poll = setInterval(() => {
    kib = Math.max(kib, peakOf(child.pid!))
  }, POLL_MS)
  const exited = once(child, 'exit')
  const output = await text(child.stdout)
  const [code] = (await exited) as [number | null]
  clearInterval(poll)
  return { code, seconds: (performance.now() - startedAt) / 1_000, mib: kib / 1_024, report: JSON.parse(output) }
}

/** Kibibytes; 0 where the system does not tell. */
function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
