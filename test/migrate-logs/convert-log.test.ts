import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from '../../src/audit/prompt-hash.ts'
import { type ConvertOptions, type Counts, convertLog } from '../../src/migrate-logs/convert-log.ts'
import { createLineIds } from '../../src/migrate-logs/line-ids.ts'
import { createLineReader } from '../../src/migrate-logs/read-line.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const LINE_BYTES_MAX = 600

interface Converted {
  counts: Counts
  rows: string[]
  rejected: Buffer
  reasons: { number: number; why: string }[]
}

async function convert(source: Iterable<Buffer> | AsyncIterable<Buffer>, options: Partial<ConvertOptions> = {}): Promise<Converted> {
  const rows: string[] = []
  const rejected: Buffer[] = []
  const reasons: Converted['reasons'] = []
  const counts = await convertLog({
    source: source as AsyncIterable<Buffer>,
    readLine: createLineReader({ idsOf: createLineIds(), now: NOW }),
    complete: ({ entry, prompt }) => Object.assign(entry, { prompt_hash: prompt === null ? null : sha256(Buffer.from(prompt)) }),
    async writeRows(batch) {
      rows.push(...batch)
    },
    async writeRejected(bytes) {
      rejected.push(Buffer.from(bytes))
    },
    onRejected: (number, why) => void reasons.push({ number, why }),
    onProgress: () => {},
    lineBytesMax: LINE_BYTES_MAX,
    ...options,
  })
  return { counts, rows, rejected: Buffer.concat(rejected), reasons }
}

const MARK = 'PROMPT-TEXT'
const good = fc
  .record(
    {
      ts: fc.oneof(fc.integer({ min: 946_684_800_000, max: NOW }), fc.date({ min: new Date('2000-01-01'), max: new Date(NOW), noInvalidDate: true })),
      action: fc.constantFrom('ALLOW', 'warn', 'Redact', 'escalate', 'BLOCK'),
      prompt: fc.string({ maxLength: 40, unit: 'binary' }).map((text) => `${MARK} ${text}`),
      rule: fc.oneof(fc.string(), fc.array(fc.string())),
      tenant: fc.string(),
      latency: fc.oneof(fc.integer(), fc.double(), fc.string()),
      user_id: fc.oneof(fc.string(), fc.integer(), fc.constant(null)),
      more: fc.jsonValue({ maxDepth: 2 }),
    },
    { requiredKeys: ['ts', 'action'] },
  )
  .map((fields) => ({ kind: 'good', bytes: Buffer.from(JSON.stringify(fields)) }))
  .filter(({ bytes }) => bytes.length < LINE_BYTES_MAX - 2)
const broken = fc
  .oneof(
    fc.constantFrom(
      `${MARK}`,
      `{"prompt":"${MARK}"`,
      `["${MARK}"]`,
      `{"prompt":"${MARK}","action":"BLOCK"}`,
      `{"ts":1709294400,"prompt":"${MARK}","action":"x"}`,
    ),
    fc.integer({ min: LINE_BYTES_MAX, max: 3 * LINE_BYTES_MAX }).map((length) => `{"ts":1709294400,"action":"BLOCK","prompt":"${MARK}${'x'.repeat(length)}"}`),
  )
  .map((text) => ({ kind: 'broken', bytes: Buffer.from(text) }))
