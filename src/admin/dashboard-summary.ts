/** What the first page of the dashboard shows, in one answer. */
import { z } from 'zod'
import { newestEntries, RECENT_MAX, recentFigures } from '../audit/recent.ts'
import { auditStats } from '../audit/stats.ts'
import { listCosts } from '../budgets/costs.ts'
import { inArray } from '../db/drizzle.ts'
import { rules } from '../db/schema.ts'
import { listEscalations } from '../escalations/decisions.ts'
import { counts, entry } from './audit.ts'
import { may } from './credentials.ts'
import type { AdminParts } from './parts.ts'
import { type Asked, type Route, route } from './route.ts'
import { timestamp, wholeNumber } from './shapes.ts'

export interface SummaryParts {
  /** Calls under way in this process; null where others serve them. */
  openCalls(): number | null
}

const MINUTES = 60
const MINUTES_MAX = 1_440
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const NEWEST_MAX = 10
/** Whoever looks asks every other second, and however many look, the database is asked once in this time. */
const KEPT_MS = 1_000
const KEPT_MAX = 200

const quantiles = z.strictObject({ p50: z.number(), p95: z.number(), p99: z.number() }).nullable()
const summary = z.strictObject({
  period: z.strictObject({ from: timestamp, to: timestamp }),
  totals: z.strictObject(counts),
  block_rate: z.number().min(0).max(1).meta({ description: 'Blocked ÷ judged.' }),
  error_rate: z.number().min(0).max(1).meta({ description: 'Answers of 5xx ÷ all, of those that were sampled.' }),
  latency_ms: quantiles,
  overhead_ms: quantiles.meta({ description: 'The share of Earthflow itself.' }),
  sampled: z
    .number()
    .int()
    .meta({ description: `What error_rate and the times were computed from: all of the period, or the newest ${RECENT_MAX}.` }),
  today: z
    .strictObject({ requests: z.number().int(), input_tokens: z.number().int(), output_tokens: z.number().int(), cost_usd: z.string() })
    .meta({ description: 'Of the day in UTC.' }),
  top_triggered_rules: z.array(z.strictObject({ rule_id: z.string(), name: z.string().nullable(), count: z.number().int() })),
  escalations_pending: z.number().int(),
  open_calls: z
    .number()
    .int()
    .nullable()
    .meta({ description: 'Under way in this process, of all tenants. Null for one tenant, and where other processes serve.' }),
  newest: z.array(entry).nullable().meta({ description: 'Null for whoever may not read the audit log.' }),
})
type Summary = z.input<typeof summary>

export function summaryRoutes({ db, now, openCalls }: AdminParts): Route[] {
  const kept = new Map<string, { at: number; answer: Promise<Summary> }>()

  return [
    route({
      method: 'GET',
      path: '/v1/dashboard/summary',
      scope: 'stats:read',
      tenant: 'optional',
      summary: 'What happens now: calls of the last minutes by what became of them, how long they took, what today cost, what waits, and the newest calls.',
      query: z.strictObject({ minutes: wholeNumber(1, MINUTES_MAX).default(MINUTES) }),
      answer: summary,
      run(asked) {
        const mayRead = may(asked.actor, 'audit:read')
        const name = JSON.stringify([asked.tenantId, asked.query.minutes, mayRead])
        const at = now()
        const known = kept.get(name)
        if (known && at - known.at < KEPT_MS) return known.answer
        const answer = summarise(asked, at, mayRead)
        // The oldest goes first; what failed is not kept.
        kept.delete(name)
        if (kept.size >= KEPT_MAX) for (const oldest of kept.keys()) if (kept.delete(oldest)) break
        kept.set(name, { at, answer })
        answer.catch(() => kept.delete(name))
        return answer
      },
    }),
  ]

  async function summarise(
    { tenantId, query: { minutes } }: Pick<Asked<unknown, { minutes: number }, unknown>, 'tenantId' | 'query'>,
    at: number,
    mayRead: boolean,
  ): Promise<Summary> {
    const from = new Date(at - minutes * MINUTE_MS)
    const to = new Date(at)
    const stats = await auditStats(db, tenantId, { from, to, groupBy: 'day' })
    const recent = await recentFigures(db, tenantId, from)
    const { totals: costs } = await listCosts(db, tenantId, { from: dayOf(at), to: dayOf(at + DAY_MS), groupBy: ['day'], limit: 1, offset: 0 })
    const { total: pending } = await listEscalations(db, tenantId, { status: 'pending', limit: 1, offset: 0 })
    const names = await namesOf(stats.top_triggered_rules.map(({ rule_id }) => rule_id))
    return {
      period: { from: from.toISOString(), to: to.toISOString() },
      totals: stats.totals,
      block_rate: stats.block_rate,
      ...recent,
      today: { requests: costs.requests, input_tokens: costs.input_tokens, output_tokens: costs.output_tokens, cost_usd: costs.cost_usd },
      top_triggered_rules: stats.top_triggered_rules.map((one) => ({ ...one, name: names.get(one.rule_id) ?? null })),
      escalations_pending: pending,
      open_calls: tenantId === null ? openCalls() : null,
      newest: mayRead ? await newestEntries(db, tenantId, from, NEWEST_MAX) : null,
    }
  }

  /** Rules that are gone have none. */
  async function namesOf(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (ids.length === 0) return new Map()
    const rows = await db
      .select({ id: rules.id, name: rules.name })
      .from(rules)
      .where(inArray(rules.id, [...ids]))
    return new Map(rows.map(({ id, name }) => [id, name]))
  }
}

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
