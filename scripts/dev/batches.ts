import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Of files in one process: more would keep one core busy when the others have nothing left to do, and what breaks a process would take more with it. */
const FILES_MAX = 10
/** Of one file, from start to end. */
export const FILE_TIME_MAX_MS = 5 * 60_000

const runFiles = pathToFileURL(join(import.meta.dirname, 'run-files.ts')).href

/** Writes a program for each batch of the files into the folder, and says where. Neighbours stay together, because they import much the same. */
export function writeBatches(files: readonly string[], folder: string, timeMaxMs = FILE_TIME_MAX_MS): string[] {
  mkdirSync(folder, { recursive: true })
  const batches = Math.ceil(files.length / FILES_MAX)
  return Array.from({ length: batches }, (_, i) => {
    const batch = files.slice(Math.floor((i * files.length) / batches), Math.floor(((i + 1) * files.length) / batches))
    // Its name is all that is told of a process that dies before its first file ends.
    const path = join(folder, `${String(i + 1).padStart(2, '0')}-from-${batch[0]!.replaceAll('/', '-').replace(/\.test\.ts$/, '')}.mjs`)
    writeFileSync(path, `import { runFiles } from ${JSON.stringify(runFiles)}\nawait runFiles(${JSON.stringify(batch)}, ${timeMaxMs})\n`)
    return path
  })
}
