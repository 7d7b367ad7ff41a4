import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AuditEntry } from '../../../src/audit/entry.ts'
import { HEADER_BYTES, readSegment } from '../../../src/audit/spool/frame.ts'
import { recoverSpools } from '../../../src/audit/spool/recover.ts'
import { segmentFile } from '../../../src/audit/spool/segments.ts'
import { createSpool } from '../../../src/audit/spool/spool.ts'
import { newId } from '../../../src/ids.ts'
import { entryOf } from '../entries.ts'
import { folder } from '../logs.ts'

const origin = 'earthflow/test'
const unexpected = (error: unknown): never => assert.fail(String(error))
const json = (entry: AuditEntry): string => JSON.stringify(entry)

/** A process that died: `closed` had ended, `open` had left. Its lock is of a process that is no more. */
async function leave(dir: string, { closed, open, name = origin }: { closed: AuditEntry[]; open: AuditEntry[]; name?: string }): Promise<string> {
  const processId = newId('proc')
  const spool = createSpool({ dir: join(dir, processId), owner: { origin: name, processId }, die: unexpected, report: unexpected, segmentBytesMax: 16 << 10 })
  for (const entry of closed) {
    await spool.open(entry.audit_id, json({ ...entry, outcome: 'unknown' }))
    await spool.close(entry.audit_id, json(entry))?.onDisk
  }
  for (const entry of open) await spool.open(entry.audit_id, json({ ...entry, outcome: 'unknown' }))
  writeFileSync(`${join(dir, processId)}.lock`, JSON.stringify({ pid: 2 ** 22, host: (await import('node:os')).hostname() }))
  return processId
}

async function recover(dir: string) {
  const rows = new Map<string, AuditEntry>()
  const damaged: { file: string; damage: string }[] = []
  const total = await recoverSpools({
    dir,
    origin,
    write: async (entries) => {
      for (const entry of entries) if (!rows.has(entry.audit_id)) rows.set(entry.audit_id, entry)
    },
    damaged: async (what) => void damaged.push(what),
    report: unexpected,
  })
  return { total, damaged, rows, outcomes: (entries: AuditEntry[]) => entries.map(({ audit_id }) => rows.get(audit_id)?.outcome ?? 'no row') }
}
const some = (count: number): AuditEntry[] => Array.from({ length: count }, () => entryOf())
const pathOf = (dir: string, processId: string, number = 1): string => join(dir, processId, segmentFile(number))
/** Where each frame of a segment ends. */
const endsOf = (path: string, processId: string, number = 1): number[] =>
  readSegment(readFileSync(path), { origin, processId, number }).frames.map(({ end }) => end)

test('what a dead process had ended becomes its rows, what was on its way becomes unknown, each once; nothing is left behind', async () => {
  const dir = folder()
  const [closed, open] = [some(40), some(3)]
  const processId = await leave(dir, { closed, open })
  assert.ok(readdirSync(join(dir, processId)).length > 3, 'over several segments')
  const { total, damaged, rows, outcomes } = await recover(dir)
  assert.deepEqual(total, { processes: 1, closed: 40, unknown: 3, quarantined: 0 })
  assert.deepEqual(new Set(outcomes(closed)), new Set(['completed']))
  assert.deepEqual(outcomes(open), ['unknown', 'unknown', 'unknown'])
  assert.deepEqual([rows.size, damaged, readdirSync(dir)], [43, [], []])
})

test('a spool of a living process is nobody else’s, whatever else is dead beside it', async () => {
  const dir = folder()
  const processId = newId('proc')
  const spool = createSpool({ dir: join(dir, processId), owner: { origin, processId }, die: unexpected, report: unexpected })
  const [entry] = some(1)
  await spool.open(entry.audit_id, json(entry))
  const [closed] = [some(2)]
  await leave(dir, { closed, open: [] })
  const { rows } = await recover(dir)
  assert.deepEqual([...rows.keys()].sort(), closed.map(({ audit_id }) => audit_id).sort())
  assert.ok(existsSync(pathOf(dir, processId)))
})

