/** What an agent did lately, counted over its audit entries, which are the same for every process; and whether that is too much. */
import { hash } from 'node:crypto'
import type { SQL } from 'drizzle-orm'
import type { QuarantineRules } from '../call.ts'
import type { Db } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'

/** Within the window, and since the last release. */
export interface Counts {
  blocks: number
  errors: number
  /** Of the prompt that was sent most often. */
  repeats: number
  /** USD. */
  spent: number
  /** USD in an ordinary window; null where there is no telling. */
  usual: number | null
  /** When the agent was last released, in milliseconds since 1970; null: never. */
  releasedAt: number | null
}

/** At most so many of the newest calls are counted: it bounds what a look costs, however busy the agent. */
const CALLS_MAX = 100_000
/** What is usual is the average of so many windows before this one, or of the time since the first call in them. */
const WINDOWS_BEFORE = 8
/** Before it has called for as long, nothing is usual. */
const WINDOWS_BEFORE_MIN = 3
/** Whoever spends less in a window spends too little to matter. */
const SPENT_USD_MIN = 1

/** Calls without a text, such as lists of models and polls of a job, are all alike. */
const EMPTY_PROMPT = `sha256:${hash('sha256', '')}`

const isBlock = sql`status = 'BLOCK'`
/**
 * What the agent got wrong or ran into: it was refused for what it sent, the provider answered with an error, or could not answer. Not what rules stopped,
 * for which there is another threshold; not 429, whoever said it; not what Earthflow itself was unable to do.
 */
const isError = sql`status not in ('BLOCK', 'ESCALATE') and http_status is distinct from 429
  and coalesce(reason, '') not in ('unavailable', 'internal', 'quarantine', 'agent_quarantined') and (outcome = 'failed' or http_status >= 400)`
/** Only what was let in: where they are refused, client libraries try again by themselves. */
const isRepeatable = sql`status <> 'REJECTED' and prompt_hash <> ${EMPTY_PROMPT}`

/** One statement, over the partitions of the windows concerned. `at` is milliseconds since 1970. */
export async function countCalls(
  db: Db,
  tenantId: string,
  agentId: string,
  { windowSeconds, spendFactor }: Pick<QuarantineRules, 'windowSeconds' | 'spendFactor'>,
  at: number,
): Promise<Counts> {
  const windowMs = windowSeconds * 1_000
  const ago = (windows: number): SQL => sql`${new Date(at - windowMs * windows).toISOString()}::timestamptz`
  const newest = (when: SQL): SQL =>
    sql`from audit_entries where tenant_id = ${tenantId} and agent_id = ${agentId} and kind = 'exchange' and ${when} order by timestamp desc limit ${CALLS_MAX}`
  const isEarlier = sql`timestamp >= ${ago(WINDOWS_BEFORE + 1)} and timestamp < (select at from since) and cost_usd is not null`
  const [{ earlier_calls, earlier_usd, earlier_ms, released_ms, ...counts }] = await db.execute<Row>(sql`
    with since as materialized (
      select greatest(${ago(1)}, max(released_at)) as at, max(released_at) as released_at from quarantines where tenant_id = ${tenantId} and agent_id = ${agentId}
    ), lately as materialized (
      select status, outcome, reason, http_status, prompt_hash, cost_usd
      ${newest(sql`timestamp >= ${ago(1)} and timestamp >= (select at from since)`)}
    ), earlier as materialized (
      select cost_usd, timestamp ${newest(spendFactor === null ? sql`false` : isEarlier)}
    )
    select
      (select count(*) from lately where ${isBlock})::int as blocks,
      (select count(*) from lately where ${isError})::int as errors,
      (select coalesce(max(times), 0) from (select count(*) as times from lately where ${isRepeatable} group by prompt_hash) as prompts)::int as repeats,
      (select coalesce(sum(cost_usd), 0) from lately)::float8 as spent,
      (select count(*) from earlier)::int as earlier_calls,
      (select coalesce(sum(cost_usd), 0) from earlier)::float8 as earlier_usd,
      (select extract(epoch from (select at from since) - min(timestamp)) * 1000 from earlier)::float8 as earlier_ms,
      (select extract(epoch from released_at) * 1000 from since)::float8 as released_ms`)
  const isHistory = earlier_ms !== null && (earlier_ms >= windowMs * WINDOWS_BEFORE_MIN || earlier_calls >= CALLS_MAX)
  return { ...counts, usual: isHistory ? (earlier_usd * windowMs) / earlier_ms : null, releasedAt: released_ms }
}

type Row = Omit<Counts, 'usual' | 'releasedAt'> & { earlier_calls: number; earlier_usd: number; earlier_ms: number | null; released_ms: number | null }

/** Which threshold was passed, in words with figures; null: none. */
export function excessOf({ blocks, errors, repeats, spendFactor, windowSeconds }: QuarantineRules, counts: Counts): string | null {
  const tooMany = (count: number, limit: number | null, what: string): string | null =>
    limit !== null && count > limit ? `${count} calls ${what} within ${windowSeconds} s; the limit is ${limit}.` : null
  return (
    tooMany(counts.blocks, blocks, 'blocked') ??
    tooMany(counts.errors, errors, 'failed') ??
    tooMany(counts.repeats, repeats, 'with the same prompt') ??
    tooMuch(counts, spendFactor, windowSeconds)
  )
}

function tooMuch({ spent, usual }: Counts, factor: number | null, windowSeconds: number): string | null {
  if (factor === null || usual === null || spent < SPENT_USD_MIN || spent <= usual * factor) return null
  return `${spent.toFixed(2)} USD spent within ${windowSeconds} s; usual are ${usual.toFixed(2)} USD, and the limit is ${factor} times that.`
}
