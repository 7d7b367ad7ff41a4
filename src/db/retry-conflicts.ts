/** Work that the database undid because it met other work halfway: done again, it succeeds. */
import { databaseErrorCode } from './unavailable.ts'

// https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization_failure, deadlock_detected
const CODES = new Set(['40001', '40P01'])
const TRIES_MAX = 5

/** True where the database asks for the same statement or transaction once more. Nothing of it was kept. */
export const isConflict = (error: unknown): boolean => CODES.has(databaseErrorCode(error) ?? '')

/** Does the work again, a few times, as long as the database undoes it. Rejects with what the last try rejected with. */
export async function retryConflicts<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries >= TRIES_MAX || !isConflict(error)) throw error
    }
  }
}
