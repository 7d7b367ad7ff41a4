import { statfsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Volume } from './check.ts'

/** Magic numbers of Linux file systems (statfs(2)): tmpfs and ramfs, overlayfs. */
const MEMORY = new Set([0x01021994, 0x858458f6])
const OVERLAY = 0x794c7630

/** The volume of a path, or of the nearest folder above it that exists; null where nobody can tell. */
export function volumeOf(path: string): Volume | null {
  for (let at = resolve(path); ; at = dirname(at)) {
    try {
      const { type, bavail, bsize } = statfsSync(at)
      return { kind: MEMORY.has(type) ? 'memory' : type === OVERLAY ? 'container' : 'disk', freeBytes: bavail * bsize }
    } catch {
      if (at === dirname(at)) return null
    }
  }
}
