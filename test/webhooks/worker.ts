/** Workers that deliver what is in a test's database to receivers on loopback. */

import { after, afterEach, before } from 'node:test'
import { eq, sql } from '../../src/db/drizzle.ts'
import { type NewEvent, tell } from '../../src/db/outbox.ts'
import { webhookDeliveries, webhookEvents, webhooks } from '../../src/db/schema.ts'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { createEgress } from '../../src/egress/dispatcher.ts'
import { newId } from '../../src/ids.ts'
import { createDeliveries, type DeliveriesOptions } from '../../src/webhooks/deliveries.ts'
import type { Disabling } from '../../src/webhooks/delivery-store.ts'
import { generateSecret } from '../../src/webhooks/secrets.ts'
import type { TestDatabase } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { type Reaction, type Receiver, startReceiver } from '../harness/receiver.ts'

/** Long pauses, so that what was tried again was brought forward. */
export const SLOW_SETTINGS = { retries: 3, backoffMs: 60_000, longRetries: true, timeoutMs: 20_000 }

export interface WorkerOptions extends Partial<Omit<DeliveriesOptions, 'settings'>> {
  settings?: Partial<DeliveriesOptions['settings']>
}

/** Secrets are in clear in its rows: the keyring has tests of its own. */
export function makeWorker(database: Pick<TestDatabase, 'db'>, { settings, ...more }: WorkerOptions = {}) {
  const recorded: Disabling[] = []
  const reported: unknown[] = []
  const measured: string[] = []
  let disabled = 0
  const worker = createDeliveries({
    database,
    egress: createEgress({ allow: parseEgressAllow('loopback') }),
    https: 'unless opened',
    secretsOf: async ({ secret, previousSecret }) => (previousSecret === null ? [secret] : [secret, previousSecret]),
    settings: { ...SLOW_SETTINGS, ...settings },
    version: '1.2.3',
    now: () => performance.now(),
    wallNow: Date.now,
    random: () => 0.5,
    record: async (_tx, what) => void recorded.push(what),
    disabled: async () => void disabled++,
    measure: ({ result }) => measured.push(result),
    report: (error) => reported.push(error),
    ...more,
  })
  return {
    ...worker,
    recorded,
    reported,
    measured,
    get disabled() {
      return disabled
    },
  }
}

export function makeRows(database: Pick<TestDatabase, 'db'>) {
  const rows = {
    /** An endpoint that is told of everything. */
    async endpoint(url: string, more: Partial<typeof webhooks.$inferInsert> = {}) {
      const [row] = await database.db
        .insert(webhooks)
        .values({ id: newId('wh'), tenantId: 't', url, events: ['*'], secret: generateSecret(), createdBy: 'test', ...more })
        .returning()
      return row!
    },
    change: (id: string, fields: Partial<typeof webhooks.$inferInsert>) => database.db.update(webhooks).set(fields).where(eq(webhooks.id, id)),
    async endpointNow(id: string) {
      const [row] = await database.db.select().from(webhooks).where(eq(webhooks.id, id))
      return row
    },
    /** Tells so many events. */
    async tell(count = 1, more: Partial<NewEvent> = {}): Promise<string[]> {
      const at = new Date().toISOString()
      const events = Array.from({ length: count }, (_, i) => {
        return { event_id: newId('evt'), type: 'BLOCK', tenant_id: 't', request_id: `req_${i}`, at, data: { audit_id: `aud_${i}` }, subject: null, ...more }
      })
      await database.db.transaction((tx) => tell(tx, events))
      return events.map(({ event_id }) => event_id)
    },
    deliveries: (webhookId?: string) =>
      database.db
        .select()
        .from(webhookDeliveries)
        .where(webhookId === undefined ? undefined : eq(webhookDeliveries.webhookId, webhookId))
        .orderBy(webhookDeliveries.id),
    events: () => database.db.select().from(webhookEvents).orderBy(webhookEvents.sequence),
    /** The states of an endpoint's deliveries, each once. */
    states: async (webhookId?: string) => [...new Set((await rows.deliveries(webhookId)).map(({ state }) => state))],
    /** Waits until all of an endpoint's are in this state, and nobody is at them. */
    until: (state: 'pending' | 'delivered' | 'dead', webhookId?: string) =>
      until(async () => {
        const all = await rows.deliveries(webhookId)
        return all.every((one) => one.state === state && one.lease === null && one.attempts.length > 0)
      }, `everything to be ${state}`),
    /** Milliseconds until it is due, by the database. */
    async dueIn(): Promise<number[]> {
      const found = await database.db.execute<{ ms: number }>(
        sql`select (extract(epoch from due_at - now()) * 1000)::float8 as ms from webhook_deliveries order by id`,
      )
      return found.map(({ ms }) => ms)
    },
    /** As if it were due. */
    bringForward: () => database.db.execute(sql`update webhook_deliveries set due_at = now() - interval '1 second' where state = 'pending'`),
    async clear() {
      for (const table of [webhooks, webhookEvents, webhookDeliveries]) await database.db.delete(table)
    },
  }
  return rows
}

/** A database for all tests of a describe, without rows at the beginning of each; workers and receivers end with the test that began them. */
export function withWorkers(open: () => Promise<TestDatabase>) {
  let opened: TestDatabase
  const workers: ReturnType<typeof makeWorker>[] = []
  const receivers: Receiver[] = []
  const database = {
    get db() {
      return opened.db
    },
    get sql() {
      return opened.sql
    },
  }
  const rows = makeRows(database)
  before(async () => {
    opened = await open()
  })
  afterEach(async () => {
    // Receivers first, so that nobody waits for those that hang.
    for (const receiver of receivers.splice(0)) receiver.close()
    for (const worker of workers.splice(0)) await worker.close()
    await rows.clear()
  })
  after(() => opened.drop())
  return {
    database,
    rows,
    started(options?: WorkerOptions) {
      const worker = makeWorker(database, options)
      workers.push(worker)
      worker.start()
      return worker
    },
    async receiverThat(react?: Reaction) {
      const receiver = await startReceiver(react)
      receivers.push(receiver)
      return receiver
    },
    /** The same database, where something is done with each statement that is executed before it is. */
    watched(onExecute: (statement: string) => unknown): Pick<TestDatabase, 'db'> {
      const db = new Proxy(opened.db, {
        get(target, name) {
          const member = Reflect.get(target, name) as unknown
          if (typeof member !== 'function') return member
          if (name !== 'execute') return member.bind(target)
          return async (statement: Parameters<typeof target.execute>[0]) => {
            await onExecute(JSON.stringify(statement))
            return target.execute(statement)
          }
        },
      })
      return { db }
    },
  }
}
