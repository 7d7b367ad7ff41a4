/** Whatever a provider says, nobody waits longer for it. */
export const RETRY_AFTER_MS_MAX = 60_000

/**
 * `Retry-After` in milliseconds, from 0 to a minute: seconds, or an HTTP date (RFC 9110, section 10.2.3); 0 for anything else. `now` in milliseconds
 * since 1970.
 */
export function retryAfterMs(header: string | string[] | undefined, now: number): number {
  const text = ([header].flat()[0] ?? '').trim()
  const ms = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1_000 : /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) - now : 0
  return Number.isNaN(ms) ? 0 : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, Math.ceil(ms)))
}
