/** Judges recorded calls again by what the log keeps of them: who, where and which model, never what they said. */

import { setImmediate as othersFirst } from 'node:timers/promises'
import { z } from 'zod'
import type { AuditEntry } from '../../audit/entry.ts'
import { eachPage } from '../../audit/query.ts'
import type { Caller } from '../../call.ts'
import { compile } from '../../rules/compile.ts'
import type { PolicyContent } from '../../rules/difference.ts'
import { leavesOf, readingOf } from '../../rules/leaves.ts'
import { type Action, actions, type Rule } from '../../rules/rule.ts'
import type { AdminParts } from '../parts.ts'
import { momentOrDay } from '../shapes.ts'
import { callOf } from './samples.ts'
import { trialPreparation } from './try-rules.ts'

/** The newest of the period; more are not read. */
const ENTRIES_MAX = 10_000
const ENTRIES_PER_READING = 500
const EXAMPLES_MAX = 100

export const replayed = z.strictObject({ from: momentOrDay.optional(), to: momentOrDay.optional() }).meta({
  description: 'Recorded calls of this period to try the draft on as well, by what the log keeps of them. Needs the scope audit:read.',
})

export const noActions = (): Record<Action, number> => ({ ALLOW: 0, WARN: 0, REDACT: 0, ESCALATE: 0, BLOCK: 0 })
export const perAction = z.strictObject(Object.fromEntries(actions.map((action) => [action, z.number().int()])) as Record<Action, z.ZodNumber>)

export const replay = z.strictObject({
  replayed: z.number().int(),
  complete: z.boolean().meta({ description: `False where the period holds more calls than the newest ${ENTRIES_MAX}.` }),
  changed: z.number().int(),
  current: perAction,
  draft: perAction,
  /** The newest of those that changed. */
  changes: z.array(z.strictObject({ audit_id: z.string(), current: z.enum(actions), draft: z.enum(actions) })),
  not_tried: z
    .array(z.strictObject({ rule_id: z.string(), name: z.string() }))
    .meta({ description: 'Rules of the draft that read what the log does not keep: texts, headers, estimates. They are left out on both sides.' }),
})

interface Replaying {
  tenantId: string
  caller: Caller
  period: z.output<typeof replayed>
  current: PolicyContent
  draft: PolicyContent
}

export async function replayEntries({ db }: Pick<AdminParts, 'db'>, { tenantId, caller, period, current, draft }: Replaying): Promise<z.input<typeof replay>> {
  const [before, after] = [current, draft].map(({ rules, dictionaries }) => compile(0, rules.filter(readsTheLog), dictionaries, trialPreparation()))
  const result: z.input<typeof replay> = {
    ...{ replayed: 0, complete: true, changed: 0, current: noActions(), draft: noActions(), changes: [] },
    not_tried: draft.rules.filter((rule) => !readsTheLog(rule)).map(({ id, name }) => ({ rule_id: id, name })),
  }
  let read = 0
  for await (const entries of eachPage(db, tenantId, { kind: 'exchange', from: period.from, to: period.to }, ENTRIES_PER_READING)) {
    if (read >= ENTRIES_MAX) {
      result.complete = entries.length === 0
      break
    }
    read += entries.length
    for (const entry of entries) {
      if (entry.policy_version === null) continue // it was never judged
      const subject = subjectOf(entry, caller)
      const [was, becomes] = [before.judge(subject).action, after.judge(subject).action]
      result.replayed++
      result.current[was]++
      result.draft[becomes]++
      if (was === becomes) continue
      result.changed++
      if (result.changes.length < EXAMPLES_MAX) result.changes.push({ audit_id: entry.audit_id, current: was, draft: becomes })
    }
    await othersFirst()
  }
  return result
}

/** Whether a rule asks only what an entry tells. */
const readsTheLog = ({ condition }: Rule): boolean =>
  leavesOf(condition).every(({ leaf }) => readingOf(leaf).reads === 'field' && !leaf.target?.startsWith('header.'))

/** The log tells no text. */
const NO_TEXT = callOf('', null)

function subjectOf({ model, endpoint, agent_id, key_prefix, user_id, metadata }: AuditEntry, caller: Caller) {
  const said = Object.entries(metadata).filter((entry): entry is [string, string | number | boolean] => typeof entry[1] !== 'object')
  return {
    call: { ...NO_TEXT, models: model === null ? [] : [model] },
    caller: { ...caller, agent: agent_id === null ? null : { id: agent_id }, keyPrefix: key_prefix ?? '' },
    endpoint: endpoint ?? '',
    headers: {},
    metadata: { ...(user_id !== null && { user: user_id }), ...Object.fromEntries(said) },
    price: null,
  }
}
