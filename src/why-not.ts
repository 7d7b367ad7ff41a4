import { isUnavailable } from './db/unavailable.ts'

interface Ports {
  proxy: number
  dashboard: number
}

/** Why Earthflow cannot start: which of the known causes it is, in words for whoever starts the program. */
export function whyNot(error: unknown, ports: Ports): string {
  const code = codeOf(error)
  if (code === 'EADDRINUSE' || code === 'EACCES') {
    const [port, name] = portOf(error) === ports.dashboard ? [ports.dashboard, 'EARTHFLOW_DASHBOARD_PORT'] : [ports.proxy, 'EARTHFLOW_PORT']
    return code === 'EACCES' ? `port ${port} may not be opened by this user; set ${name} to one above 1023.` : `port ${port} is in use; set ${name} to another.`
  }
  if (isUnavailable(error)) return 'the database does not answer; check DATABASE_URL or POSTGRES_HOST.'
  if (code?.startsWith('28')) return 'the database refuses the role or its password; check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.'
  if (code === '3D000') return 'the database server has no such database; create it, or correct DATABASE_URL or POSTGRES_DB.'
  if (code?.startsWith('ERR_OSSL') || code?.startsWith('ERR_SSL')) return 'TLS_CERT_PATH and TLS_KEY_PATH hold no certificate and key that fit together.'
  // A driver's message may hold what it was given.
  return error instanceof Error && code === undefined ? error.message : `for a cause the log describes${code === undefined ? '' : ` (${code})`}.`
}

/** Of an error of a listener; undefined for any other. */
const portOf = (error: unknown): unknown => (error instanceof Error && 'port' in error ? error.port : undefined)

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  return 'code' in error && typeof error.code === 'string' ? error.code : codeOf(error.cause)
}
