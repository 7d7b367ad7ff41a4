/** `failed`: a new call would be refused. `degraded`: something is away that calls can do without, or will be told to come back for. */
export type State = 'ok' | 'degraded' | 'failed'

export interface CheckedParts {
  isDraining(): boolean
  /** Since the database was last read with success. */
  databaseSilentMs(): number
  /** How long what is loaded holds without it. */
  staleMs: number
  pendingMigrations(): Promise<number>
  /** Keys, policies and upstreams can be looked up. */
  isLoaded(): boolean
  auditLog: { readonly isAway: boolean; readonly backlog: number }
  /** Bytes on the disk, and how many there may be. */
  spool: { readonly usedBytes: number; readonly capacityBytes: number; measure(): Promise<void> }
  /** Of Redis; `none` where there is none. */
  limits: { readonly health: 'none' | 'ok' | 'away' }
}

export interface Check {
  state: State
  detail?: string
}

/** A database that was not heard of for this long is called away. */
const SILENT_MS = 5_000

/** Of the room that the spool has: beyond it new calls would soon be refused. */
const SPOOL_SHARE_MAX = 0.8

/** What readiness asks: failed means that a new call would be refused, degraded that something is away and calls go on, or are told to come back. */
export function createChecks({ isDraining, databaseSilentMs, staleMs, pendingMigrations, isLoaded, auditLog, spool, limits }: CheckedParts) {
  return async (): Promise<Record<string, Check>> => {
    const silentMs = databaseSilentMs()
    const isAway = silentMs > SILENT_MS
    // Without calls nobody else would see that there is room again. Where it cannot be told, what was known holds.
    await spool.measure().catch(() => {})
    const behind = isAway ? 0 : await pendingMigrations().catch(() => 0)
    return {
      accepting: isDraining() ? { state: 'failed', detail: 'draining' } : { state: 'ok' },
      database: isAway ? { state: silentMs > staleMs ? 'failed' : 'degraded', detail: `not reached for ${Math.round(silentMs / 1000)} s` } : { state: 'ok' },
      migrations: behind > 0 ? { state: 'failed', detail: `${behind} to run` } : { state: 'ok' },
      policies: isLoaded() ? { state: 'ok' } : { state: 'failed', detail: 'not loaded' },
      ...(limits.health === 'none'
        ? {}
        : { redis: limits.health === 'ok' ? { state: 'ok' } : { state: 'degraded', detail: 'away; limits are counted by each process, or calls refused' } }),
      spool:
        spool.usedBytes > SPOOL_SHARE_MAX * spool.capacityBytes
          ? { state: 'failed', detail: `${Math.round((100 * spool.usedBytes) / spool.capacityBytes)} % of its room is taken` }
          : { state: 'ok' },
      audit: { state: auditLog.isAway ? 'degraded' : 'ok', ...(auditLog.backlog > 0 ? { detail: `${auditLog.backlog} rows wait` } : {}) },
    }
  }
}
