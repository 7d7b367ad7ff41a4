import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChainedEntry } from '../../src/audit/leaf.ts'
import { createFindings, PROBLEMS_MAX } from '../../src/verify/findings.ts'
import { createUnplaced, UNDECIDED_MAX } from '../../src/verify/unplaced.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { createLogBuilder } from './build-log.ts'
import { recordsOf } from './log-records.ts'
import { change, createRandom, randomExchange } from './random-entries.ts'
import { assertFinds, assertOnly, key, keys, rowAt, smallLog, verify } from './small-log.ts'

test('whatever is changed in a row, its place is named', async () => {
  const { log, a } = smallLog()
  const row = rowAt(log, a.id, 4)
  const place = { writer_id: a.id, seq: 4 }
  const changed: Record<string, unknown> = { status: 'BLOCK', outcome: 'failed', kind: 'change', stream: !row.stream, timestamp: '2020-01-01T00:00:00.000Z' }
  for (const name of Object.keys(row) as (keyof ChainedEntry)[]) {
    if (name === 'writer_id' || name === 'seq') continue
    const before = row[name]
    const value =
      changed[name] ??
      (typeof before === 'number' ? before + 1 : Array.isArray(before) ? [...before, 'x'] : name === 'metadata' ? { ...row.metadata, x: 1 } : `${before}x`)
    Object.assign(row, { [name]: value === before ? null : value })
    await assertFinds(
      log,
      place,
      name === 'user_id' || name === 'metadata' || name === 'salt' ? /user_id and metadata/ : name === 'erased_by' ? /erasure/ : /not what was logged|user_id/,
    )
    Object.assign(row, { [name]: before })
  }
  for (const name of ['user_id', 'salt', 'tenant_id'] as const) {
    const before = row[name]
    Object.assign(row, { [name]: before === null ? 'x' : null })
    await assertOnly(log, place, /./)
    Object.assign(row, { [name]: before })
  }
  assert.equal((await verify(log)).holds, true)
})

test('rows that were swapped, deleted or inserted are named', async () => {
  const { log, a, b } = smallLog()
  const [one, two] = [rowAt(log, a.id, 3), rowAt(log, a.id, 8)]
  const swap = () => ([one.seq, two.seq] = [two.seq, one.seq])
  swap()
  await assertFinds(log, { writer_id: a.id, seq: 3 }, /not what was logged/)
  await assertFinds(log, { writer_id: a.id, seq: 8 }, /not what was logged/)
  swap()

  const all = log.rows
  log.rows = all.filter((row) => row !== one)
  await assertOnly(log, { writer_id: a.id, seq: 3 }, /missing/)
  log.rows = all.filter(({ writer_id, seq }) => !(writer_id === b.id && seq >= 2 && seq <= 5))
  await assertOnly(log, { writer_id: b.id, seq: 2 }, /leaves 2 to 5 are missing/)
  log.rows = [...all, { ...one, audit_id: 'aud_other' }]
  await assertOnly(log, { writer_id: a.id, seq: 3 }, /second row/)
  log.rows = [...all, { ...one, seq: 99 }]
  await assertOnly(log, { writer_id: a.id, seq: 99 }, /no leaf has/)
  log.rows = [...all, { ...one, writer_id: 'wr_other' }]
  await assertOnly(log, { writer_id: 'wr_other', seq: 3 }, /no leaf has/)
  log.rows = all
  const { writer_id: _, seq: __, tenant_prev: ___, salt: ____, payload_hash: _____, erased_by: ______, ...entry } = one
  log.unplaced = [{ entry: { ...entry, audit_id: 'aud_other' }, seal: null }]
  // An export says nothing of seals: a row may wait for its place, but not for long.
  assert.equal((await verify(log)).waiting, 1)
  const later = smallLog()
  later.builder.passTime(3_600_000)
  later.builder.write(later.a, later.exchanges(1))
  later.builder.checkpoint()
  later.log.unplaced = log.unplaced
  const { problems } = await verify(later.log)
  assert.deepEqual(
    problems.map(({ audit_id }) => audit_id),
    ['aud_other'],
  )
  assert.match(problems[0]!.problem, /no place/)
})

