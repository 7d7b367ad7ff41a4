/** How much memory a process holds that startProcess started: its garbage, which from outside looks the same, is collected first. */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { until } from './client.ts'

/** In bytes. */
export interface Memory {
  /** What the main thread can still reach, on its heap and outside it. */
  live: number
  /** Of the whole process: with what its threads hold and what the engine and the allocator keep for later. */
  resident: number
}

/** Give the process `environment` when it starts. `ask` stops it for a full collection, a tenth of a second or so: not for where times are judged. */
export function createMemoryGauge(): { environment: Record<string, string>; ask(pid: number): Promise<Memory> } {
  const path = join(tmpdir(), `earthflow-memory-${randomUUID()}.json`)
  const preload = pathToFileURL(join(import.meta.dirname, 'tell-memory.ts'))
  preload.searchParams.set('to', path)
  return {
    environment: { NODE_OPTIONS: `--import=${preload.href}` },
    async ask(pid) {
      process.kill(pid, 'SIGUSR2')
      await until(() => existsSync(path), 'the process to tell its memory')
      const { heapUsed, external, rss } = JSON.parse(readFileSync(path, 'utf8')) as NodeJS.MemoryUsage
      rmSync(path)
      return { live: heapUsed + external, resident: rss }
    },
  }
}

/** For people. */
export const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
