import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createChainWriter, type SealedBatch } from '../../src/audit/chain/writer.ts'
import { BATCH_MAX, createRowWriter, GROW_AFTER } from '../../src/audit/row-writer.ts'
import { isUnavailable } from '../../src/db/unavailable.ts'
import { entryOf } from './entries.ts'

const failure = (code: string): Error => Object.assign(new Error(code), { code })
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code
const TOO_SLOW = '57014'

/** A database that answers each statement as `answer` says: with the code of an error, or with how many rows it missed. */
function writing(answer: (entries: number) => string | number) {
  const sealed: SealedBatch[] = []
  const kept: SealedBatch[] = []
  const writer = createChainWriter({ origin: 'earthflow/test', processId: 'proc_1', version: '1' })
  const rows = createRowWriter({
    writer,
    async write(batch) {
      sealed.push(batch)
      const said = answer(batch.rows.length - (batch.isFirst ? 1 : 0))
      if (typeof said === 'string') throw failure(said)
      kept.push(batch)
      return said
    },
    isUnavailable: (error) => isUnavailable(error) || codeOf(error) === '40P01',
    isUndone: (error) => codeOf(error) === TOO_SLOW || codeOf(error) === '40P01',
    isTooSlow: (error) => codeOf(error) === TOO_SLOW,
    away: () => {},
    rejected: (_entry, error) => assert.fail(String(error)),
    report: (error) => assert.fail(String(error)),
    now: Date.now,
  })
  after(() => rows.stop(0))
  const entries = (count: number) => Array.from({ length: count }, () => entryOf())
  return { rows, sealed, kept, entries, sizes: () => sealed.map((batch) => batch.rows.length - (batch.isFirst ? 1 : 0)) }
}

/** Each batch begins where the one before it ended. */
function assertOneChain(kept: readonly SealedBatch[]): void {
  let next = 1
  for (const { batch, rows } of kept) {
    assert.equal(batch.first_seq, next)
    next += rows.length
  }
}

test('a batch that takes too long each time is made smaller until it fits, in one chain without a gap and in order', async () => {
  const { rows, kept, entries, sizes } = writing((count) => (count > 30 ? TOO_SLOW : 0))
  const all = entries(BATCH_MAX)
  await rows.addAll(all)
  assert.deepEqual(sizes().slice(0, 5), [BATCH_MAX, BATCH_MAX, 50, 50, 25])
  assertOneChain(kept)
  assert.deepEqual(
    kept.flatMap((batch) =>
      batch.rows
        .map(({ entry }) => entry)
        .filter(({ kind }) => kind === 'exchange')
        .map(({ audit_id }) => audit_id),
    ),
    all.map(({ audit_id }) => audit_id),
  )
})

test('down to one entry, and what fits is tried larger again', async () => {
  let most = 1
  const { rows, kept, entries, sizes } = writing((count) => (count > most ? TOO_SLOW : 0))
  await rows.addAll(entries(4))
  assert.deepEqual(sizes(), [4, 4, 2, 2, 1, 1, 1, 1])
  most = BATCH_MAX
  // One statement each: 1, 2, 4, … until the full size is reached, each so often that it is known to fit.
  await rows.addAll(entries(GROW_AFTER - 4 + GROW_AFTER * (2 + 4 + 8 + 16 + 32 + 64) + BATCH_MAX))
  assert.equal(Math.max(...sizes().slice(8)), BATCH_MAX)
  assert.deepEqual(
    sizes().slice(8, 8 + GROW_AFTER),
    Array.from({ length: GROW_AFTER }, (_, i) => (i < GROW_AFTER - 4 ? 1 : 2)),
  )
  assertOneChain(kept)
})

test('a batch of which an answer was lost is never divided, for it may be there: the same leaves are sent until they are', async () => {
  const answers = ['ECONNRESET', TOO_SLOW, TOO_SLOW, TOO_SLOW, 0]
  const { rows, sealed, entries } = writing(() => answers.shift() ?? 0)
  await rows.addAll(entries(10))
  assert.equal(new Set(sealed).size, 1)
  assert.equal(sealed.length, 5)
})

test('nor one that was written but for rows that another process wrote at the same moment', async () => {
  const answers = [1, TOO_SLOW, TOO_SLOW, 0]
  const { rows, sealed, entries } = writing(() => answers.shift() ?? 0)
  await rows.addAll(entries(10))
  assert.deepEqual([new Set(sealed).size, sealed.length], [1, 4])
})

test('one statement that takes too long, or one that met another, changes nothing', async () => {
  const answers = [TOO_SLOW, '40P01', 0]
  const { rows, sealed, entries } = writing(() => answers.shift() ?? 0)
  await rows.addAll(entries(10))
  assert.deepEqual([new Set(sealed).size, sealed.length], [1, 3])
})
