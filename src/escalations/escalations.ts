/** Calls that wait for a person: kept in the database, so that any process knows of them and none is lost with one. */
import { setTimeout as delay } from 'node:timers/promises'
import { createHeldKeys } from '../crypto/held-keys.ts'
import type { KeyProvider } from '../crypto/key-provider.ts'
import type { Db, Tx } from '../db/connect.ts'
import { isUnavailable, within } from '../db/unavailable.ts'
import { Failure } from '../errors.ts'
import { type Expired, expireLate, prune } from './expire.ts'
import type { Answer, HeldCall } from './held-call.ts'
import { findRecord, makeRecord } from './make.ts'
import { type EscalationRow, giveBack, type Status, statesOf, useApproval } from './use.ts'

export interface EscalationsOptions {
  db: Db
  masterKeys: KeyProvider
  /** Writes down, in its transaction, what the program did by itself. */
  record(tx: Tx, expired: Expired): Promise<void>
  /** A call was held, of which somebody may have to be told. */
  told(): void
  report(error: unknown): void
  /** Pauses before each attempt to give an approval back. */
  giveBackAfterMs?: readonly number[]
}

export interface Escalations {
  /**
   * Uses an approval for this very call. This and the next two throw Failure('unavailable') where the database does not answer; should the approval come to be
   * used all the same, it is given back.
   */
  use(id: string, call: HeldCall): Promise<Answer>
  /** What is known of this very call: identical ones share one record, which the first of them makes. Never lets it go on. */
  ask(call: HeldCall): Promise<Answer>
  statesOf(ids: readonly string[]): Promise<ReadonlyMap<string, Status>>
  /** Of an exchange that used an approval and has sent nothing: it can be used again. Tried a few times; while the database is away it stays used. Never rejects. */
  giveBack(id: string, owner: Pick<HeldCall, 'tenantId' | 'auditId'>): Promise<void>
  /** What a pending one says, as JSON. Throws where that is gone. */
  contentOf(tx: Tx, row: EscalationRow): Promise<string>
  /** Ends all whose time is over, announces it, and clears old rows away. Answers how many it ended. */
  expire(): Promise<number>
}

/** For all statements that a call waits for; making a record takes the longest. */
const ANSWER_MS = 15_000
const GIVE_BACK_AFTER_MS = [0, 250, 1_000, 4_000]
/** An identical call was faster, or a late record is in the way: then there is a record to find, or it is cleared away first. */
const ATTEMPTS = 3

export function createEscalations({ db, masterKeys, record, told, report, giveBackAfterMs = GIVE_BACK_AFTER_MS }: EscalationsOptions): Escalations {
  const heldKeys = createHeldKeys(db, masterKeys)

  return {
    async use(id, call) {
      const using = useApproval(db, id, call)
      try {
        return await bounded(using)
      } catch (error) {
        const giveBackToo = (): Promise<void> => giveBackPatiently(id, call)
        void using.then(giveBackToo, giveBackToo) // whatever it comes to, nothing will be sent
        throw error
      }
    },
    giveBack: giveBackPatiently,
    ask: (call) => bounded(ask(call)),
    statesOf: (ids) => bounded(statesOf(db, ids)),
    async contentOf(tx, { id, tenantId, content }) {
      if (content === null) throw new Error('What this call says is gone.')
      return heldKeys.open(tx, { id, tenantId }, content)
    },
    async expire() {
      const expired = await expireLate(db, record)
      await prune(db)
      return expired
    },
  }

  async function giveBackPatiently(id: string, owner: Pick<HeldCall, 'tenantId' | 'auditId'>): Promise<void> {
    let cause: unknown
    for (const pause of giveBackAfterMs) {
      if (pause > 0) await delay(pause, undefined, { ref: false })
      try {
        return await bounded(giveBack(db, id, owner))
      } catch (error) {
        cause = error
      }
    }
    report(cause)
  }

  async function ask(call: HeldCall): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const known = await findRecord(db, call)
      if (known) return { why: known.status, id: known.id }
      const made = await makeRecord(db, heldKeys, call)
      if (made !== 'joined') {
        if (made.why === 'pending') told()
        return made
      }
      if (attempt === ATTEMPTS) throw new Error('A call that waits for a person is neither there nor can be made.')
      await expireLate(db, record)
    }
  }
}

async function bounded<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await within(ANSWER_MS, work)
  } catch (error) {
    throw isUnavailable(error) ? new Failure('unavailable', error) : error
  }
}
