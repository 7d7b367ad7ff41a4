/** Loaded into a process by `--import` (see live-memory.ts): at SIGUSR2 it collects garbage and writes what is left into the file that the query of its address names. */
import { renameSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

const path = new URL(import.meta.url).searchParams.get('to')

if (isMainThread && path !== null) {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  process.on('SIGUSR2', () => {
    collect()
    // Again a turn later: what the first one finalised may have let go of more.
    setImmediate(() => {
      collect()
      writeFileSync(`${path}.part`, JSON.stringify(process.memoryUsage()))
      renameSync(`${path}.part`, path)
    })
  })
}
