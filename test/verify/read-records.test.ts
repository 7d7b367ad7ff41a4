import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordsInThreads } from '../../src/verify/read-in-threads.ts'
import { LINE_BYTES_MAX, piecesOf, recordsIn } from '../../src/verify/read-records.ts'
import type { LogRecord } from '../../src/verify/record.ts'
import { parseNoteKey } from '../../src/verify/signed-note.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { createSigningKey } from './build-log.ts'
import { linesOf } from './log-records.ts'
import { createRandom } from './random-entries.ts'
import { buildRandomLog } from './random-log.ts'

const key = createSigningKey('earthflow/test')
const { log } = buildRandomLog({ random: createRandom(27), rows: 200, key })
const whole = Buffer.from(`${[...linesOf(log)].join('\n')}\n`)

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** What is looked at of a record. */
const looked = (record: LogRecord): unknown => {
  if (record.kind !== 'entry') return record
  const { audit_id, timestamp, kind, tenant_id, outcome, reason } = record.entry
  const { chain, leaf } = record
  return {
    audit_id,
    timestamp,
    kind,
    tenant_id,
    outcome,
    reason,
    metadata: kind !== 'exchange' && record.entry.metadata,
    place: chain && [chain.writer_id, chain.seq, chain.tenant_prev, chain.erased_by],
    leaf,
  }
}

test('records are the same wherever the file is cut into chunks, and with the last line feed or without', async () => {
  const small = whole.subarray(0, 8_000)
  const all = await Array.fromAsync(recordsIn(inChunks(small, small.length)))
  for (const size of [1, 2, 3, 7, 100, 997, 7_999]) assert.deepEqual(await Array.fromAsync(recordsIn(inChunks(small, size))), all, `${size}`)
  const blank = Buffer.from('\n{"kind":"end","entries":1}\n\n{"kind":"end","entries":2}\n\nx')
  for (const size of [1, 2, 5, 100])
    assert.deepEqual(await Array.fromAsync(recordsIn(inChunks(blank, size))), [
      { kind: 'end', entries: 1 },
      { kind: 'end', entries: 2 },
      { kind: 'unreadable', line: 6, why: 'it is no JSON' },
    ])
})

test('a line that is too long is told of and not kept, and the lines around it are read', async () => {
  const end = '{"kind":"end","entries":1}'
  const long = Buffer.concat([Buffer.from(`${end}\n`), Buffer.alloc(LINE_BYTES_MAX + 1, 0x20), Buffer.from(`\n${end}\n${end}`)])
  for (const size of [1 << 20, long.length - 10, (1 << 20) - 7]) {
    const records = await Array.fromAsync(recordsIn(inChunks(long, size)))
    assert.deepEqual(
      records.map((record) => (record.kind === 'unreadable' ? record.line : record.kind)),
      ['end', 2, 'end', 'end'],
    )
  }
})

test('threads read what one reads, in the same order', async () => {
  const broken = Buffer.from(
    whole.toString().replace('"kind":"batch"', '"kind":"other"').replace('"status":"BLOCK"', '"status":"ALLOW"').replace('"kind":"change"', '"kind":"chain"'),
  )
  for (const bytes of [whole, broken]) {
    const one = (await Array.fromAsync(recordsIn(inChunks(bytes, bytes.length)))).map(looked)
    for (const shortBytes of [0, bytes.length / 2, bytes.length]) {
      const many = (await Array.fromAsync(recordsInThreads(piecesOf(inChunks(bytes, 10_000)), shortBytes))).map(looked)
      assert.deepEqual(many, one)
    }
  }
})

test('a log that threads have read holds, and one with a changed entry does not', async () => {
  const keys = [parseNoteKey(key.vkey)]
  const verify = (bytes: Buffer) => verifyLog(recordsInThreads(piecesOf(inChunks(bytes, 20_000)), 0), { keys })
  const report = await verify(whole)
  assert.deepEqual([report.problems, report.entries], [[], log.rows.length])
  const changed = await verify(Buffer.from(whole.toString().replace('"status":"BLOCK"', '"status":"ALLOW"')))
  assert.deepEqual(
    changed.problems.map(({ problem }) => problem),
    ['the row is not what was logged'],
  )
})

test('who stops reading leaves no thread behind', async () => {
  for await (const record of recordsInThreads(piecesOf(inChunks(whole, 5_000)), 0)) if (record.kind === 'entry') break
  assert.ok(!process.getActiveResourcesInfo().includes('MessagePort'))
})
