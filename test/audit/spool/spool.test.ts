import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Frame, readSegment } from '../../../src/audit/spool/frame.ts'
import { NoRoom } from '../../../src/audit/spool/segments.ts'
import { createSpool, type Ended, type SpoolOptions } from '../../../src/audit/spool/spool.ts'
import { until } from '../../harness/client.ts'
import { folder } from '../logs.ts'
import { createVolume } from './volume.ts'

const owner = { origin: 'earthflow/test', processId: 'proc_1' }
const unexpected = (error: unknown): never => assert.fail(String(error))

function spoolIn(dir: string, options: Partial<SpoolOptions> = {}) {
  return createSpool({ dir: join(dir, owner.processId), owner, die: unexpected, report: unexpected, ...options })
}
const json = (id: string, bytes = 1_000): string => JSON.stringify({ audit_id: id, filler: 'x'.repeat(bytes) })
/** What a process that starts now would find: file → frames as `o id` and `c id`. */
function found(dir: string): string[] {
  const at = join(dir, owner.processId)
  return readdirSync(at)
    .sort()
    .flatMap((name) => {
      const { frames, damage } = readSegment(readFileSync(join(at, name)), { ...owner, number: Number.parseInt(name, 10) })
      assert.equal(damage, null, name)
      return frames.map(({ kind, json: text }: Frame) => `${kind} ${(JSON.parse(text) as { audit_id: string }).audit_id}`)
    })
}
const MIB = 1 << 20

test('what leaves is written before it leaves, and what has ended is synced before anybody is told', async () => {
  const dir = folder()
  const volume = createVolume(100 * MIB)
  const spool = spoolIn(dir, { disk: volume })
  await spool.open('a', json('a'))
  assert.deepEqual(found(dir), ['open a'])
  const before = volume.syncs
  const ended = spool.close('a', json('a')) as Ended
  await ended.onDisk
  assert.equal(volume.syncs, before + 1)
  assert.deepEqual(found(dir), ['open a', 'close a'])
  spool.committed(ended)
  await spool.stop()
  assert.deepEqual(readdirSync(dir), [], 'what the database has leaves nothing behind')
})

test('what is opened again says more, wherever it is moved, and needs no more room for its end', async () => {
  const dir = folder()
  const spool = spoolIn(dir, { segmentBytesMax: 16 << 10 })
  const first = json('slow')
  const more = json('slow', 2_000)
  await spool.open('slow', first)
  const ended: Ended[] = []
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 30; i++) {
      await spool.open(`id${i}`, json(`id${i}`))
      ended.push(spool.close(`id${i}`, json(`id${i}`)) as Ended)
      await ended.at(-1)?.onDisk
    }
  }
  await fill()
  await spool.open('slow', more)
  await fill()
  for (const one of ended) spool.committed(one)
  const at = join(dir, owner.processId)
  await until(() => readdirSync(at).length <= 2, 'segments to go')
  const said = readdirSync(at)
    .sort()
    .flatMap((name) => readSegment(readFileSync(join(at, name)), { ...owner, number: Number.parseInt(name, 10) }).frames)
    .filter(({ json: text }) => text.includes('slow'))
  assert.equal(said.at(-1)?.json, more.toString())
  const last = spool.close('slow', first) as Ended
  await last.onDisk
  spool.committed(last)
  await spool.stop()
  assert.deepEqual(readdirSync(dir), [])
})

test('a hundred that end at once wait for one sync or two, not for a hundred', async () => {
  const volume = createVolume(100 * MIB)
  const spool = spoolIn(folder(), { disk: volume })
  const ids = Array.from({ length: 100 }, (_, i) => `id${i}`)
  await Promise.all(ids.map((id) => spool.open(id, json(id))))
  const before = volume.syncs
  await Promise.all(ids.map((id) => spool.close(id, json(id))?.onDisk))
  assert.ok(volume.syncs - before <= 5, `${volume.syncs - before} syncs`)
  await spool.stop()
})

