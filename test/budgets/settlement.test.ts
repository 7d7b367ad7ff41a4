import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { findEntry, listEntries } from '../../src/audit/query.ts'
import type { BudgetCrossing } from '../../src/audit/settlement.ts'
import type { Budget } from '../../src/budgets/budget.ts'
import { createBudgets } from '../../src/budgets/budgets.ts'
import { chargesOf } from '../../src/budgets/charges.ts'
import type { Database } from '../../src/db/connect.ts'
import { registerProcess } from '../../src/db/processes.ts'
import { runPrepared } from '../../src/db/run-prepared.ts'
import { newId } from '../../src/ids.ts'
import { entryOf } from '../audit/entries.ts'
import { logOn as createLogOn, type LogOptions } from '../audit/logs.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { asOtherProcess, standingOf, tenantWith } from './rows.ts'

const unexpected = (error: unknown): never => assert.fail(String(error))
const ARRIVED = Date.UTC(2026, 10, 20, 12)
const NOON = new Date(ARRIVED).toISOString()

/** A call that used so many tokens and nano-dollars, and is charged to the budgets. */
const callOf = (tenantId: string, budgets: readonly Budget[], nano: number | null, tokens: number, more: Partial<AuditEntry> = {}): AuditEntry => {
  const timestamp = more.timestamp ?? NOON
  return entryOf({
    tenant_id: tenantId,
    usage: { input_tokens: tokens, output_tokens: 0 },
    cost_usd: nano === null ? null : `${Math.floor(nano / 1_000_000_000)}.${String(nano % 1_000_000_000).padStart(9, '0')}`,
    budgets: chargesOf(budgets, { nano, tokens }, Date.parse(timestamp)),
    ...more,
    timestamp,
  })
}

