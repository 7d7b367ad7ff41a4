/** A disk whose volume has so many bytes, and that fails as it is told. */
import { type Disk, nodeDisk, type SpoolFile } from '../../../src/audit/spool/disk.ts'

const error = (code: string): Error => Object.assign(new Error(code), { code })

export interface Volume extends Disk {
  /** Bytes of the whole volume. */
  size: number
  used: number
  /** What the next sync or write fails with. */
  fails: { sync?: string; write?: string }
  /** Syncs of files so far. */
  syncs: number
}

export function createVolume(size: number): Volume {
  const lengths = new Map<string, number>()
  const grow = (path: string, end: number): void => {
    const more = Math.max(0, end - (lengths.get(path) ?? 0))
    volume.used += more
    lengths.set(path, (lengths.get(path) ?? 0) + more)
  }
  const wrapped = (path: string, file: SpoolFile): SpoolFile => ({
    ...file,
    async write(bytes, position) {
      if (volume.fails.write) throw error(volume.fails.write)
      const room = (lengths.get(path) ?? 0) + volume.size - volume.used - position
      // As a file system has it: what fits is written, and then there is no room.
      await file.write(bytes.subarray(0, Math.max(0, room)), position)
      grow(path, position + Math.min(bytes.length, Math.max(0, room)))
      if (bytes.length > room) throw error('ENOSPC')
    },
    async sync() {
      if (volume.fails.sync) throw error(volume.fails.sync)
      volume.syncs++
      await file.sync()
    },
  })
  const volume: Volume = {
    ...nodeDisk,
    size,
    used: 0,
    fails: {},
    syncs: 0,
    create: async (path) => wrapped(path, await nodeDisk.create(path)),
    open: async (path) => wrapped(path, await nodeDisk.open(path)),
    async remove(path) {
      await nodeDisk.remove(path)
      volume.used -= lengths.get(path) ?? 0
      lengths.delete(path)
    },
    freeBytes: async () => Math.max(0, volume.size - volume.used),
  }
  return volume
}
