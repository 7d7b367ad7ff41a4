import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { recordsIn } from '../../src/verify/read-records.ts'
import { readRecord } from '../../src/verify/record.ts'
import { parseNoteKey } from '../../src/verify/signed-note.ts'
import { type ExportReport, verifyExport } from '../../src/verify/verify-export.ts'
import { type BuiltLog, createLogBuilder, createSigningKey } from './build-log.ts'
import { tenantLinesOf } from './log-records.ts'
import { createRandom, randomExchange } from './random-entries.ts'
import { buildRandomLog } from './random-log.ts'

const key = createSigningKey('earthflow/test')
const keys = [parseNoteKey(key.vkey)]

interface Line {
  [name: string]: unknown
  chain: { seq: number; tenant_prev: number; path: string[] | null; index: number | null; tree_size: number | null; [name: string]: unknown }
}

const linesOf = (log: BuiltLog): Line[] => [...tenantLinesOf(log, 'ten_0')].map((line) => JSON.parse(line))

function verify(lines: readonly object[], log: BuiltLog, isWhole = true): Promise<ExportReport> {
  const outside = log.checkpoints.map(({ note, tree_size }) => ({ note, source: `note ${tree_size}` }))
  const records = (async function* () {
    for (const line of lines) yield readRecord(JSON.stringify(line))
  })()
  return verifyExport(records, { keys, outside, isWhole })
}

function tenantLog() {
  const random = createRandom(11)
  const builder = createLogBuilder({ key })
  const writer = builder.openWriter()
  const write = (count: number) =>
    builder.write(
      writer,
      Array.from({ length: count }, (_, i) => randomExchange(random, `ten_${i % 2}`, builder.now + i)),
    )
  write(12)
  builder.checkpoint()
  builder.passTime(1_000)
  write(8)
  builder.checkpoint()
  return { builder, writer, write, log: builder.log }
}

test("a tenant's export of any log is proved by its checkpoints", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { log } = buildRandomLog({ random: createRandom(seed), rows: 80, key })
    const lines = linesOf(log)
    const report = await verify(lines, log, false)
    assert.deepEqual(report.problems, [], `seed ${seed}`)
    assert.equal(report.entries, lines.length)
    assert.equal(report.covered + report.waiting, lines.length)
  }
})

test('whatever is changed in an entry, its leaf is named', async () => {
  const { log } = tenantLog()
  const lines = linesOf(log)
  const line = lines[3]!
  const { seq } = line.chain
  for (const name of Object.keys(line).filter((each) => each !== 'chain')) {
    const before = line[name]
    line[name] =
      name === 'kind' ? 'change' : Array.isArray(before) ? [...before, 1] : typeof before === 'object' && before !== null ? { ...before, x: 1 } : `${before}x`
    const { problems } = await verify(lines, log, false)
    assert.deepEqual(
      problems.map((each) => each.seq),
      [seq],
      name,
    )
    line[name] = before
  }
  line.comment = 'x'
  assert.match((await verify(lines, log)).problems[0]!.problem, /members that nothing proves/)
})

test('a line from before there were approvals has no members about them, and none in their place', async () => {
  const { log } = tenantLog()
  const lines = linesOf(log)
  const at = lines.findIndex(({ escalation_id }) => escalation_id === null)
  const { escalation_id, approved_by, held_audit_id, ...before } = lines[at]!
  assert.deepEqual([escalation_id, approved_by, held_audit_id], [null, null, null])
  assert.deepEqual((await verify(lines.with(at, before as Line), log)).problems, [])
  const others = { ...before, approved_for: 'x' } as unknown as Line
  assert.match((await verify(lines.with(at, others), log)).problems[0]!.problem, /members that nothing proves/)
  const held = lines.findIndex(({ escalation_id }) => escalation_id !== null)
  const { approved_by: _, ...without } = lines[held]!
  assert.equal((await verify(lines.with(held, { ...without, approved_by: 'somebody else' } as Line), log)).problems[0]?.seq, lines[held]!.chain.seq)
})

