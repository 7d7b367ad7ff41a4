/** Budgets of calls: which ones a call is charged to, from memory, and what it reserves of the hard ones, in the database. */
import type { Database } from '../db/connect.ts'
import { eq } from '../db/drizzle.ts'
import { budgets as budgetRows } from '../db/schema.ts'
import { within } from '../db/unavailable.ts'
import { Failure } from '../errors.ts'
import type { Budget } from './budget.ts'
import { createReservations, type Exhausted, type Need, type Reservation } from './reservations.ts'
import { BUDGETS_PER_TENANT_MAX } from './store.ts'

export type { Budget, Exhausted, Reservation }

/** Whose budgets a call is charged to, beside its user's. */
export interface Payer {
  tenantId: string
  agentId: string | null
  keyPrefix: string
  /** All the keys of its line, its own among them, where it was rotated: a budget of one of them is a budget of all. */
  line?: readonly string[] | undefined
}

export interface Budgets {
  /**
   * The budgets a call is charged to, also those of the user it names. Answers at once for tenants it knows. Throws, or rejects with,
   * Failure('unavailable') where they cannot be had: an outage is never "no budget".
   */
  of(payer: Payer, user: string | null): readonly Budget[] | Promise<readonly Budget[]>
  /** Reads a tenant's budgets again when they are next used; null means every tenant's. Call it for changes of kind 'budgets'. */
  forget(tenantId: string | null): void
  /**
   * Reserves on all budgets, which are hard ones, or on none: what is spent, what is reserved and what is asked for together are at most each one's amount.
   * Rejects with Failure('unavailable') when the database is away or takes too long; nothing stays reserved then.
   */
  reserve(need: Need): Promise<Reservation | Exhausted>
  /** Gives back what could not be given back before. */
  close(): Promise<void>
}

export interface BudgetOptions {
  database: Pick<Database, 'db' | 'sql'>
  processId: string
  /** False: hard budgets are counted as soft ones are, and refuse nothing. */
  enforce: boolean
  report: (error: unknown) => void
  reserveMsMax?: number
}

const TENANTS_MAX = 10_000
const QUERY_MS = 5_000
const NONE: readonly Budget[] = []

/** By whom it is for: `key ef_live_abcdefgh`. */
type OfTenant = ReadonlyMap<string, readonly Budget[]>

export function createBudgets({ database, processId, enforce, report, reserveMsMax }: BudgetOptions): Budgets {
  const { db, sql } = database
  const reservations = createReservations({ sql, processId, report, reserveMsMax })
  const tenants = new Map<string, OfTenant>()
  const lookups = new Map<string, Promise<OfTenant>>()
  // What was read before a change must not be kept after it.
  let generation = 0

  function load(tenantId: string): Promise<OfTenant> {
    const pending = lookups.get(tenantId)
    if (pending) return pending
    const lookup = read(tenantId).finally(() => {
      if (lookups.get(tenantId) === lookup) lookups.delete(tenantId)
    })
    lookups.set(tenantId, lookup)
    return lookup
  }

  async function read(tenantId: string): Promise<OfTenant> {
    const begunIn = generation
    const rows = await rowsOf(tenantId)
    const found = rows.map((row): Budget => ({ ...row, mode: enforce ? row.mode : 'soft' }))
    const known = Map.groupBy(found, ({ scope, scopeId }) => `${scope} ${scopeId}`)
    if (generation !== begunIn) return known
    if (tenants.size >= TENANTS_MAX) for (const oldest of tenants.keys()) if (tenants.delete(oldest)) break
    tenants.set(tenantId, known)
    return known
  }

  async function rowsOf(tenantId: string) {
    try {
      return await within(QUERY_MS, db.select().from(budgetRows).where(eq(budgetRows.tenantId, tenantId)).limit(BUDGETS_PER_TENANT_MAX))
    } catch (error) {
      throw new Failure('unavailable', error)
    }
  }

  return {
    of(payer, user) {
      const known = tenants.get(payer.tenantId)
      return known ? fitting(known, payer, user) : load(payer.tenantId).then((read) => fitting(read, payer, user))
    },
    forget(tenantId) {
      generation++
      lookups.clear()
      if (tenantId === null) tenants.clear()
      else tenants.delete(tenantId)
    },
    reserve: (need) => reservations.reserve(need),
    close: () => reservations.close(),
  }
}

function fitting(known: OfTenant, { tenantId, agentId, keyPrefix, line = [keyPrefix] }: Payer, user: string | null): readonly Budget[] {
  if (known.size === 0) return NONE
  const keys = line.map((prefix) => `key ${prefix}`)
  const names = [`tenant ${tenantId}`, ...keys, agentId !== null && `agent ${agentId}`, user !== null && `user ${user}`]
  return names.flatMap((name) => (name === false ? NONE : (known.get(name) ?? NONE)))
}