const notText = fc.constant({
  kind: 'broken',
  bytes: Buffer.concat([Buffer.from('{"ts":1709294400,"action":"BLOCK","prompt":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
})
const blank = fc.constantFrom('', '  ', '\uFEFF').map((text) => ({ kind: 'blank', bytes: Buffer.from(text) }))
const line = fc
  .record({ content: fc.oneof({ weight: 6, arbitrary: good }, broken, notText, blank), end: fc.constantFrom('\n', '\r\n'), times: fc.constantFrom(1, 1, 1, 3) })
  .map(({ content, end, times }) => Array.from({ length: times }, () => ({ kind: content.kind, bytes: Buffer.concat([content.bytes, Buffer.from(end)]) })))

test('of any log every line is a row, or rejected unchanged with its number, or blank; prompts are nowhere; and another run says the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 12 }), fc.integer({ min: 1, max: 700 }), fc.boolean(), async (groups, chunkBytes, isCut) => {
      const lines = groups.flat()
      const log = Buffer.concat(lines.map(({ bytes }) => bytes))
      const cut = isCut && lines.at(-1)?.kind === 'good' ? 3 : 0 // Within its last object.
      const given = log.subarray(0, log.length - cut)
      const chunks = Array.from({ length: Math.ceil(given.length / chunkBytes) }, (_, i) => given.subarray(i * chunkBytes, (i + 1) * chunkBytes))
      const { counts, rows, rejected, reasons } = await convert(chunks)

      const expected = lines.map((each, i) => ({ ...each, number: i + 1, kind: cut > 0 && i === lines.length - 1 ? 'broken' : each.kind }))
      const of = (kind: string) => expected.filter((each) => each.kind === kind)
      assert.deepEqual(
        { lines: counts.lines, rows: rows.length, rejected: counts.rejected, blank: counts.blank },
        { lines: lines.length, rows: of('good').length, rejected: of('broken').length, blank: of('blank').length },
      )
      assert.deepEqual(
        reasons.map(({ number }) => number),
        of('broken').map(({ number }) => number),
      )
      const unchanged = Buffer.concat(of('broken').map(({ bytes }) => bytes))
      assert.ok(rejected.equals(unchanged.subarray(0, unchanged.length - cut)))
      assert.doesNotMatch(rows.join('\n') + JSON.stringify(reasons), new RegExp(MARK))
      const ids = rows.map((row) => (JSON.parse(row) as { audit_id: string }).audit_id)
      assert.equal(new Set(ids).size, ids.length)

      const whole = await convert([given])
      assert.deepEqual(whole.rows, rows, 'whatever the chunks are')
      assert.ok(whole.rejected.equals(rejected))
    }),
    { numRuns: 100 },
  )
})

test('a line that the end of the file cuts off is told from others; one without an end that is whole is a row', async () => {
  const { rows, reasons } = await convert([Buffer.from('{"ts":1709294400,"action":"WARN"}\n{"ts":1709294400,"act')])
  assert.deepEqual([rows.length, reasons], [1, [{ number: 2, why: 'it is not JSON; it is the last one, and has no end' }]])
  assert.equal((await convert([Buffer.from('{"ts":1709294400,"action":"WARN"}')])).rows.length, 1)
  assert.deepEqual((await convert([])).counts, { lines: 0, rows: 0, rejected: 0, blank: 0, bytes: 0 })
})

test('a log is read no faster than its rows are written, and what was read is not kept', async () => {
  const CHUNKS = 10
  const chunk = Buffer.from('{"ts":1709294400,"action":"WARN","prompt":"Hello"}\n'.repeat(1_000))
  let read = 0
  let written = 0
  let aheadMost = 0
  function* source(): Generator<Buffer> {
    for (; read < CHUNKS; read++) {
      aheadMost = Math.max(aheadMost, read * 1_000 - written)
      yield chunk
    }
  }
  const { counts } = await convert(source(), {
    async writeRows(rows) {
      await new Promise(setImmediate)
      written += rows.length
    },
  })
  assert.equal(counts.rows, CHUNKS * 1_000)
  assert.ok(aheadMost <= 1_000, `${aheadMost} rows were held`)
})

test('a line without an end in sight is passed on piece by piece', async () => {
  const PIECES = 100
  const piece = Buffer.alloc(64 << 10, 'a')
  let read = 0
  let passed = 0
  let heldMost = 0
  function* source(): Generator<Buffer> {
    for (; read < PIECES; read++) {
      heldMost = Math.max(heldMost, read * piece.length - passed)
      yield piece
    }
    yield Buffer.from('\n{"ts":1709294400,"action":"WARN"}\n')
  }
  const { counts, reasons } = await convert(source(), {
    lineBytesMax: 1 << 20,
    async writeRejected(bytes) {
      passed += bytes.length
    },
  })
  assert.deepEqual([counts.rows, counts.rejected, passed], [1, 1, PIECES * piece.length + 1])
  assert.deepEqual(reasons, [{ number: 1, why: `it is longer than ${1 << 20} bytes` }])
  assert.ok(heldMost <= 1 << 20, `${heldMost} bytes were held`)
})
