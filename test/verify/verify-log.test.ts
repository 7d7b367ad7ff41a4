import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { chainEntry } from '../../src/audit/chain/chain-entry.ts'
import type { ChainWriter, SealedBatch } from '../../src/audit/chain/writer.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { recordsIn } from '../../src/verify/read-records.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { createLogBuilder, createSigningKey } from './build-log.ts'
import { linesOf } from './log-records.ts'
import { change, createRandom, randomExchange } from './random-entries.ts'
import { buildRandomLog } from './random-log.ts'
import { rechain } from './rechain.ts'
import { assertFinds, assertOnly, key, keys, rowAt, smallLog, verify } from './small-log.ts'

test('logs of random shape hold, and every count is what was written', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { log } = buildRandomLog({ random: createRandom(seed), rows: 120, key })
    const report = await verify(log)
    assert.deepEqual(report.problems, [], `seed ${seed}`)
    assert.equal(report.holds, true)
    assert.equal(report.entries, log.rows.length + log.unplaced.length)
    assert.equal(report.superseded, log.superseded.length)
    assert.equal(report.erased, [...log.rows, ...log.superseded.map(({ row }) => row)].filter(({ salt }) => salt === null).length)
    assert.equal(
      report.leaves,
      log.batches.reduce((sum, { leaves }) => sum + leaves.length / 32, 0),
    )
    assert.equal(report.tree_size, log.checkpoints.at(-1)?.tree_size)
    assert.equal(report.pruned + report.superseded + report.entries, report.leaves)
  }
})

test('a log without an entry holds', async () => {
  const { log } = createLogBuilder({ key })
  assert.equal((await verify(log)).holds, true)
})

test('a tail that was cut off is missed: by the checkpoint of the log, or by one from outside', async () => {
  const { log, a, b, builder, exchanges } = smallLog()
  const size = log.checkpoints.at(-1)!.tree_size
  const outside = log.checkpoints.map(({ note }) => ({ note, source: 'kept' }))
  const cut = (from: number): void => {
    log.batches = log.batches.filter(({ tree_index }) => tree_index === null || tree_index < from)
    const last = new Map(
      Map.groupBy(log.batches, ({ writer_id }) => writer_id)
        .entries()
        .map(([id, own]) => [id, Math.max(...own.map(({ first_seq, leaves }) => first_seq + leaves.length / 32 - 1))]),
    )
    log.rows = log.rows.filter(({ writer_id, seq }) => seq <= (last.get(writer_id) ?? 0))
  }
  cut(log.checkpoints[0]!.tree_size)
  await assertOnly(log, { writer_id: null, seq: null }, new RegExp(`leaves 12 to ${size - 1} of the tree are missing`))
  log.checkpoints.pop()
  assert.equal((await verify(log)).holds, true, 'nothing in the database tells of it any more')
  await assertOnly(log, { writer_id: null, seq: null }, new RegExp(`leaves 12 to ${size - 1} of the tree are missing.* from outside`), outside)
  // The log went on after it was cut, with its own keys.
  builder.write(a, exchanges(3))
  builder.write(b, exchanges(3))
  await assertFinds(log, { writer_id: a.id, seq: 7 }, /in no batch/, outside)
})

test('a tail of one chain is missed in the middle of the tree, and where the chain was closed also by name', async () => {
  const { log, a, b, builder } = smallLog()
  builder.closeSilent(a, b)
  builder.checkpoint()
  log.batches = log.batches.filter(({ writer_id, first_seq }) => !(writer_id === a.id && first_seq > 1))
  log.rows = log.rows.filter(({ writer_id, seq }) => !(writer_id === a.id && seq > 6))
  await assertFinds(log, { writer_id: null }, /of the tree are in no batch/)
  await assertFinds(log, { writer_id: a.id, seq: 7 }, /cut off/)
})

test('a chain that was made anew for changed rows does not fit the checkpoints', async () => {
  const { log, a } = smallLog()
  const outside = [{ note: log.checkpoints.at(-1)!.note, source: 'kept' }]
  rowAt(log, a.id, 5).status = 'ALLOW'
  rowAt(log, a.id, 5).model = 'another'
  rechain(log, a.id)
  const { problems } = await verify(log)
  assert.equal(problems.length, 1, JSON.stringify(problems))
  assert.match(
    problems[0]!.problem,
    /the leaves from here to wr_\w+ \d+ \(0 to 11 of the tree\) are not what the checkpoint of size 12 signs; 1 later ones do not fit either/,
  )
  assert.equal(problems[0]!.seq, 1)
  // Without the checkpoints of the log one from outside is enough.
  log.checkpoints = []
  for (const batch of log.batches) batch.tree_index = null
  assert.equal((await verify(log)).holds, true, 'nothing in the database tells of it any more')
  await assertFinds(log, { writer_id: null }, /missing: the log ends before the checkpoint of size 22 from outside/, outside)
})

