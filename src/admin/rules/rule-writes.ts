/** How the routes write rules: in whose name, and without leaving anything where it is only tried. */
import type { Db, Tx } from '../../db/connect.ts'
import type { Writing } from '../../rules/store.ts'
import type { AdminParts } from '../parts.ts'
import { type Actor, nameOf } from '../route.ts'

export const writingBy =
  ({ now }: Pick<AdminParts, 'now'>) =>
  (actor: Actor, { expected_version }: { expected_version?: number | undefined }): Writing => ({
    createdBy: nameOf(actor),
    at: new Date(now()),
    expectedVersion: expected_version,
  })

/** Carries the result out of a transaction that is then rolled back. */
class Rehearsed extends Error {
  readonly result: unknown
  constructor(result: unknown) {
    super('rolled back on purpose')
    this.result = result
  }
}

/** Does the work as it would be done, answers what came of it, and leaves nothing of it in the database. Throws what the work throws. */
export async function rehearse<Result>(db: Db, work: (tx: Tx) => Promise<Result>): Promise<Result> {
  try {
    return await db.transaction(async (tx): Promise<never> => {
      throw new Rehearsed(await work(tx))
    })
  } catch (error) {
    if (error instanceof Rehearsed) return error.result as Result
    throw error
  }
}
