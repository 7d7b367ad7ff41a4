import { z } from 'zod'
import { changeTenant } from '../../access/tenants.ts'
import { Refusal } from '../../errors.ts'
import { applyPreset } from '../../rules/apply-preset.ts'
import type { RuleDraft } from '../../rules/check-rule.ts'
import { dictionariesOf } from '../../rules/dictionaries.ts'
import { ruleDifference } from '../../rules/difference.ts'
import { type PresetRule, presets } from '../../rules/presets.ts'
import { actions, type Dictionaries } from '../../rules/rule.ts'
import { findRule, listRules, type RuleRow, toRule, writeRules } from '../../rules/store.ts'
import { type AdminParts, change } from '../parts.ts'
import { withoutReadOnly } from '../read-only.ts'
import { type Route, route } from '../route.ts'
import { flag, listOf, pageQuery } from '../shapes.ts'
import { draftOf } from './rule-drafts.ts'
import { changedRule, modes, newRule, plainRule, rule, shown, writeQuery, writtenRule } from './rule-shapes.ts'
import { writingBy } from './rule-writes.ts'

const one = z.object({ id: z.string() })
const examples = z.array(z.string())

export function ruleRoutes(parts: AdminParts): Route[] {
  const { db } = parts
  const writing = writingBy(parts)
  const noRule = (): Refusal => new Refusal('not_found', 'There is no such rule.')

  type Rewriting = Parameters<Route['run']>[0] & { tenantId: string; params: { id: string }; query: { expected_version?: number | undefined } }
  /** Reads, changes and publishes a rule; `become` makes what it is to be out of what it is. */
  const rewrite = async (asked: Rewriting, become: (row: RuleRow, dictionaries: Dictionaries) => RuleDraft): Promise<z.input<typeof writtenRule>> => {
    const { tenantId, params, query, actor } = asked
    const { before, after, version } = await change(parts, asked, async (tx) => {
      const { result, version } = await writeRules(tx, tenantId, writing(actor, query), async (write) => {
        const before = await findRule(tx, tenantId, params.id)
        if (!before) throw noRule()
        const after = await write.change(before.id, become(before, await write.dictionaries()))
        if (!after) throw noRule()
        return { before, after }
      })
      return { result: { ...result, version }, done: { action: 'rule.update', tenantId, subject: params.id, changes: ['policies'] } }
    })
    return { ...shown(after), diff: ruleDifference(toRule(before), toRule(after)), policy_version: version }
  }

  return [
    route({
      method: 'GET',
      path: '/v1/rules',
      scope: 'rules:read',
      tenant: 'optional',
      summary: 'Lists rules, highest priority first.',
      query: z.strictObject({
        ...pageQuery(),
        preset: z.string().max(64).optional(),
        action: z.enum(actions).optional(),
        mode: z.enum(modes).optional(),
        active: flag.optional(),
      }),
      answer: listOf('rules', rule),
      async run({ tenantId, query }) {
        const { rows, total } = await listRules(db, tenantId, query, query)
        return { rules: rows.map(shown), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/rules',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Adds a rule, and with it a new version of the policy. What only answers say (id, tenant_id, preset, times) may be sent and is ignored.',
      query: z.strictObject(writeQuery),
      body: newRule.meta({ examples: [{ name: 'No project names', action: 'BLOCK', condition: { operator: 'contains', value: 'project falcon' } }] }),
      answer: rule,
      status: 201,
      async run({ tenantId, query, body, actor, requestId }) {
        const draft = draftOf(body, { dictionaries: await dictionariesOf(db, tenantId) })
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const { result } = await writeRules(tx, tenantId, writing(actor, query), async (write) => (await write.insert([draft]))[0])
          return { result, done: { action: 'rule.create', tenantId, subject: result.id, changes: ['policies'] } }
        })
        return shown(row)
      },
    }),

    route({
      method: 'GET',
      path: '/v1/rules/presets',
      scope: 'rules:read',
      tenant: 'none',
      summary: 'Lists the presets with their rules: what each is for, which article asks for it, and texts it must and must not find.',
      answer: z.strictObject({
        presets: z.array(
          z.strictObject({
            name: z.string(),
            about: z.string(),
            rules: z.array(z.strictObject({ ...plainRule, examples: z.strictObject({ match: examples, pass: examples }) }).omit({ id: true })),
          }),
        ),
        total: z.number().int(),
        limit: z.number().int(),
        offset: z.number().int(),
      }),
      async run() {
        const all = Object.entries(presets).map(([name, { about, rules }]) => ({ name, about, rules: rules.map(shownOfPreset) }))
        return { presets: all, total: all.length, limit: all.length, offset: 0 }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/rules/presets/{preset}/apply',
      scope: 'rules:write',
      tenant: 'required',
      summary:
        "Gives the tenant a preset's rules. merge adds what is missing; replace first removes every rule the tenant has (an older version brings them back).",
      params: z.object({ preset: z.string() }),
      query: z.strictObject(writeQuery),
      body: z.strictObject({ mode: z.enum(['replace', 'merge']).default('merge') }),
      answer: z.strictObject({ applied: z.number().int(), skipped: z.number().int(), preset: z.string() }),
      async run({ tenantId, params: { preset }, query, body: { mode }, actor, requestId }) {
        if (!Object.hasOwn(presets, preset)) throw new Refusal('not_found', `There is no such preset; there are ${Object.keys(presets).join(', ')}.`)
        const applied = await change(parts, { actor, requestId }, async (tx) => {
          const { result } = await writeRules(tx, tenantId, writing(actor, query), (write) => applyPreset(write, preset, mode))
          if (mode === 'replace') await changeTenant(tx, tenantId, { rulesPreset: preset })
          return { result, done: { action: `preset.${mode}`, tenantId, subject: preset, changes: ['policies'] } }
        })
        return { ...applied, preset }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/rules/{id}',
      scope: 'rules:read',
      tenant: 'optional',
      summary: 'One rule.',
      params: one,
      answer: rule,
      async run({ tenantId, params }) {
        const row = await findRule(db, tenantId, params.id)
        if (!row) throw noRule()
        return shown(row)
      },
    }),

    route({
      method: 'PUT',
      path: '/v1/rules/{id}',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Replaces a rule, and says what that changed; what is left out becomes the default. What only answers say may be sent and is ignored.',
      params: one,
      query: z.strictObject(writeQuery),
      body: newRule.meta({ examples: [{ name: 'No project names', action: 'BLOCK', condition: { operator: 'contains', value: 'project falcon' } }] }),
      answer: writtenRule,
      run: (asked) => rewrite(asked, ({ preset }, dictionaries) => draftOf(asked.body, { dictionaries, preset })),
    }),

    route({
      method: 'PATCH',
      path: '/v1/rules/{id}',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Changes what is named of a rule, and says what that changed. What only answers say may be sent and is ignored.',
      params: one,
      query: z.strictObject(writeQuery),
      body: changedRule.meta({ examples: [{ mode: 'shadow' }] }),
      answer: writtenRule,
      run: (asked) => rewrite(asked, (row, dictionaries) => draftOf({ ...toRule(row), ...withoutReadOnly(asked.body) }, { dictionaries, preset: row.preset })),
    }),

    route({
      method: 'DELETE',
      path: '/v1/rules/{id}',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Removes a rule. Older versions still hold it.',
      params: one,
      query: z.strictObject(writeQuery),
      answer: null,
      async run({ tenantId, params, query, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          const { result } = await writeRules(tx, tenantId, writing(actor, query), (write) => write.remove([params.id]))
          if (result.length === 0) throw noRule()
          return { result: undefined, done: { action: 'rule.delete', tenantId, subject: params.id, changes: ['policies'] } }
        })
      },
    }),
  ]
}

const shownOfPreset = ({ name, condition, action, priority, mode, reversible, active, preset, metadata, examples: { match, pass } }: PresetRule) => ({
  ...{ name, action, priority, mode, reversible, active, preset },
  condition: { ...condition },
  metadata: { ...metadata },
  examples: { match: [...match], pass: [...pass] },
})