test('checkpoints of another tree, another log or another key are refused', async () => {
  const { log, builder } = smallLog()
  const [first] = log.checkpoints
  const forged = createSigningKey('earthflow/test', hash('sha256', 'forger', 'buffer'))
  const honest = { ...first! }
  first!.note = forged.sign(12, first!.root)
  await assertFinds(log, { writer_id: null }, /not signed with the public key/)
  first!.note = createSigningKey('earthflow/other').sign(12, first!.root)
  await assertFinds(log, { writer_id: null }, /not signed with the public key/)
  Object.assign(first!, honest)
  first!.note = first!.note.replace('\n12\n', '\n13\n')
  await assertFinds(log, { writer_id: null }, /signature is wrong/)
  first!.note = builder.key.sign(12, hash('sha256', 'other', 'buffer'))
  await assertFinds(log, { writer_id: log.batches.find(({ tree_index }) => tree_index === 0)!.writer_id, seq: 1 }, /not what the checkpoint of size 12 signs$/)
  Object.assign(first!, honest)
  log.checkpoints.pop()
  await assertFinds(log, { writer_id: log.batches.find(({ tree_index }) => tree_index === 12)!.writer_id, seq: 7 }, /no checkpoint of the log signs/)
  log.checkpoints.push(...smallLog().log.checkpoints.slice(1))
  await assertFinds(log, { writer_id: log.batches.find(({ tree_index }) => tree_index === 12)!.writer_id, seq: 7 }, /not what the checkpoint of size 22 signs$/)
  log.origin = 'earthflow/renamed'
  await assertFinds(log, { writer_id: null }, /the log is earthflow\/renamed/)
})

test('batches that changed, or that changed places, are named', async () => {
  const { log, a } = smallLog()
  const [first, second] = log.batches.filter(({ writer_id }) => writer_id === a.id)
  const change = async (edit: () => void, words: RegExp, seq = 7): Promise<void> => {
    const before = structuredClone(log)
    edit()
    await assertFinds(log, { writer_id: a.id, seq }, words)
    for (const [i, batch] of before.batches.entries())
      Object.assign(log.batches[i]!, {
        ...batch,
        leaves: Buffer.from(batch.leaves),
        chain_hash: Buffer.from(batch.chain_hash),
        signature: Buffer.from(batch.signature),
      })
  }
  const flip = (bytes: Buffer) => {
    bytes[3]! ^= 1
  }
  await change(() => flip(second!.signature), /not signed/)
  await change(() => flip(second!.chain_hash), /not what its leaves make it/)
  await change(() => flip(second!.leaves), /not what its leaves make it/)
  await change(() => flip(second!.leaves), /not what was logged/)
  await change(() => ([first!.tree_index, second!.tree_index] = [second!.tree_index, first!.tree_index]), /in the tree before the one/)
  await change(() => (first!.tree_index = null), /one before it is not/)
  await change(() => (second!.first_seq = 8), /leaves 7 to 7 are in no batch/)
  await change(() => (second!.first_seq = 6), /second batch/, 6)
  await change(() => (second!.leaves = second!.leaves.subarray(1)), /part of one/)
  const { log: other } = smallLog()
  const [x, y] = other.batches.filter(({ tree_index }) => tree_index! < 12)
  ;[x!.tree_index, y!.tree_index] = [y!.tree_index, x!.tree_index]
  await assertFinds(
    other,
    { writer_id: other.batches.find(({ tree_index }) => tree_index === 0)!.writer_id, seq: 1 },
    /not what the checkpoint of size 12 signs/,
  )
})

test('a writer is what its first entry says', async () => {
  const { log, a, b } = smallLog()
  const writer = log.writers.find(({ id }) => id === a.id)!
  const other = log.writers.find(({ id }) => id === b.id)!
  const before = { ...writer }
  writer.public_key = other.public_key
  await assertFinds(log, { writer_id: a.id, seq: 1 }, /not the one it was opened with/)
  writer.public_key = 'x'
  await assertFinds(log, { writer_id: a.id }, /public key of the writer is none/)
  Object.assign(writer, before, { closed: true, last_seq: 11 })
  await assertOnly(log, { writer_id: a.id, seq: 11 }, /said to be closed/)
  Object.assign(writer, before)
  log.writers.push({ ...writer, id: 'wr_idle' })
  await assertOnly(log, { writer_id: 'wr_idle', seq: 1 }, /no leaves/)
  log.writers = [other]
  await assertFinds(log, { writer_id: a.id, seq: 1 }, /writer that is not told of/)
  log.writers = [other, before, before]
  await assertOnly(log, { writer_id: a.id, seq: null }, /told of twice/)
})

