import { accessSync, constants, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where Linux keeps a file system in memory. */
const IN_MEMORY = '/dev/shm'
/** What must be free there, and of memory, before it is used: a run needs a tenth of it. */
const FREE_BYTES_MIN = 4 * 2 ** 30

/**
 * The folder for what a run of the tests keeps only so long as it runs: the chosen one, else one in memory, because databases are thousands of small files
 * that are soon removed, else the machine's, where there is no such memory, too little of it, or none from which a program may be run.
 */
export function temporaryFolder(chosen: string | undefined, inMemory = IN_MEMORY, freeMemory = process.availableMemory()): string {
  if (chosen) return chosen
  const probe = join(inMemory, `earthflow-probe-${process.pid}`)
  try {
    const { bavail, bsize } = statfsSync(inMemory)
    if (Math.min(bavail * bsize, freeMemory) < FREE_BYTES_MIN) return tmpdir()
    writeFileSync(probe, '', { mode: 0o700 })
    accessSync(probe, constants.X_OK)
    return inMemory
  } catch {
    return tmpdir()
  } finally {
    rmSync(probe, { force: true })
  }
}
