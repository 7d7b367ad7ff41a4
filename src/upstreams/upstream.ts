import type { Pool } from 'undici'
import type { Dialect } from '../dialects/dialect.ts'

/** Where a provider lives, as a call needs it: made from a row of the table. */
export interface Upstream {
  id: string
  name: string
  /** Of the base URL, without a trailing slash; null where paths are taken as they came. */
  basePath: string | null
  pool: Pool
  /** The credential of a `stored` upstream; null where none is needed. */
  credential: string | null
  /** The caller's own credential travels on, in exactly the headers its dialect uses. */
  passthrough: boolean
  /** Calls that may wait for a connection; one more is passed on to the next candidate or refused. */
  queueMax: number
}

/** The path an SDK with this base URL would call for one of our endpoints. */
export function pathOn({ basePath }: Upstream, dialect: Dialect, endpoint: string): string {
  if (basePath === null) return endpoint
  return basePath + (endpoint.startsWith(dialect.basePath) ? endpoint.slice(dialect.basePath.length) : endpoint)
}
