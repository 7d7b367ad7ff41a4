/** Tries rules on a text or a body, by the code that judges calls. Nothing is sent, kept or logged. */
import { z } from 'zod'
import { findTenant } from '../access/tenants.ts'
import type { Caller, ModelCall } from '../call.ts'
import { type Dialect, UnreadableCall } from '../dialects/dialect.ts'
import { createJsonReader, UnreadableJson } from '../dialects/json-reader.ts'
import { collect } from '../dialects/texts.ts'
import { Failure, Refusal } from '../errors.ts'
import { checkBudget, type RuleBudget } from '../rules/budget.ts'
import { parseRule } from '../rules/check-rule.ts'
import { compile } from '../rules/compile.ts'
import type { Span } from '../rules/match.ts'
import { pathsOf } from '../rules/places.ts'
import type { Policy } from '../rules/policy.ts'
import { redact } from '../rules/redact.ts'
import { actions, type Rule } from '../rules/rule.ts'
import { RuleError } from '../rules/rule-error.ts'
import { findVersion, type PolicyVersion } from '../rules/store.ts'
import { noTenant } from './credentials.ts'
import type { AdminParts } from './parts.ts'
import { withoutReadOnly } from './read-only.ts'
import type { Actor } from './route.ts'

const DRAFTS_MAX = 100
const SPANS_PER_RULE_MAX = 1_000
const draft = z.record(z.string(), z.unknown()).meta({ description: 'A rule as POST /v1/rules takes it.' })

export const triedRules = z
  .strictObject({
    text: z.string().optional(),
    body: z.record(z.string(), z.unknown()).optional(),
    dialect: z.string().max(64).optional(),
    model: z.string().max(256).optional(),
    rule: draft.optional(),
    rules: z.array(draft).min(1).max(DRAFTS_MAX).optional(),
  })
  .refine(({ text, body }) => (text === undefined) !== (body === undefined), { error: 'Give either text or body.', path: ['text'] })
  .refine(({ body, dialect }) => dialect === undefined || body !== undefined, { error: 'Says how body is read; there is none.', path: ['dialect'] })
  .refine(({ body, model }) => model === undefined || body === undefined, { error: 'A body names its own model.', path: ['model'] })
  .refine(({ rule, rules }) => rule === undefined || rules === undefined, { error: 'Give either rule or rules.', path: ['rules'] })

export const trial = z.strictObject({
  status: z.enum(actions),
  rules_evaluated: z.number().int(),
  triggered_rules: z.array(
    z.strictObject({
      rule_id: z.string(),
      name: z.string(),
      action: z.enum(actions),
      mode: z.enum(['enforce', 'shadow']),
      /** Null where the rule asks only who and where, or what is absent. */
      matched_field: z.string().nullable(),
      spans: z.array(z.strictObject({ field: z.string(), start: z.number().int(), end: z.number().int() })),
    }),
  ),
  redacted_text: z.string().nullable(),
  redacted_body: z.record(z.string(), z.unknown()).nullable(),
  /** Where a placeholder would break the call, which is refused then. */
  cannot_redact: z.string().nullable(),
  /** Null for drafts. */
  policy_version: z.number().int().nullable(),
})

type Asked = z.output<typeof triedRules>

/** Policies in force that were last tried, so that asking again does not compile them again. */
const POLICIES_KEPT_MAX = 16
/** Patterns' instructions times bytes of text in a trial of drafts: at most a second, also for patterns that get by the checks. */
const TRIAL_WORK_MAX = 1 << 24

export function createTrials(parts: Pick<AdminParts, 'db' | 'dialects' | 'defaultRequestsPerMinute'>) {
  const kept = new Map<string, Policy>()

  /** Throws a Refusal or a RuleError where the drafts, or the text, are not what can be tried. */
  return async ({ tenantId, actor }: { tenantId: string; actor: Actor }, asked: Asked): Promise<z.input<typeof trial>> => {
    const drafts = asked.rule ? [asked.rule] : asked.rules
    const { call, endpoint } = asked.text === undefined ? readCall(parts.dialects, asked) : { call: callOf(asked.text, asked.model ?? ''), endpoint: '' }
    const policy = drafts ? compileDrafts(drafts, call) : await inForce(tenantId)
    const caller = actor.kind === 'key' ? actor.caller : await callerOf(parts, tenantId)
    const verdict = policy.judge({ call, caller, endpoint })
    const fieldOf = (span: Span): string => (asked.text === undefined ? (pathsOf(call, [span], 1)[0] ?? '') : 'text')
    const cut = verdict.action === 'REDACT' ? redact(call, verdict) : null
    const outbound: unknown = cut && 'outbound' in cut ? JSON.parse(cut.outbound.toString()) : null
    return {
      status: verdict.action,
      rules_evaluated: verdict.rulesEvaluated,
      triggered_rules: verdict.findings.map(({ rule, mode, spans }) => {
        const places = spans.slice(0, SPANS_PER_RULE_MAX).flatMap((span) => charactersOf(call, span, fieldOf))
        return { rule_id: rule.id, name: rule.name, action: rule.action, mode, matched_field: places[0]?.field ?? null, spans: places }
      }),
      redacted_text: asked.text !== undefined && Array.isArray(outbound) ? String(outbound[0]) : null,
      redacted_body: asked.text === undefined ? (outbound as Record<string, unknown> | null) : null,
      cannot_redact: cut && 'cannot' in cut ? cut.cannot : null,
      policy_version: drafts ? null : policy.version,
    }
  }

  async function inForce(tenantId: string): Promise<Policy> {
    const newest = await findVersion(parts.db, tenantId)
    if (!newest) throw new Refusal('unavailable', 'No policy is loaded for this tenant.')
    const name = `${tenantId} ${newest.version}`
    const known = kept.get(name)
    if (known) return known
    const policy = compileStored(newest)
    if (kept.size >= POLICIES_KEPT_MAX) for (const oldest of kept.keys()) if (kept.delete(oldest)) break
    kept.set(name, policy)
    return policy
  }
}

