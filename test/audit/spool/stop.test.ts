import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Disk, nodeDisk } from '../../../src/audit/spool/disk.ts'
import { readSegment } from '../../../src/audit/spool/frame.ts'
import { NoRoom } from '../../../src/audit/spool/segments.ts'
import { createSpool, type Ended, type SpoolOptions } from '../../../src/audit/spool/spool.ts'
import { until } from '../../harness/client.ts'
import { folder } from '../logs.ts'
import { createVolume } from './volume.ts'

const owner = { origin: 'earthflow/test', processId: 'proc_1' }
const unexpected = (error: unknown): never => assert.fail(String(error))
const spoolIn = (dir: string, options: Partial<SpoolOptions> = {}) =>
  createSpool({ dir: join(dir, owner.processId), owner, die: unexpected, report: unexpected, ...options })
const json = (id: string, bytes = 1_000): string => JSON.stringify({ audit_id: id, filler: 'x'.repeat(bytes) })

/** What a process that starts now would find. */
const found = (dir: string): string[] =>
  readdirSync(join(dir, owner.processId))
    .sort()
    .flatMap((name) => readSegment(readFileSync(join(dir, owner.processId, name)), { ...owner, number: Number.parseInt(name, 10) }).frames)
    .map(({ kind, json: text }) => `${kind} ${(JSON.parse(text) as { audit_id: string }).audit_id}`)

/** A disk that counts how often each file is closed. */
function counted(): { disk: Disk; closes: Map<string, number> } {
  const closes = new Map<string, number>()
  const create: Disk['create'] = async (path) => {
    const file = await nodeDisk.create(path)
    return {
      ...file,
      async close() {
        closes.set(path, (closes.get(path) ?? 0) + 1)
        if (closes.get(path) === 1) await file.close()
      },
    }
  }
  return { disk: { ...nodeDisk, create }, closes }
}

test('a segment that is on its way out when the spool stops is closed once: its number may be another file’s by then', async () => {
  const { disk, closes } = counted()
  const { promise: isSynced, resolve: synced } = Promise.withResolvers<void>()
  let asked = 0
  const dir = folder()
  const spool = spoolIn(dir, { disk, segmentBytesMax: 16 << 10, beforeRemoval: () => (asked++ === 0 ? isSynced : Promise.resolve()) })
  const ended: Ended[] = []
  for (let i = 0; i < 20; i++) {
    await spool.open(`id${i}`, json(`id${i}`))
    ended.push(spool.close(`id${i}`, json(`id${i}`)) as Ended)
    await ended.at(-1)?.onDisk
  }
  for (const one of ended.slice(0, 8)) spool.committed(one)
  await until(() => asked > 0, 'a segment to leave')
  const stopped = spool.stop()
  setImmediate(synced)
  await stopped
  for (const one of ended.slice(8)) spool.committed(one)
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual(
    [...closes.values()].filter((times) => times !== 1),
    [],
  )
})

test('once it stops nothing is opened, and an end that comes too late is told so', async () => {
  const dir = folder()
  const spool = spoolIn(dir)
  await spool.open('late', json('late'))
  await spool.stop()
  assert.equal(spool.close('late', json('late')), null)
  await assert.rejects(spool.open('later', json('later')), NoRoom)
  await new Promise((resolve) => setTimeout(resolve, 20))
})

test('a full disk does not keep it from stopping, and the beginning of what ended stays', async () => {
  const volume = createVolume(256 << 10)
  const dir = folder()
  const spool = spoolIn(dir, { disk: volume })
  await spool.open('a', json('a'))
  volume.size = volume.used
  assert.ok(spool.close('a', json('a', 200_000)))
  await new Promise((resolve) => setTimeout(resolve, 20))
  await spool.stop()
  assert.deepEqual(found(dir), ['open a'])
})

test('the beginning of an exchange stays until its end is on the disk, or its row in the database', async () => {
  const volume = createVolume(256 << 10)
  const dir = folder()
  const spool = spoolIn(dir, { disk: volume, segmentBytesMax: 16 << 10 })
  await spool.open('slow', json('slow'))
  const others: Ended[] = []
  for (let i = 0; i < 20; i++) {
    await spool.open(`id${i}`, json(`id${i}`))
    others.push(spool.close(`id${i}`, json(`id${i}`)) as Ended)
    await others.at(-1)?.onDisk
  }
  volume.size = volume.used
  const slow = spool.close('slow', json('slow', 200_000)) as Ended
  for (const one of others) spool.committed(one)
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.ok(found(dir).includes('open slow'))
  spool.committed(slow)
  await until(() => !found(dir).includes('open slow'), 'the segment to go')
  await spool.stop()
})

test('an end that is longer than what is left of the disk does not take more of it with each try', async () => {
  const volume = createVolume(2 << 20)
  const dir = folder()
  const spool = spoolIn(dir, { disk: volume, segmentBytesMax: 16 << 10 })
  await spool.open('a', json('a'))
  const ended = spool.close('a', json('a', 4 << 20)) as Ended
  await new Promise((resolve) => setTimeout(resolve, 900))
  const names = readdirSync(join(dir, owner.processId))
  spool.committed(ended)
  await spool.stop()
  assert.ok(names.length <= 2, `${names.length} segments`)
})

test('a disk that failed once while the spool began does not lock it out of its own folder', async () => {
  let failures = 1
  const disk: Disk = {
    ...nodeDisk,
    async freeBytes(path) {
      if (failures-- > 0) throw Object.assign(new Error('EIO'), { code: 'EIO' })
      return nodeDisk.freeBytes(path)
    },
  }
  const spool = spoolIn(folder(), { disk })
  await assert.rejects(spool.open('a', json('a')), { code: 'EIO' })
  await spool.open('b', json('b'))
  await spool.stop()
})

test('nobody can take the folder for a dead process’s before it is locked', async () => {
  const dir = folder()
  let lockedFirst: boolean | undefined
  const disk: Disk = {
    ...nodeDisk,
    async makeDirectory(path) {
      if (path.endsWith(owner.processId)) lockedFirst = readdirSync(dir).includes(`${owner.processId}.lock`)
      await nodeDisk.makeDirectory(path)
    },
  }
  const spool = spoolIn(dir, { disk })
  await spool.open('a', json('a'))
  await spool.stop()
  assert.equal(lockedFirst, true)
})

test('EIO while it reads back ends the process', async () => {
  const deaths: unknown[] = []
  const disk: Disk = {
    ...nodeDisk,
    create: async (path) => ({ ...(await nodeDisk.create(path)), read: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) }),
  }
  const spool = spoolIn(folder(), { disk, die: (error) => deaths.push(error) })
  await spool.open('a', json('a'))
  const ended = spool.close('a', json('a')) as Ended
  await ended.onDisk
  assert.ok(ended.segment)
  assert.equal(await spool.readBack({ segment: ended.segment, offset: ended.offset }), null)
  assert.equal(deaths.length, 1)
})

test('how much room there is is looked up anew: whoever freed some is ready again without a call', async () => {
  const volume = createVolume(4 << 20)
  const spool = spoolIn(folder(), { disk: volume })
  await spool.open('a', json('a'))
  const { size } = volume
  volume.size = volume.used
  while (
    await spool.open('b', json('b')).then(
      () => true,
      () => false,
    )
  );
  assert.ok(spool.usedBytes > 0.8 * spool.capacityBytes)
  volume.size = size
  await spool.measure()
  assert.ok(spool.usedBytes < 0.8 * spool.capacityBytes)
  await spool.stop()
})
