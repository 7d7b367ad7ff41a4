/** Windows of budgets: those of the calendar, in UTC. */

export const windows = ['hour', 'day', 'week', 'month'] as const
export type Window = (typeof windows)[number]

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WEEK_MS = 7 * DAY_MS
/** 1970 began on a Thursday: the first Monday, with which ISO 8601 begins its weeks, was the fifth. */
const FIRST_MONDAY_MS = 4 * DAY_MS

/** The window that a moment (milliseconds since 1970) falls into, and the beginning of the next. */
export function windowAt(window: Window, at: number): { startsAt: Date; resetsAt: Date } {
  if (window === 'hour') return every(HOUR_MS, 0, at)
  if (window === 'day') return every(DAY_MS, 0, at)
  if (window === 'week') return every(WEEK_MS, FIRST_MONDAY_MS, at)
  const date = new Date(at)
  const first = (months: number): Date => new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months, 1))
  return { startsAt: first(0), resetsAt: first(1) }
}

function every(lengthMs: number, firstMs: number, at: number): { startsAt: Date; resetsAt: Date } {
  const start = Math.floor((at - firstMs) / lengthMs) * lengthMs + firstMs
  return { startsAt: new Date(start), resetsAt: new Date(start + lengthMs) }
}
