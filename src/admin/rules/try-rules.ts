/** Tries rules on a call or a reply, by the code that judges both. Nothing is sent, kept or logged. */
import { z } from 'zod'
import type { ModelCall } from '../../call.ts'
import { Failure, Refusal } from '../../errors.ts'
import { checkBudget, type RuleBudget, withoutBudget } from '../../rules/budget.ts'
import { compile } from '../../rules/compile.ts'
import { checkedDictionaries, dictionariesOf } from '../../rules/dictionaries.ts'
import type { Span } from '../../rules/matching/match.ts'
import { placesIn } from '../../rules/places.ts'
import type { Policy } from '../../rules/policy.ts'
import { actions, type Dictionaries, type Rule } from '../../rules/rule.ts'
import { findVersion, type PolicyVersion } from '../../rules/store.ts'
import type { AdminParts } from '../parts.ts'
import { type Route, route } from '../route.ts'
import { type Judged, judgeSample } from './judge-sample.ts'
import { placedDraftOf } from './rule-drafts.ts'
import { dictionaries, draft, modes } from './rule-shapes.ts'
import { callerOf, createSampleReader, type Described, refineSample, sampleMembers } from './samples.ts'

const DRAFTS_MAX = 100
const SPANS_PER_RULE_MAX = 1_000

const triedRules = refineSample(
  z
    .strictObject({ ...sampleMembers, rule: draft.optional(), rules: z.array(draft).min(1).max(DRAFTS_MAX).optional(), dictionaries: dictionaries.optional() })
    .refine(({ rule, rules }) => rule === undefined || rules === undefined, { error: 'Give either rule or rules.', path: ['rules'] }),
)

const foundBy = { rule_id: z.string(), name: z.string(), action: z.enum(actions), mode: z.enum(modes) }
const body = z.record(z.string(), z.unknown()).nullable()

const trial = z.strictObject({
  status: z.enum(actions),
  rules_evaluated: z.number().int(),
  triggered_rules: z.array(
    z.strictObject({
      ...foundBy,
      /** Null where the rule asks only who and where, or what is absent. */
      matched_field: z.string().nullable(),
      spans: z.array(z.strictObject({ field: z.string(), start: z.number().int(), end: z.number().int() })),
    }),
  ),
  redacted_text: z.string().nullable(),
  redacted_body: body,
  /** Where a placeholder would break the call, which is refused then. */
  cannot_redact: z.string().nullable(),
  /** Null where no response is tried. */
  response: z
    .strictObject({
      status: z.enum(actions),
      triggered_rules: z.array(z.strictObject({ ...foundBy, count: z.number().int() })),
      /** Why it would not be relayed. */
      stopped: z.string().nullable(),
      redacted_text: z.string().nullable(),
      redacted_body: body,
    })
    .nullable(),
  /** Null for drafts. */
  policy_version: z.number().int().nullable(),
})

/** Policies in force that were last tried, so that asking again does not compile them again. One with large dictionaries takes 40 MB. */
const POLICIES_KEPT_MAX = 4
/** Patterns' instructions times bytes of text in a trial of drafts: at most a second, also for patterns that get by the checks. */
export const TRIAL_WORK_MAX = 1 << 24
/** Preparing the patterns of a policy only to try it. */
const PREPARE_MS_MAX = 1_000
export const trialPreparation = (): RuleBudget => ({ ...withoutBudget(), msLeft: PREPARE_MS_MAX })

export function trialRoutes(parts: AdminParts, inForce: PoliciesInForce): Route[] {
  const readSample = createSampleReader(parts)

  return [
    route({
      method: 'POST',
      path: '/v1/rules/test',
      scope: 'rules:read',
      tenant: 'required',
      summary:
        'Says what the rules in force, or the given drafts, would do with a text or a body, and with the response to it. Nothing is sent or kept. Spans count UTF-16 units.',
      body: triedRules.meta({ examples: [{ text: 'My number is 536-90-4399' }] }),
      answer: trial,
      async run({ tenantId, body: asked, actor }) {
        const sample = readSample(asked, await callerOf(parts, tenantId, actor))
        const drafts = asked.rule ? [asked.rule] : asked.rules
        const lists = await listsWith(tenantId, asked.dictionaries)
        const budget = checkBudget()
        const rules = drafts?.map(
          (one, index): Rule => ({ ...placedDraftOf(one, `rules.${index}`, { dictionaries: lists, budget }), id: `draft_${index + 1}`, active: true }),
        )
        refuseMuchWork(budget, sample)
        const isInForce = rules === undefined && asked.dictionaries === undefined
        const policy = isInForce
          ? await inForce(tenantId)
          : compile(0, rules ?? (await inForce(tenantId)).rules, lists, rules ? checkBudget() : trialPreparation())
        return shownTrial(judgeSample(policy, sample), sample, isInForce ? policy.version : null)
      },
    }),
  ]

  async function listsWith(tenantId: string, given: Dictionaries = {}): Promise<Dictionaries> {
    return { ...(await dictionariesOf(parts.db, tenantId)), ...checkedDictionaries(given) }
  }
}

/** Throws a Refusal where the patterns of drafts, all together, could take too long on the texts of a sample. */
export function refuseMuchWork({ instructions }: RuleBudget, { subject, reply }: Described): void {
  if ((subject.call.text.length + (reply?.length ?? 0)) * instructions <= TRIAL_WORK_MAX) return
  throw new Refusal('config', 'The text is too long to be tried on so many, or so large, patterns; try fewer at once.', { context: { field: 'rules' } })
}

/** The policy in force, read anew each time and compiled once. */
export type PoliciesInForce = (tenantId: string) => Promise<Policy>

export function createPoliciesInForce({ db }: Pick<AdminParts, 'db'>): PoliciesInForce {
  const kept = new Map<string, Policy>()
  return async (tenantId) => {
    const newest = await findVersion(db, tenantId)
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
function compileStored({ version, rules, dictionaries }: PolicyVersion): Policy {
  try {
    return compile(version, rules, dictionaries)
  } catch (error) {
    throw new Failure('unavailable', error)
  }
}

function shownTrial({ call: { verdict, outbound, cannotRedact }, reply }: Judged, sample: Described, version: number | null): z.input<typeof trial> {
  const { call } = sample.subject
  const places = placesIn(call)
  const fieldOf = (span: Span): string => (sample.isText ? 'text' : (places([span], 1)[0] ?? ''))
  const asWritten = (changed: Buffer | null, isText: boolean) => {
    const value: unknown = changed && JSON.parse(changed.toString())
    return { redacted_text: isText && Array.isArray(value) ? String(value[0]) : null, redacted_body: isText ? null : (value as z.input<typeof body>) }
  }
  return {
    status: verdict.action,
    rules_evaluated: verdict.rulesEvaluated,
    triggered_rules: verdict.findings.map(({ rule, mode, spans }) => {
      const shown = spans.slice(0, SPANS_PER_RULE_MAX).flatMap((span) => charactersOf(call, span, fieldOf))
      return { rule_id: rule.id, name: rule.name, action: rule.action, mode, matched_field: shown[0]?.field ?? null, spans: shown }
    }),
    ...asWritten(verdict.action === 'REDACT' ? outbound : null, sample.isText),
    cannot_redact: cannotRedact,
    response: reply && {
      status: reply.status,
      triggered_rules: reply.findings.map(({ rule: { id, name, action, mode }, count }) => ({ rule_id: id, name, action, mode, count })),
      stopped: reply.stopped,
      ...asWritten(reply.status === 'REDACT' ? reply.relayed : null, sample.isTextReply),
    },
    policy_version: version,
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
