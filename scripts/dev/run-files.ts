/** What a process of a test run does: several files of tests, one after the other, because loading what they all import costs more than most of them. */
import { writeSync } from 'node:fs'
import { Server } from 'node:net'
import { describe, mock } from 'node:test'
import { pathToFileURL } from 'node:url'
import { canaries } from '../../test/harness/canaries.ts'

const STDERR = 2

/** What a process may still have to close once its tests are over: sockets, servers. */
const CLOSING_MS_MAX = 30_000

/**
 * Runs each file as a suite that bears the file's name, so that its hooks are its own. The next one is read when all of it is over, and finds the clock
 * and the other mocks as they were, and no text of a call that would be looked for. A file that is not over after `timeMaxMs`, or leaves something open
 * that keeps the process alive, ends the process.
 */
export async function runFiles(files: readonly string[], timeMaxMs: number): Promise<void> {
  for (const file of files) {
    // It also keeps the process alive: else, where nothing but what was unref'd is left to wait for, node:test takes the end of this suite for the end of all.
    const watch = setTimeout(giveUp, timeMaxMs, `${file} is not over after ${timeMaxMs} ms.`)
    // What node:test returns for a suite is over when the suite is, its hooks included, also where they fail.
    await describe(file, async () => {
      await import(pathToFileURL(file).href)
    })
    mock.reset()
    canaries.forgetCalls()
    clearTimeout(watch)
  }
  const keepsAlive = (): void => giveUp(`One of these keeps its process alive after its end: ${files.join(', ')}.\nIt has open: ${openNow()}`)
  setTimeout(keepsAlive, CLOSING_MS_MAX).unref()
}

/** Sockets, servers and processes, as far as Node tells (undocumented, hence the `?.`), and the kinds of all that is open. */
function openNow(): string {
  const handles = (process as { _getActiveHandles?(): object[] })._getActiveHandles?.() ?? []
  const shown = handles.map((handle) => {
    const { localPort, remotePort, spawnargs } = handle as { localPort?: number; remotePort?: number; spawnargs?: string[] }
    const address = handle instanceof Server ? JSON.stringify(handle.address()) : [localPort, remotePort, spawnargs?.slice(0, 3)].flat().join(' ')
    return `${handle.constructor.name} ${address}`
  })
  return [...shown, ...process.getActiveResourcesInfo()].join(', ')
}

function giveUp(why: string): void {
  writeSync(STDERR, `${why}\n`)
  process.exit(1)
}