/** What happens to the bytes of a segment with frames open, close, open, close …; how many of the closes before it are whole. */
const damages: Record<string, (bytes: Buffer, ends: number[]) => { bytes: Buffer; whole: number }> = {
  'is torn within a frame': (bytes, ends) => ({ bytes: bytes.subarray(0, ends[6] - 5), whole: 3 }),
  'is torn within the head of a frame': (bytes, ends) => ({ bytes: Buffer.concat([bytes.subarray(0, ends[5] + 3), Buffer.alloc(500)]), whole: 3 }),
  'has zeros in the middle': (bytes, ends) => ({
    bytes: Buffer.concat([bytes.subarray(0, ends[3]), Buffer.alloc(ends[5] - ends[3]), bytes.subarray(ends[5])]),
    whole: 2,
  }),
  'has a bit flipped': (bytes, ends) => {
    const flipped = Buffer.from(bytes)
    flipped[ends[4] + 20] ^= 0x04
    return { bytes: flipped, whole: 2 }
  },
  'has the length of a frame changed': (bytes, ends) => {
    const changed = Buffer.from(bytes)
    changed.writeUInt32LE(0xffffffff, ends[1])
    return { bytes: changed, whole: 1 }
  },
  'has a frame twice': (bytes, ends) => ({
    bytes: Buffer.concat([bytes.subarray(0, ends[3]), bytes.subarray(ends[1], ends[3]), bytes.subarray(ends[3])]),
    whole: 2,
  }),
  'has two frames swapped': (bytes, ends) => ({
    bytes: Buffer.concat([bytes.subarray(0, ends[1]), bytes.subarray(ends[2], ends[3]), bytes.subarray(ends[1], ends[2]), bytes.subarray(ends[3])]),
    whole: 1,
  }),
  'has a header of another kind': (bytes) => ({ bytes: Buffer.concat([Buffer.alloc(HEADER_BYTES, 1), bytes.subarray(HEADER_BYTES)]), whole: 0 }),
}
for (const [what, damage] of Object.entries(damages)) {
  test(`of a segment that ${what} the frames before become rows; it is kept and told of`, async () => {
    const dir = folder()
    const closed = some(4)
    const processId = await leave(dir, { closed, open: [] })
    const path = pathOf(dir, processId)
    const damagedBytes = damage(readFileSync(path), endsOf(path, processId))
    writeFileSync(path, damagedBytes.bytes)
    const { total, damaged, outcomes } = await recover(dir)
    const { whole } = damagedBytes
    assert.deepEqual(
      outcomes(closed.slice(0, whole)),
      Array.from({ length: whole }, () => 'completed'),
    )
    assert.ok(!outcomes(closed.slice(whole)).includes('completed'), 'nothing behind the damage is believed')
    assert.equal(total.quarantined, 1)
    assert.match(damaged[0].damage, /damaged at byte \d+|after its end at byte \d+|no segment of this process/)
    assert.deepEqual(readFileSync(join(dir, 'quarantine', damaged[0].file)), damagedBytes.bytes)
    assert.deepEqual(readdirSync(dir), ['quarantine'])
  })
}

test('a segment that stands there twice, or belongs to another process or another log, is not believed', async () => {
  const dir = folder()
  const closed = some(4)
  const one = await leave(dir, { closed, open: [] })
  const other = await leave(dir, { closed: some(2), open: [] })
  const foreign = some(2)
  const foreignId = await leave(dir, { closed: foreign, open: [], name: 'earthflow/other' })
  writeFileSync(pathOf(dir, one, 7), readFileSync(pathOf(dir, one)))
  writeFileSync(pathOf(dir, one, 8), readFileSync(pathOf(dir, other)))
  const { total, damaged, outcomes, rows } = await recover(dir)
  assert.deepEqual(outcomes(closed), ['completed', 'completed', 'completed', 'completed'])
  assert.deepEqual(outcomes(foreign), ['no row', 'no row'])
  assert.equal(rows.size, 6)
  assert.equal(total.quarantined, 3)
  assert.deepEqual(damaged.map(({ file }) => file).sort(), [`${one}-${segmentFile(7)}`, `${one}-${segmentFile(8)}`, `${foreignId}-${segmentFile(1)}`].sort())
})

test('an interrupted recovery begins again and finds everything', async () => {
  const dir = folder()
  const closed = some(30)
  await leave(dir, { closed, open: [] })
  let written = 0
  const reported: unknown[] = []
  await recoverSpools({
    dir,
    origin,
    async write(entries) {
      if ((written += entries.length) > 10) throw new Error('the database said no')
    },
    damaged: async () => {},
    report: (error) => reported.push(error),
  })
  assert.equal(reported.length, 1)
  assert.deepEqual(new Set((await recover(dir)).outcomes(closed)), new Set(['completed']))
})

test('before a segment goes, whoever has its rows is asked to have them on the disk', async () => {
  const dir = folder()
  const processId = await leave(dir, { closed: some(1), open: [] })
  const steps: string[] = []
  await recoverSpools({
    dir,
    origin,
    write: async () => void steps.push('written'),
    damaged: async () => {},
    report: unexpected,
    beforeRemoval: async () => void steps.push(existsSync(pathOf(dir, processId)) ? 'synced' : 'too late'),
  })
  assert.deepEqual([steps, readdirSync(dir)], [['written', 'synced'], []])
})

test('a spool that may be of a living process on another machine is left there, and that is told', async () => {
  const dir = folder()
  const processId = await leave(dir, { closed: some(1), open: [] })
  writeFileSync(`${join(dir, processId)}.lock`, JSON.stringify({ pid: 1, host: 'another' }))
  const reported: unknown[] = []
  const total = await recoverSpools({
    dir,
    origin,
    write: async () => assert.fail('not ours'),
    damaged: async () => {},
    report: (error) => reported.push(error),
  })
  assert.equal(total.processes, 0)
  assert.match(String(reported), /process 1 on another \(delete .*\.lock if it no longer exists\)/)
})

test('files that are no segments are left to whoever put them there', async () => {
  const dir = folder()
  mkdirSync(join(dir, 'quarantine'))
  writeFileSync(join(dir, 'quarantine', 'note'), 'mine')
  writeFileSync(join(dir, 'rejected.jsonl'), '{}\n')
  const closed = some(1)
  const processId = await leave(dir, { closed, open: [] })
  writeFileSync(join(dir, processId, 'lost+found.txt'), 'not ours')
  renameSync(pathOf(dir, processId), pathOf(dir, processId))
  const { outcomes } = await recover(dir)
  assert.deepEqual(outcomes(closed), ['completed'])
  assert.equal(readFileSync(join(dir, processId, 'lost+found.txt'), 'utf8'), 'not ours')
  assert.deepEqual(readdirSync(join(dir, 'quarantine')), ['note'])
})