/** The same numbers each time (Mulberry32), so that a failure can be seen again. */
function randomOf(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

forEachEngine((engine, open) => {
  let database: TestDatabase
  let other: Awaited<ReturnType<typeof asOtherProcess>>
  before(async () => {
    database = await open()
    other = await asOtherProcess(database)
  })
  after(async () => {
    await other.close()
    await database.drop()
  })

  type One = Pick<Database, 'db' | 'sql'>
  const logOn = (one: One, processId: string, options: LogOptions = {}) => createLogOn(one, { processId, ...options })
  const budgetsOn = (one: One, processId: string) => createBudgets({ database: one, processId, enforce: true, report: unexpected, reserveMsMax: 20_000 })
  const kill = (processId: string) => database.sql`update processes set heartbeat_at = now() - interval '2 minutes' where id = ${processId}`

  const ledgerOf = (tenantId: string) => database.sql`
    select day::text, agent_id, key_prefix, user_id, model, upstream, requests, unpriced, estimated, input_tokens, output_tokens, cost_nano
    from cost_ledger where tenant_id = ${tenantId} order by 1, 2, 3, 4, 5, 6`
  /** What the ledger must hold: the sums of the rows, added up by other means. */
  const sumsOfRows = (tenantId: string) => database.sql`
    select to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD') as day, coalesce(agent_id, '') as agent_id, coalesce(key_prefix, '') as key_prefix,
      coalesce(user_id, '') as user_id, coalesce(model, '') as model, coalesce(upstream, '') as upstream, count(*) as requests,
      sum(case when cost_usd is null then 1 else 0 end) as unpriced, sum(case when (usage->'estimated')::boolean then 1 else 0 end) as estimated,
      sum((usage->>'input_tokens')::int) as input_tokens, sum((usage->>'output_tokens')::int) as output_tokens,
      trunc(coalesce(sum(cost_usd), 0) * 1e9) as cost_nano
    from audit_entries where tenant_id = ${tenantId} and kind = 'exchange' and usage is not null group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6`
  const asText = (rows: readonly object[]): string[] => rows.map((row) => JSON.stringify(row))

  async function assertSettled(tenantId: string, budgets: readonly Budget[]): Promise<void> {
    assert.deepEqual(asText(await ledgerOf(tenantId)), asText(await sumsOfRows(tenantId)))
    for (const { id } of budgets) {
      const held = await database.sql`
        select to_char(starts_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as window, spent, reserved from budget_windows where budget_id = ${id} order by 1`
      const charged = await database.sql`
        select c.value->>'window' as window, sum((c.value->>'amount')::bigint) as spent, '0' as reserved
        from audit_entries, jsonb_array_elements(budgets) as c where tenant_id = ${tenantId} and c.value->>'budget_id' = ${id} group by 1 order by 1`
      assert.deepEqual(asText(held.filter(({ spent, reserved }) => spent !== '0' || reserved !== '0')), asText(charged))
    }
    assert.equal((await database.sql`select from reservations where budget_id in ${database.sql(budgets.map(({ id }) => id))}`).length, 0)
  }

  test(`${engine}: after any mix of calls from two processes, sent twice, lost on the way and failed, all sums are those of the rows, to the nano-dollar`, async () => {
    const random = randomOf(7)
    const one = <T>(list: readonly T[]): T => list[random(list.length)]
    const { tenantId, budgets } = await tenantWith(
      database,
      { unit: 'usd', amount: 10 ** 15 },
      { amount: 10 ** 15, window: 'hour' },
      { amount: 10 ** 15, window: 'week', mode: 'soft' },
      { amount: 10 ** 15, unit: 'usd', window: 'day', mode: 'soft' },
    )
    // Of some statements the answer is lost, after or before the database took them; and some meet another one halfway.
    const flaky =
      (db: One): NonNullable<LogOptions['run']> =>
      async (statement) => {
        const luck = random(12)
        if (luck === 0) throw Object.assign(new Error('gone'), { code: 'ECONNRESET' })
        if (luck === 1) throw Object.assign(new Error('deadlock'), { code: '40P01' })
        const rows = await runPrepared(db, statement)
        if (luck === 2) throw Object.assign(new Error('gone'), { code: 'CONNECTION_CLOSED' })
        return rows
      }
    const processes = [database, other].map((db, i) => ({ log: logOn(db, `proc_${i}`, { run: flaky(db) }), budgets: budgetsOn(db, `proc_${i}`) }))
    const calls = Array.from({ length: 400 }, () => {
      const timestamp = new Date(ARRIVED + random(9 * 24) * 3_600_000).toISOString()
      const nano = one([null, 0, 1, 12_345, 999_999_999, 7_000_000_001])
      const tokens = random(5_000)
      return callOf(tenantId, budgets.slice(0, random(5)), nano, tokens, {
        timestamp,
        user_id: one([null, 'ann', 'bob']),
        agent_id: one([null, 'agent_1']),
        model: one([null, 'm', 'n']),
        upstream: one(['u', 'v']),
        ...(random(8) === 0
          ? { usage: null, cost_usd: null, budgets: [] }
          : random(5) === 0
            ? { usage: { input_tokens: tokens, output_tokens: 3, estimated: true } }
            : {}),
      })
    })
    // Who is refused meanwhile is told so, and its row is still owed.
    const closed = (log: (typeof processes)[number]['log'], entry: AuditEntry): Promise<void> => log.close(entry).catch(() => {})
    await Promise.all(
      calls.map(async (entry, i) => {
        const { log, budgets: own } = processes[i % 2]
        const need = { auditId: entry.audit_id, budgets: budgets.slice(0, 2), nano: 10, tokens: 10, arrivedAt: Date.parse(entry.timestamp) }
        if (i % 3 === 0) await own.reserve(need)
        if (i % 2 === 0) await log.open({ ...entry, outcome: 'unknown' }).catch(() => {})
        await closed(log, entry)
        if (i % 5 === 0) await Promise.all(processes.map((process) => closed(process.log, { ...entry })))
        if (i % 7 === 0) await closed(processes[(i + 1) % 2].log, { ...entry, outcome: 'failed', reason: 'unavailable', http_status: 503 })
      }),
    )
    await Promise.all(processes.map(({ log }) => log.stop(20_000)))
    const [{ rows }] = await database.sql`select count(*)::int as rows from audit_entries where tenant_id = ${tenantId} and kind = 'exchange'`
    assert.equal(rows, 400)
    await assertSettled(tenantId, budgets)
  })

  test(`${engine}: a row that says what became of its call stays as it is and is charged once, whatever comes after it`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 1_000 })
    const log = logOn(database, 'proc_1')
    const entry = callOf(tenantId, budgets, 5, 10)
    await log.close(entry)
    await log.close({ ...entry, outcome: 'unknown', cost_usd: '1' })
    await logOn(other, 'proc_2').close({ ...entry, outcome: 'failed', reason: 'unavailable', http_status: 503 })
    const row = await findEntry(database.db, tenantId, entry.audit_id)
    assert.deepEqual([row?.outcome, row?.http_status, row?.budgets, row?.cost_usd], ['completed', 200, entry.budgets, '0.000000005'])
    assert.deepEqual(await standingOf(database, budgets[0]), { spent: 10, reserved: 0 })
    await assertSettled(tenantId, budgets)
  })

  test(`${engine}: what a dead process left is charged as its records expected, what it had only reserved is free, and living calls keep theirs`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 1_000 }, { amount: 1_000, unit: 'usd', window: 'day' })
    const [alive, dead] = [newId('proc'), newId('proc')]
    const heartbeats = await Promise.all([alive, dead].map((id) => registerProcess(database, { id, version: '1' })))
    const at = async (processId: string, opened: boolean): Promise<AuditEntry> => {
      const entry = callOf(tenantId, budgets, 30, 20, { outcome: 'unknown' })
      await budgetsOn(database, processId).reserve({ auditId: entry.audit_id, budgets, nano: 30, tokens: 20, arrivedAt: ARRIVED })
      if (opened) await logOn(database, processId).open(entry)
      return entry
    }
    const living = [await at(alive, true), await at(alive, false)]
    const lost = [await at(dead, true), await at(dead, true), await at(dead, false)]
    assert.deepEqual(await standingOf(database, budgets[0]), { spent: 0, reserved: 100 })
    await kill(dead)
    const sweepers = [logOn(database, alive), logOn(other, alive)]
    const swept = await Promise.all(sweepers.map((log) => log.sweep()))
    assert.equal(swept[0] + swept[1], 2)
    assert.deepEqual(await standingOf(database, budgets[0]), { spent: 40, reserved: 40 })
    assert.deepEqual(await standingOf(database, budgets[1]), { spent: 60, reserved: 60 })
    assert.equal((await findEntry(database.db, tenantId, lost[0].audit_id))?.outcome, 'unknown')
    assert.equal(await findEntry(database.db, tenantId, lost[2].audit_id), undefined)
    // It was only slow, and closes what it believes to be its own.
    await logOn(other, dead).close({ ...lost[0], outcome: 'completed', budgets: chargesOf(budgets, { nano: 1, tokens: 1 }, ARRIVED) })
    assert.equal((await findEntry(database.db, tenantId, lost[0].audit_id))?.outcome, 'completed', 'what nobody knew is written over by what is known')
    assert.deepEqual(await standingOf(database, budgets[0]), { spent: 21, reserved: 40 }, 'and what had been charged for it is given back')
    for (const entry of living) await logOn(database, alive).close({ ...entry, outcome: 'completed' })
    await assertSettled(tenantId, budgets)
    await Promise.all(heartbeats.map((heartbeat) => heartbeat.close()))
  })

  test(`${engine}: each threshold of a window is crossed once, whoever crosses it, and is on record with the call that did`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 100, mode: 'soft', window: 'hour' })
    const crossings: BudgetCrossing[] = []
    const logs = [database, other].map((one, i) => logOn(one, `proc_${i}`, { onCrossing: (crossing) => crossings.push(crossing), now: () => ARRIVED + i }))
    await Promise.all(Array.from({ length: 120 }, (_, i) => logs[i % 2].close(callOf(tenantId, budgets, 0, 1))))
    const next = new Date(ARRIVED + 3_600_000).toISOString()
    await logs[0].close(callOf(tenantId, budgets, 0, 49, { timestamp: next }))
    await logs[0].close(callOf(tenantId, budgets, 0, 51, { timestamp: next }))
    assert.deepEqual(
      crossings.map(({ window, percent }) => [window, percent]),
      [...[50, 80, 100].map((percent) => [NOON, percent]), ...[50, 80, 100].map((percent) => [next, percent])],
    )
    const [first] = crossings
    assert.ok(first.spent >= 50)
    assert.deepEqual({ ...first, spent: 0 }, { tenantId, budgetId: budgets[0].id, percent: 50, window: NOON, spent: 0, amount: 100, unit: 'tokens' })
    const { entries } = await listEntries(database.db, tenantId, { kind: 'change' }, { limit: 10, offset: 0, after: null })
    const told = entries.map(({ reason, metadata }) => `${metadata.window} ${metadata.percent} ${reason}`).sort()
    assert.deepEqual(told, [
      `${NOON} 100 budget.exceeded`,
      `${NOON} 50 budget.threshold`,
      `${NOON} 80 budget.threshold`,
      `${next} 100 budget.exceeded`,
      `${next} 50 budget.threshold`,
      `${next} 80 budget.threshold`,
    ])
    for (const { audit_id, metadata } of entries) {
      assert.match(audit_id, /^aud_[0-9a-z]{26}$/)
      assert.deepEqual([metadata.actor, metadata.subject], ['system', budgets[0].id])
    }
  })

  test(`${engine}: of a budget for nothing everything is spent with the first token`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 0 })
    const crossings: number[] = []
    const log = logOn(database, 'proc_1', { onCrossing: ({ percent }) => crossings.push(percent) })
    const free = callOf(tenantId, budgets, 0, 0)
    await budgetsOn(database, 'proc_1').reserve({ auditId: free.audit_id, budgets, nano: 0, tokens: 0, arrivedAt: ARRIVED })
    await log.close(free)
    assert.deepEqual(crossings, [], 'a call for nothing spends nothing')
    for (let i = 0; i < 2; i++) await log.close(callOf(tenantId, budgets, 0, 1))
    assert.deepEqual(crossings, [50, 80, 100])
  })

  test(`${engine}: who hears of a crossing cannot undo the row by failing`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 1, mode: 'soft' })
    const reported: unknown[] = []
    const broken = (): never => {
      throw new Error('nobody listens')
    }
    const entry = callOf(tenantId, budgets, 0, 1)
    await logOn(database, 'proc_1', { onCrossing: broken, report: (error) => reported.push(error) }).close(entry)
    assert.equal(reported.length, 1)
    assert.ok(await findEntry(database.db, tenantId, entry.audit_id))
  })

  test(`${engine}: a budget that was deleted does not come back and breaks nothing, and the sweep takes what is left of it`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 1_000 }, { amount: 1_000 })
    const log = logOn(database, 'proc_1')
    const entries = [
      callOf(tenantId, budgets, 1, 10),
      callOf(tenantId, budgets, 1, 10),
      callOf(tenantId, [...budgets, { ...budgets[0], id: 'budget_never_was' }], 1, 10),
    ]
    for (const { audit_id: auditId } of entries.slice(1)) {
      await budgetsOn(database, 'proc_1').reserve({ auditId, budgets, nano: 1, tokens: 10, arrivedAt: ARRIVED })
    }
    await log.close(entries[0])
    await database.sql`delete from budgets where id = ${budgets[0].id}`
    await Promise.all(entries.slice(1).map((entry) => log.close(entry)))
    assert.equal((await database.sql`select from budgets where id in ${database.sql([budgets[0].id, 'budget_never_was'])}`).length, 0)
    const left = await database.sql`select budget_id, spent::int from budget_windows where budget_id in ${database.sql([budgets[0].id, 'budget_never_was'])}`
    assert.deepEqual(asText(left), asText([{ budget_id: budgets[0].id, spent: 10 }]))
    await log.sweep()
    assert.equal((await database.sql`select from budget_windows where budget_id in ${database.sql([budgets[0].id, 'budget_never_was'])}`).length, 0)
    assert.deepEqual(await standingOf(database, budgets[1]), { spent: 30, reserved: 0 })
    await assertSettled(tenantId, [budgets[1]])
  })

  test(`${engine}: a count that is none, repeated, keeps no row from being written`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 1_000, mode: 'soft' })
    const log = logOn(database, 'proc_1')
    const absurd = () =>
      callOf(tenantId, budgets, null, Number.MAX_SAFE_INTEGER, { usage: { input_tokens: Number.MAX_SAFE_INTEGER, output_tokens: Number.MAX_SAFE_INTEGER } })
    await Promise.all(Array.from({ length: 1_100 }, () => log.close(absurd())))
    const { total } = await listEntries(database.db, tenantId, { kind: 'exchange' }, { limit: 1, offset: 0, after: null })
    assert.equal(total, 1_100)
  })
})