test('a proof of another entry, another tree or another checkpoint proves nothing', async () => {
  const { log } = tenantLog()
  const lines = linesOf(log)
  const [one, two] = [lines[2]!, lines[5]!]
  const { path, index } = one.chain
  const changes: Partial<Line['chain']>[] = [
    { path: two.chain.path, index: two.chain.index },
    { path: two.chain.path },
    { index: index! + 1 },
    { path: path!.slice(1) },
    { path: [] },
    { path: null },
    { tree_size: log.checkpoints[0]!.tree_size },
    { tree_size: 5 },
  ]
  for (const change of changes) {
    const before = { ...one.chain }
    Object.assign(one.chain, change)
    const { problems } = await verify(lines, log)
    assert.deepEqual(
      problems.map(({ seq }) => seq),
      [one.chain.seq],
      JSON.stringify(change),
    )
    Object.assign(one.chain, before)
  }
  const { problems } = await verify(lines, { ...log, checkpoints: [] })
  assert.equal(problems.length, lines.length)
  assert.match(problems[0]!.problem, /checkpoint of size 21, which is not among those given/)
})

test('an entry that is there twice, or is missing between two others, is named', async () => {
  const { log, write } = tenantLog()
  const lines = linesOf(log)
  const twice = await verify([...lines, lines[4]!], log)
  assert.deepEqual(
    twice.problems.map(({ seq }) => seq),
    [lines[4]!.chain.seq],
  )
  const hole = lines.filter((line) => line !== lines[4])
  assert.equal((await verify(hole, log, false)).holds, true, 'a part of what a tenant has is no hole')
  const { problems } = await verify(hole, log)
  assert.deepEqual(
    problems.map(({ seq }) => seq),
    [lines[4]!.chain.seq],
  )
  assert.match(problems[0]!.problem, /missing that leaf \d+ names/)

  write(4)
  const more = linesOf(log)
  assert.equal((await verify(more, log)).waiting, 2)
  more[6]!.chain = { ...more[6]!.chain, index: null, tree_size: null, path: null }
  const uncovered = await verify(more, log)
  assert.deepEqual(
    uncovered.problems.map(({ seq }) => seq),
    [more[6]!.chain.seq],
  )
  assert.match(uncovered.problems[0]!.problem, /no checkpoint holds the entry/)
})

test('two checkpoints of one size that sign different trees are told of', async () => {
  const { log, builder } = tenantLog()
  const [first] = log.checkpoints
  log.checkpoints.push({ ...first!, note: builder.key.sign(first!.tree_size, log.checkpoints[1]!.root) })
  assert.match((await verify(linesOf(log), log)).problems[0]!.problem, /signs another tree/)
})

test('erased and pruned entries are told apart from missing ones', async () => {
  const { log, builder, writer } = tenantLog()
  const own = log.rows.filter(({ tenant_id }) => tenant_id === 'ten_0')
  builder.erase([own[2]!], writer)
  builder.checkpoint()
  const lines = linesOf(log)
  const report = await verify(lines, log)
  assert.deepEqual(report.problems, [])
  assert.deepEqual([report.erased, report.erasures_told], [1, 1])
  const { problems, erasures_told } = await verify(lines.slice(0, -1), log)
  assert.deepEqual([problems, erasures_told], [[], 0])
  lines[2]!.user_id = 'somebody'
  assert.match((await verify(lines, log)).problems[0]!.problem, /says something of a person/)
})

test('lines that are no entries, or without a proof, and notes that are none are told of', async () => {
  const { log } = tenantLog()
  const lines: object[] = linesOf(log)
  const told = async (more: object, words: RegExp, checkpoints = log.checkpoints): Promise<void> => {
    const { problems } = await verify([...lines, more], { ...log, checkpoints })
    assert.equal(problems.length, 1, JSON.stringify(problems))
    assert.match(problems[0]!.problem, words)
  }
  await told({ kind: 'end', entries: 3 }, /kind end stands where it should not/)
  const { chain: _, ...bare } = linesOf(log)[0]!
  const records = (async function* () {
    for (const line of [...lines, bare]) yield* recordsIn(Readable.from([Buffer.from(JSON.stringify(line))]))
  })()
  const outside = log.checkpoints.map(({ note }) => ({ note, source: 'kept' }))
  assert.match((await verifyExport(records, { keys, outside, isWhole: true })).problems[0]!.problem, /cannot be read: it has no proof/)
  const [first] = log.checkpoints
  const forged = createSigningKey('earthflow/other').sign(first!.tree_size, first!.root)
  assert.match(
    (await verify(lines, { ...log, checkpoints: [...log.checkpoints, { ...first!, note: forged }] })).problems[0]!.problem,
    /^note 13: it is not signed/,
  )
})