test('a writer that lies about its own chain is told of, though all of it is signed', async () => {
  /** Written as the writer says, whatever that is. */
  const lying = (edit: (sealed: SealedBatch) => void, entries: readonly AuditEntry[]) => {
    const builder = createLogBuilder({ key })
    const writer = builder.openWriter()
    builder.write({ ...writer, seal: (...args) => sealAgain(writer.seal(...args), edit), written: writer.written } as ChainWriter, entries)
    const [made] = builder.log.writers
    rechain(builder.log, made!.id)
    builder.checkpoint()
    return { log: builder.log, place: (seq: number) => ({ writer_id: made!.id, seq }) }
  }
  const sealAgain = (sealed: SealedBatch, edit: (sealed: SealedBatch) => void): SealedBatch => {
    edit(sealed)
    return sealed
  }
  const at = Date.parse('2026-03-01')
  const entries = Array.from({ length: 4 }, (_, i) => randomExchange(createRandom(i), 'ten_0', at))
  const wrongPrev = lying(({ rows }) => Object.assign(rows[3]!, { tenant_prev: 2 }), entries)
  await assertOnly(wrongPrev.log, wrongPrev.place(4), /names leaf 2 as the one of its tenant before it/)
  const notOpened = lying(({ rows }) => Object.assign(rows[0]!, { reason: 'writer.opened' }), entries)
  await assertOnly(notOpened.log, notOpened.place(1), /does not open its writer/)
  const openedTwice = lying(() => {}, [...entries, chainEntry('writer.open', { subject: 'x' }, at)])
  await assertOnly(openedTwice.log, openedTwice.place(6), /in the middle of a chain/)
  const vague = lying(() => {}, [...entries, change('audit.prune', null, { leaves: '1-5' }, at)])
  await assertOnly(vague.log, vague.place(6), /does not say which leaves/)
  for (const leaves of [{ x: 5 }, { x: '' }, { x: '5-3' }, { x: '0' }, { x: '1,' }, undefined]) {
    const { log, place } = lying(() => {}, [...entries, change('audit.erase', null, { leaves }, at)])
    await assertOnly(log, place(6), /does not say which leaves/)
  }
})

test('records stand in their order, and none is missing at the end', async () => {
  const { log } = smallLog()
  const lines = [...linesOf(log)]
  const told = async (edit: (lines: string[]) => string[], words: RegExp): Promise<void> => {
    const source = Readable.from([Buffer.from(edit([...lines]).join('\n'))])
    const { problems } = await verifyLog(recordsIn(source), { keys })
    assert.ok(
      problems.some(({ problem }) => words.test(problem)),
      JSON.stringify(problems),
    )
  }
  const isEntry = (line: string): boolean => line.includes('"chain":{')
  const first = lines.findIndex(isEntry)
  await told((all) => all.slice(0, -1), /last line is missing/)
  await told((all) => all.with(-1, '{"kind":"end","entries":1}'), /there are 22 entries, and the last line says 1/)
  await told((all) => [...all, all.find(isEntry)!], /kind entry stands where it should not/)
  await told((all) => [all[1]!, all[0]!, ...all.slice(2)], /kind log stands where it should not/)
  await told((all) => all.slice(1), /kind checkpoint stands where it should not/)
  await told((all) => [all[0]!, ...all], /kind log stands where it should not/)
  await told((all) => all.with(0, all[0]!.replace('22', '21')), /the log says that its tree has 21 leaves/)
  await told((all) => all.with(first, '{"kind":"exchange"'), new RegExp(`line ${first + 1} cannot be read: it is no JSON`))
  await told((all) => all.with(first, all[first]!.replace('{', '{"more":1,')), /members that nothing proves/)
  await told((all) => all.with(first, all[first + 1]!).with(first + 1, all[first]!), /not stand in the order/)
  const split = [...lines.slice(0, first), ...lines.slice(first + 5, -1), ...lines.slice(first, first + 5), lines.at(-1)!]
  await told(() => split, /not stand in the order/)
})

test('two batches never have one place in the tree', async () => {
  const { log } = smallLog()
  const [one, two] = log.batches.toSorted((x, y) => x.tree_index! - y.tree_index!).slice(2)
  two!.tree_index = one!.tree_index
  await assertFinds(log, { writer_id: two!.writer_id, seq: two!.first_seq }, /a place in the tree that another one has/)
})

test('a chain ends where it was closed; one that another took for dead may go on', async () => {
  const { log, a, b, builder, exchanges } = smallLog()
  builder.closeSilent(a, b)
  builder.write(a, exchanges(1))
  assert.deepEqual((await verify(log)).problems, [])
  builder.closeSilent(a, b)
  builder.close(b)
  builder.checkpoint()
  assert.deepEqual((await verify(log)).problems, [])
  assert.equal((await verify(log)).open, 0)
  const writer = log.writers.find(({ id }) => id === a.id)!
  writer.last_seq = 11
  await assertOnly(log, { writer_id: a.id, seq: 12 }, /said to end with leaf 11/)
  Object.assign(writer, { closed: false, last_seq: null })
  await assertOnly(log, { writer_id: a.id, seq: 12 }, /said to be open/)
  Object.assign(writer, { closed: true, last_seq: 12 })
  const { seq } = b
  builder.write(b, exchanges(1))
  await assertOnly(log, { writer_id: b.id, seq: seq + 1 }, /goes on after/)
})
