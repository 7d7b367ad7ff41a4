import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { type ChainWriter, createChainWriter } from '../../src/audit/chain/writer.ts'
import { type AuditEntry, emptyEntry } from '../../src/audit/entry.ts'
import { CHUNK_ROWS, type EraseRecord, erasePerson, type Person } from '../../src/audit/erasure.ts'
import { toRow } from '../../src/audit/row.ts'
import type { Tx } from '../../src/db/connect.ts'
import { auditEntries, auditOpen, auditSuperseded, costLedger } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { checkpointerOn, logKeyOn, seal, write, writeUnchained } from './chain/chains.ts'
import { entryOf } from './entries.ts'
import { assertProved } from './proved.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const PERSON = 'ann-who-asked'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let writer: ChainWriter
  let records: EraseRecord[]
  before(async () => {
    database = await open()
  })
  beforeEach(async () => {
    await database.sql`truncate audit_entries, audit_open, audit_writers, audit_batches, audit_tiles, audit_checkpoints, audit_superseded, cost_ledger, webhook_events, escalations`
    const { origin } = await logKeyOn(database)()
    writer = createChainWriter({ origin, processId: 'p_w', version: '1' })
    records = []
  })
  after(() => database.drop())

  const record = async (tx: Tx, one: EraseRecord): Promise<void> => {
    records.push(one)
    const { auditId, action, tenantId, subject, metadata, at } = one
    const empty = emptyEntry({ at: at.getTime(), kind: 'change', reason: action })
    const entry: AuditEntry = { ...empty, audit_id: auditId, tenant_id: tenantId, metadata: { actor: 'admin', subject, ...metadata } }
    await tx.insert(auditEntries).values({ ...toRow(entry), seal: seal(entry) })
  }
  const erase = (more: Partial<Person> = {}) => erasePerson(database.db, { tenantId: 't_1', userId: PERSON, ...more }, { record, now: () => NOW })
  const call = (audit_id: string, user_id: string | null = PERSON, more: Partial<AuditEntry> = {}): AuditEntry =>
    entryOf({ audit_id, user_id, metadata: { user: user_id ?? 'nobody', team: 'x' }, ...more })
  const checkpoint = (): Promise<void> => checkpointerOn(database).run()
  /** Rows of any table of the log in which the person is named. */
  const mentions = async (): Promise<number> => {
    const [row] = await database.sql`
      select count(*)::int as mentions from (
        select to_jsonb(e) as row from audit_entries e union all select to_jsonb(s) from audit_superseded s union all select to_jsonb(o) from audit_open o
        union all select to_jsonb(l) from cost_ledger l union all select to_jsonb(w) from webhook_events w union all select to_jsonb(h) from escalations h) as rows where row::text like ${`%${PERSON}%`}`
    return row!.mentions
  }
  const rowOf = async (auditId: string) =>
    (await database.sql`select user_id, metadata, salt, payload_hash, erased_by from audit_entries where audit_id = ${auditId}`)[0]!

  test('nothing names the person any more, others are as they were, and the log proves itself', async () => {
    await write(database, writer, [call('a'), call('b', 'bob'), call('c'), call('other', PERSON, { tenant_id: 't_2' })])
    await checkpoint()
    const before = await rowOf('a')
    const untouched = [await rowOf('b'), await rowOf('other')]
    assert.deepEqual(await erase(), { erased: 2, pending: 0 })
    assert.deepEqual(await rowOf('a'), { user_id: null, metadata: {}, salt: null, payload_hash: before.payload_hash, erased_by: records[0]!.auditId })
    assert.deepEqual([await rowOf('b'), await rowOf('other')], untouched)
    assert.equal(await mentions(), 1, 'of the other tenant')
    assert.deepEqual(
      records.map(({ tenantId, subject, metadata }) => [tenantId, subject, metadata]),
      [['t_1', 'user', { entries: 2, leaves: { [writer.id]: '2,4' } }]],
    )
    assert.equal((await assertProved(database)).erased, 2)
    await checkpoint()
    await assertProved(database)
  })

  test('done again, it does nothing, until the person calls again', async () => {
    await write(database, writer, [call('a')])
    await erase()
    assert.deepEqual(await erase(), { erased: 0, pending: 0 })
    assert.equal(records.length, 1)
    await write(database, writer, [call('b')])
    assert.deepEqual(await erase(), { erased: 1, pending: 0 })
    await assertProved(database)
  })

  test('a row that waits for its place, and a call under way, are pending; a row from before the log was chained is erased at once', async () => {
    await writeUnchained(database, call('waits'))
    await writeUnchained(database, call('unchained'), null)
    const entry = call('open')
    await database.db
      .insert(auditOpen)
      .values({ auditId: 'open', tenantId: 't_1', processId: 'p', openedAt: new Date(NOW), entry: { ...entry, seal: seal(entry) } })
    assert.deepEqual(await erase(), { erased: 1, pending: 2 })
    assert.deepEqual(records[0]?.metadata, { entries: 1, leaves: {} })
    await checkpoint()
    await database.sql`delete from audit_open`
    assert.deepEqual(await erase(), { erased: 1, pending: 0 })
    assert.equal(await mentions(), 0)
    await checkpoint()
    await assertProved(database)
  })

  test('what a row said before it was written over is erased too', async () => {
    const { rows } = await write(database, writer, [call('a', PERSON, { outcome: 'unknown' })])
    const [, row] = rows
    await database.sql`delete from audit_entries where audit_id = 'a'`
    await database.db.insert(auditSuperseded).values({ writerId: row!.writer_id, seq: row!.seq, auditId: 'a', row: JSON.parse(row!.json) })
    await write(database, writer, [call('a')])
    await assertProved(database)
    assert.deepEqual(await erase(), { erased: 2, pending: 0 })
    assert.equal(await mentions(), 0)
    assert.equal((await assertProved(database)).erased, 2)
  })

  test('events that can be told again, and calls that a person was asked about, name nobody any more', async () => {
    for (const [id, tenantId, userId] of [
      ['1', 't_1', PERSON],
      ['2', 't_1', 'bob'],
      ['3', 't_2', PERSON],
    ] as const) {
      await database.sql`insert into webhook_events (id, tenant_id, type, request_id, at, data)
        values (${`evt_${id}`}, ${tenantId}, 'BLOCK', 'req_1', ${new Date(NOW).toISOString()}::timestamptz, ${JSON.stringify({ audit_id: 'a', user_id: userId })}::text::jsonb)`
      await database.sql`insert into escalations
        (id, tenant_id, request_id, audit_id, caller, key_prefix, user_id, dialect, rules_triggered, policy_version, body_hash, call_hash, content_bytes, expires_at)
        values (${`esc_${id}`}, ${tenantId}, 'req_1', 'a', 'k', 'k', ${userId}, 'openai-chat', '[]', 1, 'b', ${id}, 0, now())`
    }
    assert.deepEqual(await erase(), { erased: 0, pending: 0 })
    assert.equal(await mentions(), 2, 'of the other tenant')
    assert.equal(records.length, 2)
    const events = await database.sql`select data from webhook_events order by id`
    assert.deepEqual(
      events.map(({ data }) => data),
      [
        { audit_id: 'a', user_id: null },
        { audit_id: 'a', user_id: 'bob' },
        { audit_id: 'a', user_id: PERSON },
      ],
    )
    assert.deepEqual(await erase({ from: new Date(NOW + 1) }), { erased: 0, pending: 0 })
  })

  test('only what lies in the time that is named', async () => {
    const at = (timestamp: string) => ({ timestamp })
    await write(database, writer, [
      call('before', PERSON, at('2026-11-01T11:59:59.999Z')),
      call('first', PERSON, at('2026-11-01T12:00:00.000Z')),
      call('last', PERSON, at('2026-11-03T11:59:59.999Z')),
      call('after', PERSON, at('2026-11-03T12:00:00.000Z')),
    ])
    const day = (day: string) => ({ ...ledgerRow, day, userId: PERSON })
    await database.db.insert(costLedger).values([day('2026-11-01'), day('2026-11-02'), day('2026-11-03')])
    assert.deepEqual(await erase({ from: new Date('2026-11-01T12:00:00Z'), to: new Date('2026-11-03T12:00:00Z') }), { erased: 2, pending: 0 })
    const left = await database.sql`select audit_id from audit_entries where user_id is not null order by audit_id`
    assert.deepEqual(
      left.map(({ audit_id }) => audit_id),
      ['after', 'before'],
    )
    const ledger = await database.sql`select day::text, user_id from cost_ledger order by day`
    assert.deepEqual(
      ledger.map(({ day, user_id }) => [day, user_id]),
      [
        ['2026-11-01', PERSON],
        ['2026-11-02', ''],
        ['2026-11-03', PERSON],
      ],
      'a day of which a part stays, stays',
    )
  })

  const ledgerRow = {
    tenantId: 't_1',
    day: '2026-11-01',
    agentId: '',
    keyPrefix: 'ef_1',
    userId: '',
    model: 'm',
    upstream: 'u',
    requests: 1,
    unpriced: 2,
    estimated: 3,
    inputTokens: 4,
    outputTokens: 5,
    costNano: 6,
  }

  test('what the calls cost stays, and is nobody’s', async () => {
    const days = Array.from({ length: 70 }, (_, i) => new Date(NOW - i * 86_400_000).toISOString().slice(0, 10))
    await database.db.insert(costLedger).values([
      ledgerRow,
      { ...ledgerRow, userId: 'bob' },
      { ...ledgerRow, userId: PERSON, tenantId: 't_2' },
      ...days.flatMap((day) => [
        { ...ledgerRow, day, userId: PERSON },
        { ...ledgerRow, day, userId: PERSON, model: 'other' },
      ]),
    ])
    const sums = () =>
      database.sql`
      select tenant_id, model, day::text, sum(requests)::int, sum(unpriced)::int, sum(estimated)::int, sum(input_tokens)::int, sum(output_tokens)::int, sum(cost_nano)::int
      from cost_ledger where user_id <> 'bob' group by 1, 2, 3 order by 1, 2, 3`.values()
    const before = await sums()
    assert.deepEqual(await erase(), { erased: 0, pending: 0 })
    assert.deepEqual(await sums(), before)
    assert.equal(await mentions(), 1, 'of the other tenant')
    assert.deepEqual(
      records.map(({ metadata }) => metadata),
      Array.from({ length: 3 }, () => ({ entries: 0, leaves: {} })),
    )
    const [row] = await database.sql`select requests, cost_nano from cost_ledger where day = '2026-11-01' and user_id = '' and model = 'm'`
    assert.deepEqual([Number(row!.requests), Number(row!.cost_nano)], [2, 12])
  })

  test('many rows are erased in chunks, each with its record', async () => {
    await write(
      database,
      writer,
      Array.from({ length: CHUNK_ROWS + 7 }, (_, i) => call(`r_${i}`)),
    )
    assert.deepEqual(await erase(), { erased: CHUNK_ROWS + 7, pending: 0 })
    assert.deepEqual(
      records.map(({ metadata }) => metadata.entries),
      [CHUNK_ROWS, 7],
    )
    await assertProved(database)
  })

  test('an erasure that cannot be recorded does not happen', async () => {
    await write(database, writer, [call('a')])
    const refuse = () => Promise.reject(new Error('no'))
    await assert.rejects(erasePerson(database.db, { tenantId: 't_1', userId: PERSON }, { record: refuse, now: () => NOW }), /no/)
    assert.equal((await rowOf('a')).user_id, PERSON)
  })
})
