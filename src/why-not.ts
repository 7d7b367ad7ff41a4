import { isUnavailable } from './db/unavailable.ts'

/** Why Earthflow cannot start: which of the known causes it is, in words for whoever starts the program. */
export function whyNot(error: unknown, port: number): string {
  const code = codeOf(error)
  if (code === 'EADDRINUSE') return `port ${port} is in use; set EARTHFLOW_PORT to another.`
  if (code === 'EACCES') return `port ${port} may not be opened by this user; set EARTHFLOW_PORT to one above 1023.`
  if (isUnavailable(error)) return 'the database does not answer; check DATABASE_URL or POSTGRES_HOST.'
  if (code?.startsWith('28')) return 'the database refuses the role or its password; check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.'
  if (code === '3D000') return 'the database server has no such database; create it, or correct DATABASE_URL or POSTGRES_DB.'
  if (code?.startsWith('ERR_OSSL') || code?.startsWith('ERR_SSL')) return 'TLS_CERT_PATH and TLS_KEY_PATH hold no certificate and key that fit together.'
  // A driver's message may hold what it was given.
  return error instanceof Error && code === undefined ? error.message : `for a cause the log describes${code === undefined ? '' : ` (${code})`}.`
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  return 'code' in error && typeof error.code === 'string' ? error.code : codeOf(error.cause)
}
