/** What dead processes left in their spools becomes rows; what cannot be read is put aside and told of. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type DirectoryLock, lockDirectory } from '../../db/lock.ts'
import type { AuditEntry } from '../entry.ts'
import { type Disk, nodeDisk } from './disk.ts'
import { readSegment } from './frame.ts'
import { isSegmentFile } from './segments.ts'

export interface RecoverOptions {
  /** AUDIT_SPOOL_DIR: a folder for each process. */
  dir: string
  origin: string
  /** Writes rows and returns when they are committed: of exchanges that ended, or of those nobody saw the end of, which are written only where there is no row. */
  write: (entries: AuditEntry[]) => Promise<void>
  /** A segment, or the rest of one, could not be read and is kept in `quarantine`. */
  damaged: (what: { file: string; damage: string }) => Promise<void>
  report: (error: unknown) => void
  /** Before a segment goes whose rows the database has taken. */
  beforeRemoval?: () => Promise<void>
  disk?: Disk
}

export interface Recovered {
  processes: number
  closed: number
  /** Under way when the process died. */
  unknown: number
  quarantined: number
}

/** Entries that are written at once. */
const CHUNK = 500
const QUARANTINE = 'quarantine'

/** Takes over every spool below `dir` whose process is gone. One that cannot be taken over or read stays, and is reported. */
export async function recoverSpools(options: RecoverOptions): Promise<Recovered> {
  const { dir, report, disk = nodeDisk } = options
  const total: Recovered = { processes: 0, closed: 0, unknown: 0, quarantined: 0 }
  for (const { name, isDirectory } of await disk.list(dir)) {
    if (!isDirectory || name === QUARANTINE) continue
    const lock = claim(join(dir, name), report)
    if (!lock) continue
    try {
      await recoverSpool(name, options, disk, total)
    } catch (error) {
      report(error)
    } finally {
      lock.release()
    }
  }
  return total
}

/** Null where a living process has it. Of one on another machine nobody here knows whether it lives: that is told. */
function claim(dir: string, report: RecoverOptions['report']): DirectoryLock | null {
  try {
    return lockDirectory(dir)
  } catch (error) {
    const { holder } = error as { holder?: { host: string } }
    if (holder?.host !== hostname()) report(error)
    return null
  }
}

async function recoverSpool(processId: string, { dir, origin, write, damaged, beforeRemoval }: RecoverOptions, disk: Disk, total: Recovered): Promise<void> {
  const folder = join(dir, processId)
  const names = (await disk.list(folder))
    .map(({ name }) => name)
    .filter(isSegmentFile)
    .sort()
  const opened = new Map<string, AuditEntry>()
  const broken: string[] = []
  for (const name of names) {
    const { frames, damage } = readSegment(await wholeFile(disk, join(folder, name)), { origin, processId, number: Number.parseInt(name, 10) })
    const closed: AuditEntry[] = []
    for (const { kind, json } of frames) {
      const entry = JSON.parse(json) as AuditEntry
      if (kind === 'open') opened.set(entry.audit_id, entry)
      else {
        opened.delete(entry.audit_id)
        closed.push(entry)
      }
    }
    for (let i = 0; i < closed.length; i += CHUNK) await write(closed.slice(i, i + CHUNK))
    total.closed += closed.length
    if (damage !== null) {
      broken.push(name)
      await damaged({ file: `${processId}-${name}`, damage })
    }
  }
  const left = [...opened.values()]
  for (let i = 0; i < left.length; i += CHUNK) await write(left.slice(i, i + CHUNK))
  if (names.length > 0) await beforeRemoval?.()
  if (broken.length > 0) await disk.makeDirectory(join(dir, QUARANTINE))
  for (const name of broken) await disk.rename(join(folder, name), join(dir, QUARANTINE, `${processId}-${name}`))
  for (const name of names) await disk.remove(join(folder, name))
  await disk.removeDirectory(folder)
  total.processes++
  total.unknown += left.length
  total.quarantined += broken.length
}

async function wholeFile(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path)
  try {
    const parts: Buffer[] = []
    for (let at = 0; ; ) {
      const part = await file.read(at, READ_BYTES)
      if (part.length === 0) return Buffer.concat(parts)
      parts.push(part)
      at += part.length
    }
  } finally {
    await file.close()
  }
}
const READ_BYTES = 4 << 20
