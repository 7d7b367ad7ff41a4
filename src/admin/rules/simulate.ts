/** Compares a draft of the policy with the policy in force, call by call. Nothing is sent, kept or logged. */
import { setImmediate as othersFirst } from 'node:timers/promises'
import { z } from 'zod'
import { Refusal } from '../../errors.ts'
import { checkBudget, type RuleBudget } from '../../rules/budget.ts'
import { RULES_PER_POLICY_MAX } from '../../rules/check-rule.ts'
import { compile } from '../../rules/compile.ts'
import { checkedDictionaries, dictionariesOf } from '../../rules/dictionaries.ts'
import { policyDifference } from '../../rules/difference.ts'
import { type Action, actions, type Dictionaries, type Rule, severity } from '../../rules/rule.ts'
import { rulesOfTenant, toRule } from '../../rules/store.ts'
import { may } from '../credentials.ts'
import type { AdminParts } from '../parts.ts'
import { withoutReadOnly } from '../read-only.ts'
import { type Route, route } from '../route.ts'
import { type Judged, judgeSample } from './judge-sample.ts'
import { noActions, perAction, replay, replayEntries, replayed } from './replay.ts'
import { placedDraftOf, readEach } from './rule-drafts.ts'
import { changedRule, dictionaries, draft, modes, policyDiff } from './rule-shapes.ts'
import { callerOf, createSampleReader, type Described, refineSample, sampleMembers } from './samples.ts'
import { type PoliciesInForce, refuseMuchWork, TRIAL_WORK_MAX, trialPreparation } from './try-rules.ts'

const SAMPLES_MAX = 200
const CHANGES_MAX = 100
/** Of all samples together; between two of them others get their turn. */
const SIMULATION_WORK_MAX = 8 * TRIAL_WORK_MAX

const simulated = z
  .strictObject({
    samples: z
      .array(refineSample(z.strictObject({ name: z.string().max(200).optional(), ...sampleMembers })))
      .max(SAMPLES_MAX)
      .default([]),
    audit: replayed.optional(),
    rules: z.array(draft).max(RULES_PER_POLICY_MAX).optional().meta({ description: 'The whole draft, in place of the rules in force.' }),
    changes: z
      .array(
        z.strictObject({ id: z.string(), patch: changedRule.nullable().meta({ description: 'As PATCH /v1/rules/{id} takes it; null removes the rule.' }) }),
      )
      .max(CHANGES_MAX)
      .optional(),
    added: z.array(draft).max(CHANGES_MAX).optional().meta({ description: 'Rules beside those the tenant has.' }),
    dictionaries: dictionaries.optional().meta({ description: 'Beside, or in place of, those the tenant has.' }),
  })
  .refine(({ samples, audit }) => samples.length > 0 || audit !== undefined, { error: 'Give samples, or a period of the audit log.', path: ['samples'] })
  .refine(({ rules, changes, added }) => rules === undefined || (changes === undefined && added === undefined), {
    error: 'Give either a whole draft, or changes and additions to the rules in force.',
    path: ['rules'],
  })
  .refine(({ rules, changes, added, dictionaries: lists }) => (rules ?? changes ?? added ?? lists) !== undefined, {
    error: 'Say what the draft is: rules, changes, added or dictionaries.',
    path: ['rules'],
  })

const outcome = z.strictObject({
  status: z.enum(actions).meta({ description: 'The more severe of call and response.' }),
  triggered_rules: z.array(
    z.strictObject({ rule_id: z.string(), name: z.string(), action: z.enum(actions), mode: z.enum(modes), on: z.enum(['call', 'response']) }),
  ),
  cannot_redact: z.string().nullable(),
})

const simulation = z.strictObject({
  results: z.array(
    z.strictObject({
      index: z.number().int(),
      name: z.string().nullable(),
      changed: z.boolean().meta({ description: 'Whether the draft does something else: another status, or other bytes.' }),
      current: outcome,
      draft: outcome,
    }),
  ),
  totals: z.strictObject({ samples: z.number().int(), changed: z.number().int(), current: perAction, draft: perAction }),
  audit: replay.nullable().meta({ description: 'Null unless a period of the audit log was asked for.' }),
  diff: policyDiff.meta({ description: 'What makes the draft of the policy in force.' }),
  policy_version: z.number().int(),
})

type Asked = z.output<typeof simulated>