test('rows may be missing only where a proved entry says they were pruned', async () => {
  const { log, a, b, builder } = smallLog()
  builder.prune([rowAt(log, a.id, 3), rowAt(log, a.id, 4), rowAt(log, b.id, 9)], b)
  builder.checkpoint()
  assert.deepEqual((await verify(log)).problems, [])
  assert.equal((await verify(log)).pruned, 3)
  const told = log.rows.at(-1)!
  const before = told.metadata
  told.metadata = { ...before, leaves: { [a.id]: '3-6', [b.id]: '9' } }
  log.rows = log.rows.filter(({ writer_id, seq }) => !(writer_id === a.id && (seq === 5 || seq === 6)))
  await assertFinds(log, { writer_id: a.id, seq: 3 }, /leaves 3 to 6 are missing/)
  told.metadata = before
  await assertOnly(log, { writer_id: a.id, seq: 5 }, /leaves 5 to 6 are missing/)
  const whole = smallLog()
  whole.builder.prune([{ ...rowAt(whole.log, whole.a.id, 2), seq: 99 }], whole.b)
  await assertOnly(whole.log, { writer_id: whole.a.id, seq: 12 }, /says that leaf 99 was pruned, and the chain ends with leaf 11/)
  whole.builder.prune([rowAt(whole.log, whole.a.id, 1)], whole.b)
  await assertFinds(whole.log, { writer_id: whole.a.id, seq: 1 }, /opens the writer is gone/)
})

test('an entry without a place is believed only where its seal is right', async () => {
  const { log, a } = smallLog()
  const row = rowAt(log, a.id, 3)
  log.rows = log.rows.filter((each) => each !== row)
  const entry = change('audit.prune', null, { actor: 'system', subject: '*', leaves: { [a.id]: '3' } }, Date.parse(log.rows.at(-1)!.timestamp))
  log.unplaced.push({ entry, seal: 'x' })
  const sealed = (seal: 'right' | 'wrong' | 'none' | 'unknown') =>
    verifyLog(
      (async function* () {
        for await (const record of recordsOf(log)) yield record.kind === 'entry' && !record.chain ? { ...record, seal } : record
      })(),
      { keys },
    )
  assert.deepEqual((await sealed('right')).problems, [])
  assert.equal((await sealed('right')).waiting, 1)
  for (const [seal, words] of [
    ['wrong', /seal is wrong/],
    ['none', /no seal/],
    ['unknown', /missing; an entry that has no place yet tells of it/],
  ] as const) {
    const { problems } = await sealed(seal)
    assert.ok(
      problems.some(({ problem }) => words.test(problem)),
      seal,
    )
    assert.ok(
      problems.some(({ writer_id, seq }) => writer_id === a.id && seq === 3),
      seal,
    )
  }
})

test('rows from before the log was chained are counted, and nothing is said of them', async () => {
  const { log } = smallLog()
  log.unplaced.push({ entry: change('key.create', null, {}, Date.parse('2025-01-01')), seal: null })
  const report = await verify(log)
  assert.equal(report.holds, true)
  assert.equal(report.unproved, 1)
})

test('a row was erased only where a proved entry says so, and says nothing of people then', async () => {
  const { log, a, b, builder } = smallLog()
  const row = rowAt(log, a.id, 2)
  const other = rowAt(log, a.id, 4)
  const told = builder.erase([row], b)
  builder.checkpoint()
  assert.deepEqual((await verify(log)).problems, [])
  row.user_id = 'somebody'
  await assertOnly(log, { writer_id: a.id, seq: 2 }, /says something of a person/)
  row.user_id = null
  row.erased_by = other.audit_id
  await assertOnly(log, { writer_id: a.id, seq: 2 }, /no such entry names it/)
  row.erased_by = null
  await assertOnly(log, { writer_id: a.id, seq: 2 }, /no erasure is named/)
  row.erased_by = told.audit_id
  Object.assign(other, { user_id: null, metadata: {}, salt: null, erased_by: told.audit_id })
  await assertOnly(log, { writer_id: a.id, seq: 4 }, /no such entry names it/)
})

