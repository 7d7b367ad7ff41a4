/** Audit logs of processes that need no whole Earthflow. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createChainWriter } from '../../src/audit/chain/writer.ts'
import { type AuditLog, type AuditLogOptions, createAuditLog } from '../../src/audit/log.ts'
import { createSpool, type SpoolOptions } from '../../src/audit/spool/spool.ts'
import type { Database } from '../../src/db/connect.ts'
import { runPrepared } from '../../src/db/run-prepared.ts'
import { isUnavailable } from '../../src/db/unavailable.ts'
import { newId } from '../../src/ids.ts'
import { seal } from './entries.ts'

export const ORIGIN = 'earthflow/test'
const SETTLED_MS = 30_000

const unexpected = (error: unknown): never => {
  throw error
}

const folders: string[] = []
process.on('exit', () => {
  for (const dir of folders) rmSync(dir, { recursive: true, force: true })
})

/** A folder that goes when the file's tests are over. */
export function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-spool-'))
  folders.push(dir)
  return dir
}

export type LogOptions = Partial<AuditLogOptions> & { processId?: string; spoolOptions?: Partial<SpoolOptions> }

/** Whose `close` returns when the row is in the database, unless that is told apart. */
export function logOn(
  database: Pick<Database, 'sql'>,
  { processId = newId('proc'), spoolOptions = {}, ...options }: LogOptions = {},
  isPatient = true,
): AuditLog {
  const spool = createSpool({
    dir: join(folder(), processId),
    owner: { origin: ORIGIN, processId },
    die: unexpected,
    report: unexpected,
    segmentBytesMax: 1 << 20,
    ...spoolOptions,
  })
  const log = createAuditLog({
    run: (statement) => runPrepared(database, statement),
    spool,
    durability: 'strict',
    writer: createChainWriter({ origin: ORIGIN, processId, version: '1' }),
    seal,
    isUnavailable,
    report: unexpected,
    rejected: (_entry, error) => unexpected(error),
    openMsMax: 20_000,
    ...options,
  })
  if (!isPatient) return log
  return {
    open: log.open,
    recover: log.recover,
    sweep: log.sweep,
    settled: log.settled,
    stop: log.stop.bind(log),
    get backlog() {
      return log.backlog
    },
    get unrecorded() {
      return log.unrecorded
    },
    get isAway() {
      return log.isAway
    },
    async close(entry) {
      await log.close(entry)
      await log.settled(SETTLED_MS)
    },
  }
}
