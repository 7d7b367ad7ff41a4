/** A server of the bench, as those who start and measure it know it. */
import type { Ground } from './ground.ts'

export interface Running {
  port: number
  /** The bearer key the load generator sends, and the headers beside the usual ones. */
  key: string
  headers: readonly string[]
  isTls: boolean
  /** The processes whose CPU time is the server's cost. */
  pids: readonly number[]
  /** Where its log lies; null where it writes none. */
  folder: string | null
  /** CPU seconds of its database so far; null where it has none, or nobody can know. */
  databaseCpuSeconds: () => Promise<number | null>
  /** How many calls it has recorded since it was started, for servers that record. */
  countRows: (() => Promise<number>) | null
  stop(): Promise<void>
}

export interface BenchServer {
  name: string
  about: string
  /** Needs a load generator that speaks TLS. */
  isTls: boolean
  /** Runs wherever the machine puts it, not on the one core. */
  isUnpinned: boolean
  /** Throws a sentence, with the end of the server's log, when it does not start. */
  start(ground: Ground): Promise<Running>
}

/** For servers that do not look at it. */
export const ANY_KEY = 'sk-bench'
/** Of a server that records nothing and has no database. */
export const keepsNothing = { key: ANY_KEY, headers: [], countRows: null, databaseCpuSeconds: async () => null } as const
