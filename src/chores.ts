/** What has to be done now and then. An installation in which nothing happens is asked nothing: only what died, keys in use or a new month make work. */
import type { Database } from './db/connect.ts'
import { ensurePartitions } from './db/partitions.ts'
import { forgetDeadProcesses, type RegisteredProcess } from './db/processes.ts'

export interface ChoresOptions {
  database: Database
  heartbeat: Pick<RegisteredProcess, 'silent'>
  /** Closes what dead processes left open. */
  sweep(): Promise<unknown>
  /** Writes down when keys were last used. */
  flushUse(): Promise<void>
  report(error: unknown): void
}

const EVERY_MS = 30_000

/** Does them from now on. What it answers ends them. */
export function startChores({ database, heartbeat, sweep, flushUse, report }: ChoresOptions): () => Promise<void> {
  let partitionsOf = monthOf(new Date())
  const timer = setInterval(() => {
    if (heartbeat.silent > 0) {
      sweep().catch(report)
      forgetDeadProcesses(database).catch(report)
    }
    flushUse().catch(report)
    const now = new Date()
    if (monthOf(now) === partitionsOf) return
    ensurePartitions(database, now).then(() => {
      partitionsOf = monthOf(now)
    }, report)
  }, EVERY_MS).unref()
  return () => {
    clearInterval(timer)
    return flushUse()
  }
}

const monthOf = (date: Date): string => date.toISOString().slice(0, 7)
