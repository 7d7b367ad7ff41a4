/** Puts the audit log together: the spool of this process, its chain, and what other processes left behind. */
import { access, appendFile, constants, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '../db/connect.ts'
import { runPrepared } from '../db/run-prepared.ts'
import { isUnavailable } from '../db/unavailable.ts'
import type { Listeners } from '../webhooks/event.ts'
import { createChainWriter } from './chain/writer.ts'
import { type AuditEntry, emptyEntry } from './entry.ts'
import { type AuditLog, createAuditLog, type Durability } from './log.ts'
import type { Seal } from './seal.ts'
import type { BudgetCrossing } from './settlement.ts'
import { type Recovered, recoverSpools } from './spool/recover.ts'
import { createSpool, type Spool } from './spool/spool.ts'

export interface StartAuditOptions {
  database: Database
  processId: string
  /** Of the program. */
  version: string
  /** AUDIT_SPOOL_DIR: a folder for each process. */
  spoolDir: string
  durability: Durability
  seal: Seal
  /** The disk failed: what was acknowledged may not be there. The process has to end. */
  die: (error: unknown) => void
  report: (error: unknown) => void
  /** Something could not be kept in the log itself, and where it is instead. */
  setAside: (what: { file: string; damage: string }) => void
  recovered: (what: Recovered) => void
  /** Who is told of what is written. */
  listeners: Listeners
  onWritten: () => void
  /** So many deliveries of events came with what was written. */
  onTold: (deliveries: number) => void
  onCrossing: (crossing: BudgetCrossing) => void
  now: () => number
}

export interface StartedAudit {
  log: AuditLog
  spool: Pick<Spool, 'usedBytes' | 'capacityBytes' | 'measure' | 'syncs'>
}

/** Start-up waits so long for rows of dead processes to be written; the rest follows while calls come in. */
const RECOVER_MS_MAX = 10_000
const REJECTED_FILE = 'rejected.jsonl'

/** Needs a migrated database. Dead processes' exchanges are written before it resolves, or soon after where there are many. Throws a sentence where the spool cannot be. */
export async function startAudit(options: StartAuditOptions): Promise<StartedAudit> {
  const { database, processId, version, spoolDir, durability, seal, die, report, setAside, recovered, now } = options
  const { listeners, onWritten, onTold, onCrossing } = options
  await checkFolder(spoolDir)
  const [{ origin }] = await database.sql<{ origin: string }[]>`select origin from audit_log`
  const beforeRemoval = database.sync?.bind(database)
  const spool = createSpool({ dir: join(spoolDir, processId), owner: { origin, processId }, die, report, ...(beforeRemoval ? { beforeRemoval } : {}) })

  /** Rows are never thrown away, also those that make no sense to the database. */
  const rejected = async (entry: AuditEntry, error: unknown): Promise<void> => {
    report(error)
    const file = join(spoolDir, REJECTED_FILE)
    await appendFile(file, `${JSON.stringify(entry)}\n`, { mode: 0o600, flush: true })
    setAside({ file, damage: 'the database does not take this entry' })
  }
  const log = createAuditLog({
    run: (statement) => runPrepared(database, statement),
    spool,
    durability,
    writer: createChainWriter({ origin, processId, version }),
    seal,
    isUnavailable,
    report,
    rejected,
    listeners,
    onWritten,
    onTold,
    onCrossing,
    now,
  })

  const recovering = recoverSpools({
    dir: spoolDir,
    origin,
    write: (entries) => log.recover(entries),
    async damaged(what) {
      setAside(what)
      const entry = emptyEntry({ at: now(), kind: 'change', reason: 'audit.spool_damaged' })
      await log.recover([{ ...entry, metadata: { actor: 'system', subject: what.file, damage: what.damage } }])
    },
    report,
    ...(beforeRemoval ? { beforeRemoval } : {}),
  }).then((what) => what.processes > 0 && recovered(what), report)
  await Promise.race([recovering, delay(RECOVER_MS_MAX, undefined, { ref: false })])

  return { log, spool }
}

/** Or the first call would be the first to find out. */
async function checkFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await access(dir, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Error(`the folder ${dir} of AUDIT_SPOOL_DIR cannot be written to (${(error as NodeJS.ErrnoException).code}).`)
  }
}
