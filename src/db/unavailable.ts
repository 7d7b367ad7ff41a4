/** Tells "the database is away" from "we asked nonsense", and bounds every wait for it. */

/** The database did not answer in time. */
export class DatabaseUnavailable extends Error {
  readonly code = 'DATABASE_UNAVAILABLE'
  override readonly name = 'DatabaseUnavailable'
}

/** Waits at most `ms` for the database; then rejects with DatabaseUnavailable. The statement may still take effect: give it an id that makes a repetition harmless. */
export async function within<T>(ms: number, work: PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DatabaseUnavailable(`the database did not answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}

const CLIENT_CODES = new Set([
  'DATABASE_UNAVAILABLE',
  // postgres.js
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECT_TIMEOUT',
  // the operating system
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const SERVER_CODES = new Set([
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  '57014', // query_canceled: our statement time-out
  '55P03', // lock_not_available
  '25006', // read_only_sql_transaction: a standby that was not promoted yet
  '25P03', // idle_in_transaction_session_timeout
])
const SERVER_CLASSES = new Set(['08', '53', '58']) // connection exceptions, insufficient resources (disk full, too many connections), system errors

const CAUSES_MAX = 5

function* chain(error: unknown): Generator<{ code?: unknown; syscall?: unknown; constraint_name?: unknown }> {
  for (let i = 0; i < CAUSES_MAX && typeof error === 'object' && error !== null; i++) {
    yield error
    error = (error as { cause?: unknown }).cause
  }
}

/** True where a call should be answered with 503: no connection, no answer in time, the server shutting down, full or read-only. Wrong SQL, wrong data and a refused login are not. */
export function isUnavailable(error: unknown): boolean {
  for (const { code, syscall } of chain(error)) {
    if (typeof code !== 'string') continue
    if (CLIENT_CODES.has(code) || SERVER_CODES.has(code)) return true
    if (code.length === 5 && SERVER_CLASSES.has(code.slice(0, 2))) return true
    if (syscall === 'connect') return true
  }
  return false
}

/** The code of the underlying error: all of it that may be logged, since messages of Drizzle and PostgreSQL quote parameters. */
export function databaseErrorCode(error: unknown): string | undefined {
  for (const { code } of chain(error)) if (typeof code === 'string') return code
  return undefined
}

/** The name of the unique index a statement ran into, if that is what went wrong. */
export function violatedUnique(error: unknown): string | undefined {
  for (const { code, constraint_name } of chain(error)) if (code === '23505') return String(constraint_name)
  return undefined
}
