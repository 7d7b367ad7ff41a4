/** Entries of every kind and size that a log may hold, from a seed. */
import type { AuditEntry } from '../../src/audit/entry.ts'
import { emptyEntry } from '../../src/audit/entry.ts'

export type Random = () => number

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const below = (random: Random, count: number): number => Math.floor(random() * count)

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)]!
}

const texts = ['', 'plain', 'ümläut', '日本語', 'a "quoted" \\ one', 'line\nfeed', '🙂', '</script>', '\u2028']
const names = ['team', 'project', 'a b', 'ключ', 'x.y', '__proto__x', '9', '10']
const outcomes = ['completed', 'completed', 'completed', 'refused', 'cancelled', 'failed', 'cut_by_drain'] as const

/** An exchange of a tenant. `at` is milliseconds since 1970. */
export function randomExchange(random: Random, tenantId: string, at: number): AuditEntry {
  const some = <T>(value: T): T | null => (random() < 0.7 ? value : null)
  const amount = below(random, 5_000)
  return {
    ...emptyEntry({ at, kind: 'change', reason: '' }),
    kind: 'exchange',
    tenant_id: tenantId,
    reason: random() < 0.2 ? 'upstream_timeout' : null,
    agent_id: some('agt_1'),
    key_prefix: some('efk_abcd'),
    user_id: some(`user-${below(random, 20)}@example.com`),
    status: pick(random, ['ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK'] as const),
    outcome: pick(random, outcomes),
    dialect: some('openai-chat'),
    endpoint: some('/v1/chat/completions'),
    model: some(pick(random, ['gpt-4o', 'claude-x', 'gemini-y'])),
    upstream: some('provider'),
    attempts: Array.from({ length: below(random, 3) }, () => ({
      upstream: 'provider',
      status: some(200),
      error: some('ECONNREFUSED'),
      ms: below(random, 900),
    })),
    stream: random() < 0.5,
    rules_evaluated: below(random, 40),
    rules_triggered: Array.from({ length: below(random, 3) }, (_, i) => `rul_${i}`),
    findings: Array.from({ length: below(random, 3) }, (_, i) => ({
      rule_id: `rul_${i}`,
      action: 'warn',
      mode: 'enforce' as const,
      on: 'call' as const,
      count: 1 + below(random, 9),
      where: [`messages[${i}].content`],
    })),
    policy_version: some(below(random, 100)),
    metadata: Object.fromEntries(
      Array.from({ length: below(random, 4) }, () => [pick(random, names), pick<unknown>(random, [...texts, 0.1, 1e21, -5, true, null, [1, 'a']])]),
    ),
    prompt_hash: some(`sha256:${below(random, 1e9).toString(16).padStart(64, '0')}`),
    forwarded_hash: some(`sha256:${below(random, 1e9).toString(16).padStart(64, '1')}`),
    uninspected_bytes: random() < 0.9 ? 0 : below(random, 2 ** 40),
    degraded: random() < 0.1 ? 'rate_limits' : null,
    usage: some({ input_tokens: amount, output_tokens: below(random, 900) }) as AuditEntry['usage'],
    cost_usd: some(pick(random, ['0', '0.000000001', '1.5', '0.00123', '12', (amount / 7).toFixed(9)])),
    budgets: random() < 0.2 ? [{ budget_id: 'bud_1', window: '2026-01-01T00:00:00.000Z', amount }] : [],
    latency_ms: some(below(random, 9_000)),
    upstream_ms: some(below(random, 9_000)),
    first_byte_ms: some(below(random, 900)),
    overhead_ms: some(below(random, 9)),
    http_status: some(200),
    // Some had to do with an approval; whether they did costs no number, so that a seed makes the same log as ever.
    ...(amount % 5 === 0 && { escalation_id: 'esc_1', approved_by: amount % 2 === 0 ? 'admin' : null, held_audit_id: amount % 3 === 0 ? 'aud_1' : null }),
  }
}

/** A change, of a tenant or (null) of the installation. */
export const change = (reason: string, tenantId: string | null, metadata: Record<string, unknown>, at: number): AuditEntry => ({
  ...emptyEntry({ at, kind: 'change', reason }),
  tenant_id: tenantId,
  metadata,
})
