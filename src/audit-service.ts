/** The audit log of a running process: writing, checkpoints and where they go, what is past its time, and what operators see of it. */

import { join } from 'node:path'
import { createCheckpointer } from './audit/chain/checkpointer.ts'
import { createLogKey, type LogKey } from './audit/chain/note.ts'
import { createSink } from './audit/chain/sink.ts'
import type { AuditLog } from './audit/log.ts'
import { bySystem, recordChange, recordOnce } from './audit/record-change.ts'
import { createRetention } from './audit/retention.ts'
import type { Seal } from './audit/seal.ts'
import { startAudit } from './audit/start.ts'
import { type Config, ConfigError } from './config.ts'
import type { Keyring } from './crypto/keyring.ts'
import type { Database } from './db/connect.ts'
import { auditLog } from './db/schema.ts'
import { EgressRefused } from './egress/check-url.ts'
import type { Egress } from './egress/dispatcher.ts'
import { newId } from './ids.ts'
import { freeShareOf } from './telemetry/free-share.ts'
import { describeError, type Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { Listeners } from './webhooks/event.ts'

export interface AuditServiceParts {
  config: Pick<Config, 'audit' | 'locality' | 'database' | 'dataDir'>
  database: Database
  processId: string
  version: string
  keyring: Keyring
  seal: Seal
  /** Where EARTHFLOW_LOCALITY says anything, a way to private addresses alone: of a sink nobody says in which region it lies. */
  egress: Pick<Egress, 'pool' | 'check'>
  /** Who is told of what is written. */
  listeners: Listeners
  /** Deliveries of events were written. */
  onTold: () => void
  /** Another process makes the checkpoints and prunes, and is told by this that something was written; null: this one does. */
  tellTender: (() => void) | null
  log: Log
  metrics: Metrics
  report: (error: unknown, context?: object) => void
}

export interface AuditService {
  log: AuditLog
  spool: { readonly usedBytes: number; readonly capacityBytes: number; measure(): Promise<void> }
  logKey: () => Promise<LogKey>
  /** Something was written that the next checkpoint has to hold. */
  nudge(): void
  /** When nothing is written any more: the chain ends, and a last checkpoint holds its end. */
  close(): Promise<void>
}

/** How long rows may take to be written when the process ends. What is not stays on the disk. */
const STOP_MS = 10_000
const SINK_MS = { firstByte: 10_000, idle: 5_000 }
const SINK_ANSWER_BYTES_MAX = 64 << 10

/** Needs a migrated database. Throws a ConfigError where checkpoints would leave the places that EARTHFLOW_LOCALITY allows. */
export async function startAuditService({
  config,
  database,
  processId,
  version,
  keyring,
  seal,
  egress,
  listeners,
  onTold,
  tellTender,
  log,
  metrics,
  report,
}: AuditServiceParts): Promise<AuditService> {
  const { audit } = config
  if (config.locality.kind !== 'any' && audit.checkpointSink?.kind === 'url') await refuseSinkOutside(audit.checkpointSink.url, egress)
  const logKey = createLogKey({ db: database.db, checkpointKey: () => keyring.checkpointKey() })

  async function postNote(url: string, body: string): Promise<number> {
    const { origin, pathname, search } = new URL(url)
    const pool = egress.pool(origin, { connections: 1, firstByteMs: SINK_MS.firstByte, idleMs: SINK_MS.idle, responseBytesMax: SINK_ANSWER_BYTES_MAX })
    try {
      const answer = await pool.request({ method: 'POST', path: pathname + search, headers: { 'content-type': 'text/plain; charset=utf-8' }, body })
      await answer.body.dump()
      return answer.statusCode
    } finally {
      await pool.destroy()
    }
  }
  const checkpointer = createCheckpointer({
    database,
    processId,
    version,
    logKey,
    seal,
    sink: audit.checkpointSink && createSink({ to: audit.checkpointSink, vkey: async () => (await logKey()).vkey, post: postNote }),
    report,
    onCheckpoint: ({ tree_size, root }) => log.info({ event: 'AUDIT_CHECKPOINT', tree_size, root }, 'a checkpoint of the audit log was made'),
    onDegraded: ({ isDegraded, error }) =>
      isDegraded
        ? log.warn({ event: 'AUDIT_DEGRADED', ...describeError(error) }, 'no checkpoint of the audit log is made or delivered')
        : log.info('checkpoints of the audit log are made again'),
    onTold,
    async recordDegraded({ since, at, error }) {
      const [named] = await database.db.select({ origin: auditLog.origin }).from(auditLog)
      const { error: kind, code = kind } = describeError(error)
      const change = { action: 'audit.degraded', tenantId: null, subject: named!.origin, details: { error: code } } as const
      await recordOnce(database.db, bySystem(change, new Date(at)), new Date(since), seal)
      onTold()
      checkpointer.nudge()
    },
  })
  const nudge = tellTender ?? (() => checkpointer.nudge())
  const started = await startAudit({
    database,
    processId,
    version,
    spoolDir: audit.spoolDir,
    durability: audit.durability,
    seal,
    die(error) {
      report(error, { event: 'AUDIT_DEGRADED' })
      setImmediate(() => {
        throw new Error('The disk of the audit spool failed: what is acknowledged from here on might not be there.', { cause: error })
      })
    },
    report,
    setAside: (what) => log.error({ event: 'AUDIT_DEGRADED', ...what }, 'something of the audit log could not be read or written, and was set aside'),
    recovered: (what) => log.warn(what, 'what dead processes left in their spools is in the audit log'),
    listeners,
    onWritten: nudge,
    onTold,
    onCrossing({ tenantId, budgetId, percent, window }) {
      metrics.crossed(tenantId, percent)
      log.warn({ tenant_id: tenantId, budget_id: budgetId, percent, window }, 'a budget is being used up')
    },
    now: Date.now,
  })
  const { spool } = started
  const retention = createRetention({
    database,
    defaultDays: audit.retentionDays,
    now: Date.now,
    report,
    record: (tx, { metadata, ...change }) =>
      recordChange(tx, { ...change, actor: 'system', keyPrefix: null, requestId: newId('req'), details: metadata }, seal),
    onPruned(what) {
      log.info(what, 'entries of the audit log that were past their time are gone')
      checkpointer.nudge()
    },
  })
  if (!tellTender) {
    checkpointer.start()
    retention.start()
  }
  metrics.gauge('earthflow_audit_backlog', 'Ended exchanges whose row the database has not taken yet.', () => started.log.backlog)
  metrics.gauge('earthflow_audit_spool_bytes', 'Bytes that the spool takes of its volume.', () => spool.usedBytes)
  metrics.gauge('earthflow_audit_spool_share', 'The same as a share of what it may take, 0..1.', () => spool.usedBytes / spool.capacityBytes, 'max')
  metrics.counted('earthflow_audit_spool_syncs_total', 'Syncs of the spool to its disk since the start.', () => spool.syncs)
  metrics.counted('earthflow_audit_unrecorded_total', 'Calls that were turned away while there was no room to record them.', () => started.log.unrecorded)
  metrics.gauge(
    'earthflow_audit_checkpoint_age_seconds',
    'For how long something of the audit log has waited for a checkpoint; 0 where nothing does.',
    () => checkpointer.waitingMs / 1000,
    'max',
  )
  metrics.gauge(
    'earthflow_disk_free_share',
    'Free share of the volume of the spool, or of the embedded database where that has less, 0..1; 0 where it cannot be told.',
    () => freeShareOf(config.database.kind === 'embedded' ? [audit.spoolDir, config.dataDir] : [audit.spoolDir]),
    'min',
  )
  metrics.gauge('earthflow_audit_degraded', '1 while no checkpoint can be made or delivered.', () => (checkpointer.isDegraded ? 1 : 0), 'max')

  return {
    log: started.log,
    spool,
    logKey,
    nudge,
    async close() {
      await retention.close()
      await started.log.stop(STOP_MS)
      const rows = started.log.backlog
      if (rows > 0) {
        const spool = join(audit.spoolDir, processId)
        log.error(
          { event: 'AUDIT_DEGRADED', rows, spool },
          'the database has not taken these rows: they stay in the spool until Earthflow starts again on this machine',
        )
      }
      if (!tellTender) await checkpointer.close()
    },
  }
}

async function refuseSinkOutside(url: string, egress: Pick<Egress, 'check'>): Promise<void> {
  try {
    await egress.check(url, { https: 'unless opened' })
  } catch (error) {
    if (!(error instanceof EgressRefused)) throw error
    throw new ConfigError([`AUDIT_CHECKPOINT_SINK must be a directory or have a private address while EARTHFLOW_LOCALITY is set: ${error.message}`])
  }
}
