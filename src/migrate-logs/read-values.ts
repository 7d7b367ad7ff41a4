/** Moments and durations as programs write them into logs. Null where a value is none. */

/** Numbers below are seconds since 1970, from here on milliseconds: the one until the year 5138, the other since 1973. */
const MILLISECONDS_FROM = 1e11
const MOMENT = /^(?<date>\d{4}-\d\d-\d\d)[T ](?<time>\d\d:\d\d)(?::(?<second>\d\d)(?:[.,](?<fraction>\d{1,9}))?)?\s?(?<zone>Z|[+-]\d\d(?::?\d\d)?)?$/i
const NUMBER = /^\d{1,15}(?:\.\d{1,9})?$/
const MINUTE_MS = 60_000

/** Milliseconds since 1970 of ISO 8601 (a moment without a zone is UTC on every machine), or of seconds or milliseconds since 1970. */
export function readMoment(value: unknown): number | null {
  if (typeof value === 'number') return value >= 0 && Number.isFinite(value) ? fromEpoch(value) : null
  if (typeof value !== 'string') return null
  const text = value.trim()
  if (NUMBER.test(text)) return fromEpoch(Number(text))
  const { date, time, second = '00', fraction = '', zone = 'Z' } = MOMENT.exec(text)?.groups ?? {}
  const local = `${date}T${time}:${second}.${fraction.slice(0, 3).padEnd(3, '0')}Z`
  const at = new Date(local)
  // Date takes the 30th of February for the 1st of March.
  if (Number.isNaN(at.getTime()) || at.toISOString() !== local) return null
  return at.getTime() - offsetMs(zone)
}

const fromEpoch = (value: number): number => (value < MILLISECONDS_FROM ? Math.round(value * 1000) : Math.round(value))

function offsetMs(zone: string): number {
  const [, sign, hours = '0', minutes = '0'] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * MINUTE_MS
}

const DURATION = /^(\d{1,15}(?:\.\d{1,9})?)\s*(µs|μs|us|ms|s|)$/i
const inMs: Readonly<Record<string, number>> = { µs: 0.001, μs: 0.001, us: 0.001, ms: 1, s: 1000, '': 1 }
/** What the column holds. */
const DURATION_MS_MAX = 2 ** 31 - 1

/** Whole milliseconds of a number, which counts milliseconds, or of text with a unit: `12`, `12.6 ms`, `1.5s`, `800us`. */
export function readDuration(value: unknown): number | null {
  const [, amount, unit = ''] = typeof value === 'string' ? (DURATION.exec(value.trim()) ?? []) : [null, value]
  if (amount === undefined || (typeof amount !== 'string' && typeof amount !== 'number')) return null
  const ms = Math.round(Number(amount) * (inMs[String(unit).toLowerCase()] ?? 1))
  return ms >= 0 && ms <= DURATION_MS_MAX ? ms : null
}
