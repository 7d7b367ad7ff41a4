/** What has to be done now and then, by one process for all. An installation in which nothing happens is asked nothing: only what died or a new month make work. */
import type { Database } from './db/connect.ts'
import { ensurePartitions } from './db/partitions.ts'
import { forgetDeadProcesses, type RegisteredProcess } from './db/processes.ts'

export interface ChoresOptions {
  database: Database
  heartbeat: Pick<RegisteredProcess, 'silent' | 'late'>
  /** Closes what dead processes left open. */
  sweep(): Promise<unknown>
  /** Delivers events that nobody has delivered in time. */
  lookForLateDeliveries(): void
  /** Ends the waiting of calls about which nobody has decided in time. */
  expireEscalations(): Promise<unknown>
  report(error: unknown): void
}

const EVERY_MS = 30_000
/** As often as the heartbeat tells. */
const LATE_EVERY_MS = 10_000

/** Does them from now on. What it answers ends them. */
export function startChores({ database, heartbeat, sweep, lookForLateDeliveries, expireEscalations, report }: ChoresOptions): () => void {
  let partitionsOf = monthOf(new Date())
  const timer = setInterval(() => {
    if (heartbeat.silent > 0) {
      sweep().catch(report)
      forgetDeadProcesses(database).catch(report)
    }
    const now = new Date()
    if (monthOf(now) === partitionsOf) return
    ensurePartitions(database, now).then(() => {
      partitionsOf = monthOf(now)
    }, report)
  }, EVERY_MS).unref()
  const lateTimer = setInterval(() => {
    if (heartbeat.late.deliveries) lookForLateDeliveries()
    if (heartbeat.late.escalations) expireEscalations().catch(report)
  }, LATE_EVERY_MS).unref()
  return () => {
    clearInterval(timer)
    clearInterval(lateTimer)
  }
}

const monthOf = (date: Date): string => date.toISOString().slice(0, 7)

/** Writes down now and then, and at the end, when the keys that this process has seen were last used. */
export function keepUse(flushUse: () => Promise<void>, report: (error: unknown) => void): () => Promise<void> {
  const timer = setInterval(() => void flushUse().catch(report), EVERY_MS).unref()
  return () => {
    clearInterval(timer)
    return flushUse()
  }
}
