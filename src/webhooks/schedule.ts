/** When a delivery that failed is tried again. */

export interface ScheduleSettings {
  /** WEBHOOK_MAX_RETRIES: how many come soon. */
  retries: number
  /** WEBHOOK_RETRY_BACKOFF_MS: how long the first of them waits; each waits twice as long as the one before. */
  backoffMs: number
  /** WEBHOOK_LONG_RETRIES: whether the long ones follow. */
  longRetries: boolean
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** 75 hours in all. */
const LONG_MS = [5 * MINUTE_MS, 30 * MINUTE_MS, ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR_MS)]
/** This much sooner or later, so that what failed together does not come back together. */
const JITTER = 0.2
/** What a receiver may ask for with `Retry-After`. */
const RETRY_AFTER_MS = { least: 5_000, most: 24 * HOUR_MS }

/** The pauses before the second attempt, the third, and so on, in milliseconds. */
export function pauses({ retries, backoffMs, longRetries }: ScheduleSettings): number[] {
  const soon = Array.from({ length: retries }, (_, i) => backoffMs * 2 ** i)
  return longRetries ? [...soon, ...LONG_MS] : soon
}

/**
 * Milliseconds until the next attempt, after so many; null: there is none. `random` is in [0, 1). What the receiver asked for only ever makes it later than
 * the schedule would.
 */
export function pauseAfter(attempts: number, settings: ScheduleSettings, random: number, retryAfterMs: number | null): number | null {
  const pause = pauses(settings)[attempts - 1]
  if (pause === undefined) return null
  const jittered = pause * (1 - JITTER + 2 * JITTER * random)
  if (retryAfterMs === null) return jittered
  return Math.max(jittered, Math.min(Math.max(retryAfterMs, RETRY_AFTER_MS.least), RETRY_AFTER_MS.most))
}

/** `Retry-After` in milliseconds: whole seconds, or an HTTP date (RFC 9110, section 10.2.3); null for anything else. `now` in milliseconds since 1970. */
export function retryAfterIn(header: string | null, now: number): number | null {
  const text = header?.trim() ?? ''
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1000
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(0, at - now)
}
