/** What one process does for the whole installation: brings events to those who asked for them, and sees to what was left behind or is past its time. */
import type { AuditLog } from './audit/log.ts'
import { type ChoresOptions, startChores } from './chores.ts'
import type { Log } from './telemetry/log.ts'

/** What somebody wrote that whoever tends the installation has to see to: deliveries of events, or rows that a checkpoint has to hold. */
export type Nudge = 'deliveries' | 'checkpoint'

export interface TendingParts extends Pick<ChoresOptions, 'database' | 'heartbeat' | 'sweep' | 'expireEscalations' | 'report'> {
  deliveries: { start(): void; lookIfLate(): void }
}

/** Does what is due, and then what comes up. What it answers ends that. */
export async function startTending({ deliveries, ...chores }: TendingParts): Promise<() => void> {
  const { sweep, expireEscalations, report } = chores
  const stop = startChores({ ...chores, lookForLateDeliveries: () => deliveries.lookIfLate() })
  // What fails of this is done again as soon as a heartbeat tells of it.
  await sweep().catch(report)
  await expireEscalations().catch(report)
  deliveries.start()
  return stop
}

/** Closes what dead processes left open. Answers with how many rows that were. */
export const createSweep =
  ({ auditLog, swept, log }: { auditLog: Pick<AuditLog, 'sweep'>; swept: () => void; log: Log }) =>
  async (): Promise<number> => {
    const rows = await auditLog.sweep()
    if (rows === 0) return 0
    swept()
    log.warn({ rows }, 'exchanges of a dead process were closed as unknown')
    return rows
  }
