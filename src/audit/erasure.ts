/** Takes a person out of the audit log: what callers said of them goes, and every proof of the log stays valid. See chain/README.md. */
import type { SQL } from 'drizzle-orm'
import type { Db, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import { newId } from '../ids.ts'
import { namesOf, runsOf } from './named-leaves.ts'

/** Rows of one transaction, and so the most that its record names. */
export const CHUNK_ROWS = 1_000
/** Transactions of one erasure, some seconds: what is left then waits for the next call. */
const CHUNKS_MAX = 50
/** Days of the ledger of one transaction. */
const LEDGER_DAYS = 31
/** Rows that are counted as pending. */
const PENDING_MAX = 100_000
const DAY_MS = 86_400_000

/** Whose entries, and of which time; without a time, all. */
export interface Person {
  tenantId: string
  userId: string
  /** Inclusive. */
  from?: Date | undefined
  /** Exclusive. */
  to?: Date | undefined
}

/** What is written into the log of an erasure. Never whose it was. */
export interface EraseRecord {
  /** Rows name it as what they were erased by. */
  auditId: string
  action: 'audit.erase'
  tenantId: string
  subject: 'user'
  metadata: { entries: number; leaves: Record<string, string> }
  at: Date
}

export interface ErasureOptions {
  /** Writes the record, in the transaction that erases. */
  record: (tx: Tx, record: EraseRecord) => Promise<void>
  /** Milliseconds since 1970. */
  now: () => number
}

export interface Erased {
  /** Leaves, and rows from before the log was chained. */
  erased: number
  /** Rows that still say who it was: they wait for their place in the chain, their call is under way, or they were too many. At most PENDING_MAX are counted. */
  pending: number
}

/**
 * Erases chunk by chunk, each with its record: who it was and what callers said of the call, in entries, in what they said before they were written over, in
 * the ledger of costs, where days that lie wholly in the time are added to those of nobody, in events that may be told again, and where a person was asked
 * about the call. Done again, it erases what has come since.
 */
export async function erasePerson(db: Db, person: Person, options: ErasureOptions): Promise<Erased> {
  let erased = 0
  let chunks = 0
  for (const step of [eraseEntries, eraseSuperseded, mergeLedger, eraseTold, eraseHeld]) {
    for (let more = true; more && chunks < CHUNKS_MAX; chunks++) {
      const done = await retryConflicts(() => db.transaction((tx) => eraseChunk(tx, step, person, options)))
      erased += done.entries
      more = done.more
    }
  }
  return { erased, pending: await countPending(db, person) }
}

interface Chunk {
  entries: number
  leaves: Record<string, string>
  /** There was something to do, be it that no entry says so. */
  touched: boolean
  /** There may be more. */
  more: boolean
}

type Step = (tx: Tx, person: Person, erasedBy: string) => Promise<Chunk>

async function eraseChunk(tx: Tx, step: Step, person: Person, { record, now }: ErasureOptions): Promise<Chunk> {
  const at = new Date(now())
  const auditId = newId('aud', at.getTime())
  const chunk = await step(tx, person, auditId)
  const { entries, leaves, touched } = chunk
  if (touched) await record(tx, { auditId, action: 'audit.erase', tenantId: person.tenantId, subject: 'user', metadata: { entries, leaves }, at })
  return chunk
}

/** A row that waits for its place has a seal that holds for what it says: it is erased once it has the one and no longer needs the other. */
const isErasable = sql`(e.seq is not null or e.seal is null)`

const eraseEntries: Step = (tx, person, erasedBy) =>
  chunkOf(
    tx,
    sql`select e.audit_id, e.timestamp from audit_entries e where ${isOf(person)} and ${isErasable} limit ${CHUNK_ROWS}`,
    sql`
      update audit_entries e set user_id = null, metadata = '{}', salt = null, erased_by = ${erasedBy} from chosen
      where e.audit_id = chosen.audit_id and e.timestamp = chosen.timestamp and e.user_id = ${person.userId} and ${isErasable} returning e.writer_id, e.seq`,
  )

const eraseSuperseded: Step = (tx, person, erasedBy) =>
  chunkOf(
    tx,
    sql`select s.writer_id, s.seq from audit_superseded s where ${isIn(person, 's.row')} limit ${CHUNK_ROWS}`,
    sql`
      update audit_superseded s set row = s.row || jsonb_build_object('user_id', null, 'metadata', '{}'::jsonb, 'salt', null, 'erased_by', ${erasedBy}::text)
      from chosen where s.writer_id = chosen.writer_id and s.seq = chosen.seq returning s.writer_id, s.seq`,
  )

async function chunkOf(tx: Tx, chosen: SQL, erase: SQL): Promise<Chunk> {
  const [{ seen, entries, leaves }] = await tx.execute<{ seen: number; entries: number; leaves: Record<string, string> }>(sql`
    with chosen as materialized (${chosen}), erased as (${erase})
    select (select count(*)::int from chosen) as seen, (select count(*)::int from erased) as entries,
      (${namesOf(runsOf(sql`select writer_id, seq from erased`))}) as leaves`)
  return { entries, leaves, touched: entries > 0, more: seen === CHUNK_ROWS }
}

const counters = ['requests', 'unpriced', 'estimated', 'input_tokens', 'output_tokens', 'cost_nano']

const mergeLedger: Step = async (tx, { tenantId, userId, from, to }) => {
  const days = [
    ...(from ? [sql`and day >= ${dayOf(Math.ceil(from.getTime() / DAY_MS))}::date`] : []),
    ...(to ? [sql`and day < ${dayOf(Math.floor(to.getTime() / DAY_MS))}::date`] : []),
  ]
  const [{ merged, seen }] = await tx.execute<{ merged: number; seen: number }>(sql`
    with chosen as materialized (
      select distinct day from cost_ledger where tenant_id = ${tenantId} and user_id = ${userId} ${sql.join(days, sql` `)} order by day limit ${LEDGER_DAYS}
    ), gone as (
      delete from cost_ledger where tenant_id = ${tenantId} and user_id = ${userId} and day in (select day from chosen) returning *
    ), merged as (
      insert into cost_ledger as l (tenant_id, day, agent_id, key_prefix, user_id, model, upstream, ${sql.raw(counters.join(', '))})
      select tenant_id, day, agent_id, key_prefix, '', model, upstream, ${sql.raw(counters.join(', '))} from gone order by day, agent_id, key_prefix, model, upstream
      on conflict (tenant_id, day, agent_id, key_prefix, user_id, model, upstream)
      do update set ${sql.raw(counters.map((name) => `${name} = l.${name} + excluded.${name}`).join(', '))} returning 1
    )
    select (select count(*)::int from merged) as merged, (select count(*)::int from chosen) as seen`)
  return { entries: 0, leaves: {}, touched: merged > 0, more: seen === LEDGER_DAYS }
}

const eraseTold: Step = (tx, { tenantId, userId, from, to }) =>
  unnamed(
    tx,
    sql`update webhook_events set data = data || '{"user_id":null}' where id in (
      select id from webhook_events where tenant_id = ${tenantId} and data->>'user_id' = ${userId} ${during(sql`at`, { from, to })} limit ${CHUNK_ROWS})
      returning 1`,
  )

const eraseHeld: Step = (tx, { tenantId, userId, from, to }) =>
  unnamed(
    tx,
    sql`update escalations set user_id = null where id in (
      select id from escalations where tenant_id = ${tenantId} and user_id = ${userId} ${during(sql`created_at`, { from, to })} limit ${CHUNK_ROWS})
      returning 1`,
  )

async function unnamed(tx: Tx, erase: SQL): Promise<Chunk> {
  const rows = await tx.execute(erase)
  return { entries: 0, leaves: {}, touched: rows.length > 0, more: rows.length === CHUNK_ROWS }
}

/** The last day that PostgreSQL and JavaScript write in the same way. */
const LAST_DAY = Date.UTC(9999, 11, 31) / DAY_MS

const dayOf = (days: number): string => new Date(Math.min(days, LAST_DAY) * DAY_MS).toISOString().slice(0, 10)

/** Records of calls under way are sealed, and made anew when the call ends. */
async function countPending(db: Db, person: Person): Promise<number> {
  const [{ pending }] = await db.execute<{ pending: number }>(sql`
    select count(*)::int as pending from (
      (select 1 from audit_entries e where ${isOf(person)} limit ${PENDING_MAX})
      union all (select 1 from audit_open o where o.tenant_id = ${person.tenantId} and ${isIn(person, 'o.entry')})
      union all (select 1 from audit_superseded s where ${isIn(person, 's.row')})
      limit ${PENDING_MAX}
    ) as rows`)
  return pending
}

/** Of a row `e`. */
const isOf = ({ tenantId, userId, from, to }: Person): SQL => sql`e.tenant_id = ${tenantId} and e.user_id = ${userId} ${during(sql`e.timestamp`, { from, to })}`

/** Of an entry as JSON, in the API's names. */
function isIn({ tenantId, userId, from, to }: Person, json: 's.row' | 'o.entry'): SQL {
  const member = (name: string): SQL => sql.raw(`${json}->>'${name}'`)
  return sql`${member('tenant_id')} = ${tenantId} and ${member('user_id')} = ${userId} ${during(sql`(${member('timestamp')})::timestamptz`, { from, to })}`
}

const during = (time: SQL, { from, to }: Pick<Person, 'from' | 'to'>): SQL =>
  sql`${from ? sql`and ${time} >= ${from.toISOString()}::timestamptz` : sql``} ${to ? sql`and ${time} < ${to.toISOString()}::timestamptz` : sql``}`