test('only what is not known of an exchange gives way to what is', async () => {
  const { builder, log, a, b, exchanges } = smallLog()
  const [unknown] = builder
    .write(
      a,
      exchanges(1).map((entry) => ({ ...entry, outcome: 'unknown' as const })),
    )
    .slice(-1)
  builder.supersede(unknown!, b)
  builder.checkpoint()
  assert.deepEqual((await verify(log)).problems, [])
  const [kept] = log.superseded
  const before = structuredClone(log)
  const place = { writer_id: a.id, seq: unknown!.seq }

  log.superseded = []
  await assertOnly(log, place, /missing/)
  log.superseded = [kept!, { ...kept! }]
  await assertOnly(log, place, /there twice/)
  log.superseded = [{ ...kept!, row: { ...kept!.row, model: 'another' } }]
  await assertOnly(log, place, /not what was logged/)
  log.superseded = [{ ...kept!, seq: 99 }]
  await assertFinds(log, { writer_id: a.id, seq: 99 }, /no leaf has/)
  log.superseded = [kept!]
  log.rows.push(kept!.row)
  await assertFinds(log, place, /is said to be superseded/)
  log.rows.pop()

  // The row that says more is put aside, and what is not known comes back.
  const known = log.rows.pop()!
  log.rows.push(kept!.row)
  log.superseded = [{ writer_id: known.writer_id, seq: known.seq, row: known }]
  await assertOnly(log, { writer_id: known.writer_id, seq: known.seq }, /the one that says more is missing/)
  // A row that no other says more than is put aside.
  log.rows = before.rows
  const final = log.rows.find(({ writer_id, seq }) => writer_id === b.id && seq === 3)!
  log.rows = log.rows.filter((row) => row !== final)
  log.superseded = [kept!, { writer_id: b.id, seq: 3, row: final }]
  await assertOnly(log, { writer_id: b.id, seq: 3 }, /the one that says more is missing/)
})

test('of very many problems some are listed, and the first of every writer', async () => {
  const builder = createLogBuilder({ key })
  const random = createRandom(3)
  const writers = [builder.openWriter(), builder.openWriter()].sort((a, b) => (a.id < b.id ? -1 : 1))
  for (const writer of writers)
    builder.write(
      writer,
      Array.from({ length: PROBLEMS_MAX + 10 }, (_, i) => randomExchange(random, 'ten_0', builder.now + i)),
    )
  builder.checkpoint()
  for (const row of builder.log.rows) if (row.seq > 5) row.endpoint = '/changed'
  const { problems, problems_total } = await verify(builder.log)
  assert.equal(problems_total, 2 * (PROBLEMS_MAX + 6))
  assert.ok(problems.length <= PROBLEMS_MAX + 2)
  for (const { id } of writers) assert.equal(problems.find(({ writer_id }) => writer_id === id)?.seq, 6)
})

test('of very many rows without a place some are looked at, and the others counted', () => {
  const findings = createFindings()
  const unplaced = createUnplaced({ findings })
  const entry = change('key.create', null, {}, Date.parse('2026-03-01'))
  for (let i = 0; i < UNDECIDED_MAX + 5; i++) unplaced.add(entry, 'unknown')
  assert.equal(unplaced.finish({ openedAt: '2026-01-01', coveredUntil: '' }).waiting, UNDECIDED_MAX)
  assert.deepEqual(
    findings.list().map(({ problem }) => problem),
    ['5 more rows have no place in a chain'],
  )
})