test('segments go when their rows are in the database; what is still under way moves on first, and so is found after a crash', async () => {
  const dir = folder()
  const spool = spoolIn(dir, { segmentBytesMax: 16 << 10 })
  await spool.open('slow', json('slow'))
  const ended: Ended[] = []
  for (let i = 0; i < 60; i++) {
    await spool.open(`id${i}`, json(`id${i}`))
    ended.push(spool.close(`id${i}`, json(`id${i}`)) as Ended)
    await ended.at(-1)?.onDisk
  }
  const segments = readdirSync(join(dir, owner.processId)).length
  assert.ok(segments > 5)
  for (const one of ended) spool.committed(one)
  await until(() => readdirSync(join(dir, owner.processId)).length <= 2, 'segments to go')
  assert.ok(found(dir).includes('open slow'))
  const last = spool.close('slow', json('slow')) as Ended
  await last.onDisk
  spool.committed(last)
  await spool.stop()
  assert.deepEqual(readdirSync(dir), [])
})

test('before a segment goes, whoever has its rows is asked to have them on the disk', async () => {
  let asked = 0
  const dir = folder()
  const spool = spoolIn(dir, {
    beforeRemoval: async () => {
      asked++
      assert.ok(readdirSync(join(dir, owner.processId)).length > 0)
    },
  })
  await spool.open('a', json('a'))
  const ended = spool.close('a', json('a')) as Ended
  spool.committed(ended)
  await spool.stop()
  assert.equal(asked, 1)
})

test('on a volume of 256 KiB what leaves is refused before there is no room for its end; no end is ever refused, and with room it goes on', async () => {
  const dir = folder()
  const volume = createVolume(256 << 10)
  const spool = spoolIn(dir, { disk: volume })
  const open: string[] = []
  const refusal = await (async () => {
    for (let i = 0; ; i++) {
      try {
        await spool.open(`id${i}`, json(`id${i}`))
        open.push(`id${i}`)
      } catch (error) {
        return error
      }
    }
  })()
  assert.ok(refusal instanceof NoRoom)
  assert.ok(open.length >= 16, `${open.length} at once`)
  assert.ok(volume.used <= volume.size)
  // Ends are longer than beginnings.
  const ended = open.map((id) => spool.close(id, json(id, 2_000)) as Ended)
  await Promise.all(ended.map(({ onDisk }) => onDisk))
  assert.deepEqual(new Set(found(dir).filter((line) => line.startsWith('close'))), new Set(open.map((id) => `close ${id}`)))
  let refused = 0
  await until(async () => {
    const id = `more${refused}`
    try {
      await spool.open(id, json(id))
      ended.push(spool.close(id, json(id)) as Ended)
      await ended.at(-1)?.onDisk
    } catch (error) {
      assert.ok(error instanceof NoRoom)
      refused++
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return refused > 5
  }, 'the volume to be full')
  assert.ok(spool.usedBytes > 0.8 * spool.capacityBytes, 'readiness is told')
  await spool.open('last', json('last')).catch(() => {})
  const turnedAway = Array.from({ length: 1_000 }, (_, i) => spool.close(`turned away ${i}`, json('turned away')))
  assert.equal(turnedAway.at(-1), null, 'what never left has no claim to the room of others')
  for (const one of [...ended, ...turnedAway]) if (one) spool.committed(one)
  await until(async () => {
    await new Promise((resolve) => setTimeout(resolve, 300))
    return spool.open('after', json('after')).then(
      () => true,
      () => false,
    )
  }, 'room')
  await spool.stop()
})

test('an end that the full disk cannot take waits until the database has its row', async () => {
  const volume = createVolume(256 << 10)
  const spool = spoolIn(folder(), { disk: volume })
  await spool.open('a', json('a'))
  volume.size = volume.used
  const ended = spool.close('a', json('a', 200_000)) as Ended
  let onDisk = false
  void ended.onDisk.then(() => {
    onDisk = true
  })
  await assert.rejects(spool.open('b', json('b', 40_000)), NoRoom)
  spool.committed(ended)
  await spool.stop()
  assert.equal(onDisk, false)
})

for (const what of ['sync', 'write'] as const) {
  test(`EIO in a ${what} ends the process, and nothing is acknowledged any more`, async () => {
    const volume = createVolume(10 * MIB)
    const deaths: unknown[] = []
    const spool = spoolIn(folder(), { disk: volume, die: (error) => deaths.push(error) })
    await spool.open('a', json('a'))
    volume.fails[what] = 'EIO'
    let acknowledged = false
    void spool.close('a', json('a'))?.onDisk.then(() => {
      acknowledged = true
    })
    await until(() => deaths.length > 0, 'its end')
    volume.fails = {}
    void spool.close('b', json('b'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual([acknowledged, deaths.length], [false, 1], 'a sync is never tried again: the second would say that all is well')
  })
}