/** Stored rules that make no policy are nothing the client could mend in its request. */
function compileStored({ version, rules }: PolicyVersion): Policy {
  try {
    return compile(version, rules)
  } catch (error) {
    throw new Failure('unavailable', error)
  }
}

/** One budget for checking the patterns of all drafts, and one for compiling them. Throws a RuleError or a Refusal beyond them. */
function compileDrafts(drafts: readonly Record<string, unknown>[], { text }: ModelCall): Policy {
  const budget = checkBudget()
  const rules = drafts.map((draft, index) => toRule(draft, index, budget))
  if (text.length * budget.instructions > TRIAL_WORK_MAX)
    throw new Refusal('config', 'The text is too long to be tried on so many, or so large, patterns; try fewer at once.', { context: { field: 'rules' } })
  return compile(0, rules, checkBudget())
}

/** Who an administrator stands in for: the tenant, by no key in particular. */
async function callerOf({ db, defaultRequestsPerMinute }: Pick<AdminParts, 'db' | 'defaultRequestsPerMinute'>, tenantId: string): Promise<Caller> {
  const row = await findTenant(db, tenantId)
  if (!row) throw noTenant()
  const tenant = { id: row.id, maxRequestsPerMinute: row.maxRequestsPerMinute ?? defaultRequestsPerMinute, allowedModels: row.allowedModels }
  return { tenant, keyPrefix: '', scopes: new Set(['proxy:write']) }
}

function toRule(given: Record<string, unknown>, index: number, budget: RuleBudget): Rule {
  try {
    return { ...parseRule(withoutReadOnly(given), budget), id: `draft_${index + 1}`, active: true }
  } catch (error) {
    if (error instanceof RuleError) throw new RuleError(error.reason, error.path === '' ? `rules.${index}` : `rules.${index}.${error.path}`, error.message)
    throw error
  }
}

/** The text alone, as the user's words; around it there is nothing a rule could stumble over. */
function callOf(text: string, model: string): ModelCall {
  const body = Buffer.from(JSON.stringify([text]))
  const json = createJsonReader()(body)
  return { model, streaming: false, body, metadata: {}, ...collect(json, (mark) => mark(json.firstItem(0), 'user')) }
}

function readCall(dialects: readonly Dialect[], asked: Asked): { call: ModelCall; endpoint: string } {
  const dialect = asked.dialect === undefined ? dialects[0] : dialects.find(({ name }) => name === asked.dialect)
  if (!dialect) {
    const known = dialects.map(({ name }) => name).join(', ')
    throw new Refusal('config', `There is no such dialect. Known: ${known}.`, { context: { field: 'dialect' } })
  }
  const endpoint = dialect.paths[0] ?? ''
  const body = Buffer.from(JSON.stringify(asked.body))
  try {
    const json = createJsonReader()(body)
    let head = { model: '', streaming: false }
    const texts = collect(json, (mark) => {
      head = dialect.readCall(json, endpoint, mark)
    })
    return { call: { ...head, body, metadata: {}, ...texts }, endpoint }
  } catch (error) {
    if (error instanceof UnreadableCall) throw new Refusal('invalid_request', error.message, { context: { field: `body.${error.param}` } })
    if (error instanceof UnreadableJson) throw new Refusal('invalid_request', error.message, { context: { field: 'body' } })
    throw error
  }
}

/** A span as positions in the strings it touches. */
function charactersOf({ text, slots }: ModelCall, span: Span, fieldOf: (span: Span) => string): { field: string; start: number; end: number }[] {
  return slots
    .filter((slot) => slot.from < span.end && slot.to > span.start)
    .map((slot) => {
      const from = Math.max(span.start, slot.from)
      const to = Math.min(span.end, slot.to)
      const start = text.toString('utf8', slot.from, from).length
      return { field: fieldOf({ ...span, start: from, end: to }), start, end: start + text.toString('utf8', from, to).length }
    })
}