export function simulateRoutes(parts: AdminParts, inForce: PoliciesInForce): Route[] {
  const { db } = parts
  const readSample = createSampleReader(parts)

  return [
    route({
      method: 'POST',
      path: '/v1/rules/simulate',
      scope: 'rules:read',
      tenant: 'required',
      summary:
        'Says what a draft of the policy would do otherwise than the policy in force, sample by sample and in total, and with recorded calls as far as the log tells of them. The draft is a list of rules, or changes and additions to those in force.',
      body: simulated.meta({ examples: [{ samples: [{ text: 'My number is 536-90-4399' }], added: [] }] }),
      answer: simulation,
      async run({ tenantId, body, actor }) {
        if (body.audit && !may(actor, 'audit:read')) throw new Refusal('forbidden', 'This needs the scope audit:read.', { context: { scope: 'audit:read' } })
        const caller = await callerOf(parts, tenantId, actor)
        const samples = body.samples.map((sample, index) => readSample(sample, caller, `samples.${index}.`))
        const present = { rules: (await rulesOfTenant(db, tenantId)).map(toRule), dictionaries: await dictionariesOf(db, tenantId) }
        const lists = { ...present.dictionaries, ...checkedDictionaries(body.dictionaries ?? {}) }
        const budget = checkBudget()
        const rules = (await draftRules(body, present.rules, { dictionaries: lists, budget })).filter(({ active }) => active)
        refuseLongSimulation(budget, samples)
        const current = await inForce(tenantId)
        const planned = compile(0, rules, lists, trialPreparation())
        const results: z.input<typeof simulation>['results'] = []
        const totals = { samples: samples.length, changed: 0, current: noActions(), draft: noActions() }
        for (const [index, sample] of samples.entries()) {
          const [before, after] = [judgeSample(current, sample), judgeSample(planned, sample)]
          const changed = !isSameEffect(before, after)
          const result = { index, name: body.samples[index].name ?? null, changed, current: outcomeOf(before), draft: outcomeOf(after) }
          totals.changed += changed ? 1 : 0
          totals.current[result.current.status]++
          totals.draft[result.draft.status]++
          results.push(result)
          await othersFirst()
        }
        const before = { rules: current.rules, dictionaries: present.dictionaries }
        const after = { rules, dictionaries: lists }
        const audit = body.audit ? await replayEntries(parts, { tenantId, caller, period: body.audit, current: before, draft: after }) : null
        return { results, totals, audit, diff: policyDifference(before, after), policy_version: current.version }
      },
    }),
  ]
}

/** The rules of the draft, active or not. Throws a Refusal that names what is wrong with each, or the first id nobody knows. */
async function draftRules(asked: Asked, present: readonly Rule[], reading: { dictionaries: Dictionaries; budget: RuleBudget }): Promise<Rule[]> {
  const whole = async (list: Asked['rules'], member: string): Promise<Rule[]> =>
    readEach(list ?? [], (one, index) => ({
      ...placedDraftOf(one, `${member}.${index}`, reading),
      id: typeof one.id === 'string' ? one.id : `draft_${index + 1}`,
    }))
  if (asked.rules) return whole(asked.rules, 'rules')
  const rules = new Map(present.map((rule) => [rule.id, rule]))
  await readEach(asked.changes ?? [], ({ id, patch }, index) => {
    const rule = rules.get(id)
    if (!rule) throw new Refusal('config', 'The tenant has no such rule.', { context: { field: `changes.${index}.id` } })
    if (patch === null) rules.delete(id)
    else rules.set(id, { ...placedDraftOf({ ...rule, ...withoutReadOnly(patch) }, `changes.${index}.patch`, { ...reading, preset: rule.preset }), id })
  })
  return [...rules.values(), ...(await whole(asked.added, 'added'))]
}

function refuseLongSimulation(budget: RuleBudget, samples: readonly Described[]): void {
  for (const sample of samples) refuseMuchWork(budget, sample)
  const bytes = samples.reduce((sum, { subject, reply }) => sum + subject.call.text.length + (reply?.length ?? 0), 0)
  if (bytes * budget.instructions <= SIMULATION_WORK_MAX) return
  throw new Refusal('config', 'All samples together are too long for the patterns of the draft; try fewer at once.', { context: { field: 'samples' } })
}

const statusOf = ({ call, reply }: Judged): Action => (reply && severity[reply.status] > severity[call.verdict.action] ? reply.status : call.verdict.action)

const outcomeOf = (judged: Judged): z.input<typeof outcome> => {
  const told = ({ id, name, action, mode }: Rule) => ({ rule_id: id, name, action, mode })
  return {
    status: statusOf(judged),
    triggered_rules: [
      ...judged.call.verdict.findings.map(({ rule }) => ({ ...told(rule), on: 'call' as const })),
      ...(judged.reply?.findings ?? []).map(({ rule }) => ({ ...told(rule), on: 'response' as const })),
    ],
    cannot_redact: judged.call.cannotRedact,
  }
}

function isSameEffect(before: Judged, after: Judged): boolean {
  const same = (a: Buffer | null | undefined, b: Buffer | null | undefined): boolean => (a && b ? a.equals(b) : (a ?? null) === (b ?? null))
  return (
    before.call.verdict.action === after.call.verdict.action &&
    before.reply?.status === after.reply?.status &&
    same(before.call.outbound, after.call.outbound) &&
    same(before.reply?.relayed, after.reply?.relayed)
  )
}
