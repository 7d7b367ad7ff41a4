/** Rows that were written before they had a place: those that say what their seal says get one, in a chain of this process's own. */
import type { Tx } from '../../db/connect.ts'
import { and, isNotNull, isNull, sql } from '../../db/drizzle.ts'
import { auditEntries } from '../../db/schema.ts'
import { columnNames, columnTypes, placeNames, placesOf, placeTypes } from '../columns.ts'
import type { AuditEntry } from '../entry.ts'
import { type Row, toEntry } from '../row.ts'
import { isSealed, type Seal } from '../seal.ts'
import { batchParts, batchValues } from './batch-parts.ts'
import { chainEntry } from './chain-entry.ts'
import type { ChainWriter, SealedBatch } from './writer.ts'

/** Rows of one batch, some 30 ms of hashing. */
const ROWS_MAX = 500
/** Stands for the seal of what the database itself tells: that a budget is being used up. */
export const BUDGET_SEAL = 'budget'
const budgetReasons: readonly (string | null)[] = ['budget.threshold', 'budget.exceeded']

export interface Chained {
  /** Rows whose seal is wrong: they never get a place. */
  wrong: string[]
  /** There may be more rows without a place. */
  hasMore: boolean
}

export interface Unchained {
  /**
   * Chains rows that wait for it, and entries of the chain itself before them, in the transaction. `isLast` closes the chain of this process,
   * once nothing waits any more. Call `ended` when the transaction has.
   */
  chain(tx: Tx, told: readonly AuditEntry[], isLast: boolean): Promise<Chained>
  /** Whether the transaction is known to be committed. Where it is not, nobody knows where the chain ends, and the next batch begins another. */
  ended(isCommitted: boolean): void
  /** It has a chain that is not closed. */
  readonly isOpen: boolean
}

export interface UnchainedOptions {
  openWriter: () => ChainWriter
  seal: Seal
  /** Milliseconds since 1970. */
  now: () => number
}

export function createUnchained({ openWriter, seal, now }: UnchainedOptions): Unchained {
  let writer: ChainWriter | undefined
  let pending: SealedBatch | undefined
  let isClosing = false

  async function chain(tx: Tx, told: readonly AuditEntry[], isLast: boolean): Promise<Chained> {
    const rows = await waitingRows(tx)
    const { right = [], wrong = [] } = Object.groupBy(rows, (row) => (isRight(row) ? 'right' : 'wrong'))
    if (wrong.length > 0) await dropSeals(tx, wrong)
    const entries = [...told, ...right.map(toEntry)]
    const hasMore = rows.length === ROWS_MAX
    isClosing = isLast && !hasMore && (entries.length > 0 || writer !== undefined)
    if (isClosing) entries.push(closing(entries.length))
    if (entries.length > 0) {
      writer ??= openWriter()
      pending = writer.seal(entries, now())
      await write(tx, writer, pending, new Set(right.map(({ auditId }) => auditId)))
      if (isClosing) await tx.execute(sql`update audit_writers set closed_at = now(), last_seq = ${pending.rows.at(-1)!.seq} where id = ${writer.id}`)
    }
    return { wrong: wrong.map(({ auditId }) => auditId), hasMore }
  }

  function closing(before: number): AuditEntry {
    writer ??= openWriter()
    const opening = writer.seq === 0 ? 1 : 0
    return chainEntry('writer.close', { actor: 'system', subject: writer.id, last_seq: writer.seq + opening + before + 1, reason: 'stopped' }, now())
  }

  function isRight(row: Row): boolean {
    const entry = toEntry(row)
    if (row.seal === BUDGET_SEAL) return entry.kind === 'change' && budgetReasons.includes(entry.reason) && entry.metadata.actor === 'system'
    try {
      return isSealed(seal, entry, row.seal ?? '')
    } catch {
      return false // it holds what no entry of ours can
    }
  }

  return {
    chain,
    ended(isCommitted) {
      if (pending && isCommitted && !isClosing) writer?.written(pending)
      else if (pending) writer = undefined
      pending = undefined
    },
    get isOpen() {
      return writer !== undefined
    },
  }
}

/** Locked, so that nobody writes over them before they have their place. Those that are being written over just now come next time. */
const waitingRows = (tx: Tx): Promise<Row[]> =>
  tx
    .select()
    .from(auditEntries)
    .where(and(isNull(auditEntries.seq), isNotNull(auditEntries.seal)))
    .orderBy(auditEntries.timestamp)
    .limit(ROWS_MAX)
    .for('update', { skipLocked: true })

async function dropSeals(tx: Tx, rows: readonly Row[]): Promise<void> {
  const keys = JSON.stringify(rows.map(({ auditId, timestamp }) => ({ audit_id: auditId, timestamp })))
  await tx.execute(sql`
    update audit_entries e set seal = null from jsonb_to_recordset(${keys}::text::jsonb) as r(audit_id text, timestamp timestamptz)
    where e.audit_id = r.audit_id and e.timestamp = r.timestamp`)
}

/** Throws where a row of `there` is not there any more. */
async function write(tx: Tx, writer: ChainWriter, sealed: SealedBatch, there: ReadonlySet<string>): Promise<void> {
  const { rows } = sealed
  const values = batchValues(writer, sealed)
  const told = rows.filter(({ entry }) => !there.has(entry.audit_id)).map(({ json }) => json)
  const places = rows
    .filter(({ entry }) => there.has(entry.audit_id))
    .map(({ entry: { audit_id, timestamp }, writer_id, seq, tenant_prev, salt, payload_hash }) => ({
      audit_id,
      timestamp,
      writer_id,
      seq,
      tenant_prev,
      salt,
      payload_hash,
    }))
  const [answer] = await tx.execute<{ placed: number }>(sql`
    with told as (
      insert into audit_entries (${sql.raw(`${columnNames}, ${placeNames}`)})
      select ${sql.raw(`${columnNames}, ${placeNames}`)} from jsonb_to_recordset(${`[${told.join()}]`}::text::jsonb) as r(${sql.raw(`${columnTypes}, ${placeTypes}`)})
    ), placed as (
      update audit_entries e set (${sql.raw(placeNames)}, seal) = (${sql.raw(placesOf('r'))}, null)
      from jsonb_to_recordset(${JSON.stringify(places)}::text::jsonb) as r(audit_id text, timestamp timestamptz, ${sql.raw(placeTypes)})
      where e.audit_id = r.audit_id and e.timestamp = r.timestamp and e.seq is null returning 1
    ), ${batchParts((name) => values[name])}
    select count(*)::int as placed from placed`)
  if (answer?.placed !== places.length) throw new Error(`Of ${places.length} rows of the audit log ${answer?.placed} got their place.`)
}
