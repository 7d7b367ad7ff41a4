/** An approval of which nothing came can be used again, also where the database did not tell that it was used. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Db } from '../../src/db/connect.ts'
import { eq, sql } from '../../src/db/drizzle.ts'
import { escalations as table } from '../../src/db/schema.ts'
import type { HeldCall } from '../../src/escalations/held-call.ts'
import { useApproval } from '../../src/escalations/use.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { again, escalationsOn, heldCall, newTenant } from './held-calls.ts'

const gone = (): Error => Object.assign(new Error('gone'), { code: 'CONNECTION_CLOSED' })

forEachEngine((engine, open) => {
  let database: TestDatabase
  let db: Db
  let held: ReturnType<typeof escalationsOn>
  let tenantId: string
  before(async () => {
    database = await open()
    db = database.db
    held = escalationsOn(db)
    tenantId = await newTenant(db)
  })
  after(() => database.drop())

  async function approved(call: HeldCall): Promise<string> {
    const { id } = await held.ask(call)
    await db.update(table).set({ status: 'approved', content: null, decidedAt: sql`now()`, decidedBy: 'admin' }).where(eq(table.id, id!))
    return id!
  }
  const usedBy = async (id: string): Promise<string | null> => (await db.select().from(table).where(eq(table.id, id)))[0]!.usedBy

  test(`${engine}: where the answer is lost the call fails, and the approval is given back, at a later attempt too`, async () => {
    const call = heldCall(tenantId)
    const id = await approved(call)
    let updates = 0
    const lossy = new Proxy(db, {
      get: (real, name) => (name === 'update' && updates++ < 2 ? losing(real, updates === 1) : Reflect.get(real, name)),
    })
    const store = escalationsOn(lossy)
    await assert.rejects(store.use(id, call), { reason: 'unavailable' })
    await until(() => updates === 3, 'a third attempt')
    await until(async () => (await usedBy(id)) === null, 'it to be given back')
    assert.equal((await held.use(id, again(call))).why, null)
  })

  test(`${engine}: while the database is away it stays used, and that is told`, async () => {
    const call = heldCall(tenantId)
    const id = await approved(call)
    assert.equal((await held.use(id, call)).why, null)
    const told: unknown[] = []
    const away = new Proxy(db, { get: (real, name) => (name === 'update' ? losing(real, false) : Reflect.get(real, name)) })
    await escalationsOn(away, { report: (error) => void told.push(error), giveBackAfterMs: [0, 1] }).giveBack(id, call)
    assert.deepEqual([await usedBy(id), told.length], [call.auditId, 1])
  })

  test(`${engine}: of others' uses nothing is given back`, async () => {
    const call = heldCall(tenantId)
    const id = await approved(call)
    const user = again(call)
    await held.use(id, user)
    await held.giveBack(id, call)
    await held.giveBack(id, { ...user, tenantId: await newTenant(db) })
    assert.equal(await usedBy(id), user.auditId)
  })

  if (engine === 'postgres')
    test('a use that is being committed is waited for, and given back', async () => {
      const call = heldCall(tenantId)
      const id = await approved(call)
      const { promise: isFree, resolve: free } = Promise.withResolvers<void>()
      const { promise: isLocked, resolve: locked } = Promise.withResolvers<void>()
      const holding = db.transaction(async (tx) => {
        await tx.execute(sql`select 1 from escalations where id = ${id} for update`)
        locked()
        await isFree
      })
      await isLocked
      const waiting = async (): Promise<number> => (await database.sql`select 1 from pg_locks where not granted`).length
      const using = useApproval(db, id, call)
      await until(async () => (await waiting()) === 1, 'it to wait for the row')
      const given = held.giveBack(id, call)
      await until(async () => (await waiting()) === 2, 'both to wait for the row')
      free()
      await holding
      assert.equal((await using).why, null)
      await given
      assert.equal(await usedBy(id), null)
    })
})

/** Updates whose answer is lost, or that never arrive. */
const losing = (db: Db, arrives: boolean) => (what: typeof table) => ({
  set: (values: object) => ({
    where(condition: ReturnType<typeof eq>) {
      if (!arrives) return Promise.reject(gone())
      return {
        async returning(): Promise<never> {
          await db.update(what).set(values).where(condition)
          throw gone()
        },
      }
    },
  }),
})
