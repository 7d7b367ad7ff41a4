import { z } from 'zod'
import { changeTenant } from '../access/tenants.ts'
import { Refusal } from '../errors.ts'
import { applyPreset } from '../rules/apply-preset.ts'
import { PRIORITY_DEFAULT, PRIORITY_MAX, parseRule, type RuleDraft } from '../rules/check-rule.ts'
import { presets, rulesOf } from '../rules/presets.ts'
import { actions } from '../rules/rule.ts'
import { findRule, findVersion, listRules, listVersions, type RuleRow, restoreVersion, toRule, writeRules } from '../rules/store.ts'
import { type AdminParts, change } from './parts.ts'
import { readOnly, withoutReadOnly } from './read-only.ts'
import { nameOf, type Route, route } from './route.ts'
import { flag, label, listOf, pageQuery, timestamp } from './shapes.ts'
import { createTrials, trial, triedRules } from './try-rules.ts'

const modes = ['enforce', 'shadow'] as const
/** Read in full by rules/check-rule.ts, whose sentences say what is wrong with it. */
const condition = z.record(z.string(), z.unknown()).meta({
  description: '{operator, value, target?, case_sensitive?}, {all: [condition]}, {any: [condition]} or {not: condition}',
})
const metadata = z.record(z.string(), z.unknown())

const plainRule = {
  id: z.string(),
  name: z.string(),
  condition,
  action: z.enum(actions),
  priority: z.number().int(),
  mode: z.enum(modes),
  reversible: z.boolean(),
  active: z.boolean(),
  preset: z.string().nullable(),
  metadata,
}
const rule = z.strictObject({ ...plainRule, tenant_id: z.string(), created_at: timestamp, updated_at: timestamp })

const fields = {
  name: label,
  condition,
  action: z.enum(actions),
  priority: z.number().int().min(0).max(PRIORITY_MAX),
  mode: z.enum(modes),
  reversible: z.boolean(),
  active: z.boolean(),
  metadata,
}
const newRule = z.strictObject({
  ...readOnly,
  name: fields.name,
  condition: fields.condition,
  action: fields.action,
  priority: fields.priority.default(PRIORITY_DEFAULT),
  mode: fields.mode.default('enforce'),
  reversible: fields.reversible.default(false),
  active: fields.active.default(true),
  metadata: fields.metadata.default({}),
})
const changedRule = z.strictObject({ ...readOnly, ...fields }).partial()

const version = { version: z.number().int(), created_by: z.string(), created_at: timestamp }
const one = z.object({ id: z.string() })

export function ruleRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts
  const tryRules = createTrials(parts)
  const noRule = (): Refusal => new Refusal('not_found', 'There is no such rule.')

  /** Reads, changes and publishes a rule; `draftOf` makes what it is to become out of what it is. */
  const rewrite = (asked: Parameters<Route['run']>[0] & { tenantId: string; params: { id: string } }, draftOf: (row: RuleRow) => RuleDraft) =>
    change(parts, asked, async (tx) => {
      const { result } = await writeRules(tx, asked.tenantId, { createdBy: nameOf(asked.actor), at: new Date(now()) }, async (write) => {
        const row = await findRule(tx, asked.tenantId, asked.params.id)
        if (!row) throw noRule()
        const changed = await write.change(row.id, draftOf(row))
        if (!changed) throw noRule()
        return changed
      })
      return { result, done: { action: 'rule.update', tenantId: asked.tenantId, subject: result.id, changes: ['policies'] } }
    })

  return [
    route({
      method: 'GET',
      path: '/v1/rules',
      scope: 'rules:read',
      tenant: 'optional',
      summary: 'Lists rules, highest priority first.',
      query: z.strictObject({ ...pageQuery(), preset: z.string().max(64).optional(), action: z.enum(actions).optional(), active: flag.optional() }),
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
      body: newRule,
      answer: rule,
      status: 201,
      async run({ tenantId, body, actor, requestId }) {
        const draft = parseRule(withoutReadOnly(body))
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const { result } = await writeRules(
            tx,
            tenantId,
            { createdBy: nameOf(actor), at: new Date(now()) },
            async (write) => (await write.insert([draft]))[0],
          )
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
      summary: 'Lists the presets with their rules.',
      answer: z.strictObject({
        presets: z.array(z.strictObject({ name: z.string(), about: z.string(), rules: z.array(z.strictObject(plainRule).omit({ id: true })) })),
        total: z.number().int(),
        limit: z.number().int(),
        offset: z.number().int(),
      }),
      async run() {
        const all = Object.entries(presets).map(([name, { about }]) => ({
          name,
          about,
          rules: rulesOf(name).map((draft) => ({ ...draft, condition: { ...draft.condition }, metadata: { ...draft.metadata } })),
        }))
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
      body: z.strictObject({ mode: z.enum(['replace', 'merge']).default('merge') }),
      answer: z.strictObject({ applied: z.number().int(), skipped: z.number().int(), preset: z.string() }),
      async run({ tenantId, params: { preset }, body: { mode }, actor, requestId }) {
        if (!Object.hasOwn(presets, preset)) throw new Refusal('not_found', 'There is no such preset.')
        const applied = await change(parts, { actor, requestId }, async (tx) => {
          const { result } = await writeRules(tx, tenantId, { createdBy: nameOf(actor), at: new Date(now()) }, (write) => applyPreset(write, preset, mode))
          if (mode === 'replace') await changeTenant(tx, tenantId, { rulesPreset: preset })
          return { result, done: { action: `preset.${mode}`, tenantId, subject: preset, changes: ['policies'] } }
        })
        return { ...applied, preset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/rules/test',
      scope: 'rules:read',
      tenant: 'required',
      summary: 'Says what the rules in force, or the given drafts, would do with a text or a body. Nothing is sent or kept. Spans count UTF-16 units.',
      body: triedRules,
      answer: trial,
      run: ({ tenantId, body, actor }) => tryRules({ tenantId, actor }, body),
    }),

    route({
      method: 'GET',
      path: '/v1/rules/versions',
      scope: 'rules:read',
      tenant: 'required',
      summary: "Lists the versions of the tenant's policy, newest first. The first is in force.",
      query: z.strictObject(pageQuery()),
      answer: listOf('versions', z.strictObject(version)),
      async run({ tenantId, query }) {
        const { rows, total } = await listVersions(db, tenantId, query)
        const versions = rows.map((row) => ({ version: row.version, created_by: row.createdBy, created_at: row.createdAt.toISOString() }))
        return { versions, total, ...query }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/rules/versions/{version}/restore',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Makes the rules of an older version the active ones, as a new version. Rules that were not in it become inactive.',
      params: z.object({ version: z.string().regex(/^[1-9]\d{0,8}$/) }),
      body: z.strictObject({}),
      answer: z.strictObject({ ...version, restored: z.number().int(), rules: z.array(z.strictObject(plainRule)) }),
      async run({ tenantId, params, actor, requestId }) {
        const number = Number(params.version)
        const made = await change(parts, { actor, requestId }, async (tx) => {
          const fresh = await restoreVersion(tx, tenantId, number, { createdBy: nameOf(actor), at: new Date(now()) })
          const result = fresh === undefined ? undefined : await findVersion(tx, tenantId, fresh)
          if (!result) throw new Refusal('not_found', 'There is no such version.')
          return { result, done: { action: 'policy.restore', tenantId, subject: params.version, changes: ['policies'] } }
        })
        return {
          version: made.version,
          created_by: made.createdBy,
          created_at: made.createdAt.toISOString(),
          restored: number,
          rules: made.rules.map(plain),
        }
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
      summary: 'Replaces a rule; what is left out becomes the default. What only answers say may be sent and is ignored.',
      params: one,
      body: newRule,
      answer: rule,
      run: async (asked) => shown(await rewrite(asked, ({ preset }) => parseRule({ ...withoutReadOnly(asked.body), preset }))),
    }),

    route({
      method: 'PATCH',
      path: '/v1/rules/{id}',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Changes what is named of a rule. What only answers say may be sent and is ignored.',
      params: one,
      body: changedRule,
      answer: rule,
      run: async (asked) =>
        shown(
          await rewrite(asked, (row) => {
            const { id: _id, ...before } = toRule(row)
            return parseRule({ ...before, ...withoutReadOnly(asked.body) })
          }),
        ),
    }),

    route({
      method: 'DELETE',
      path: '/v1/rules/{id}',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Removes a rule. Older versions still hold it.',
      params: one,
      answer: null,
      async run({ tenantId, params, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          const author = { createdBy: nameOf(actor), at: new Date(now()) }
          const { result } = await writeRules(tx, tenantId, author, (write) => write.remove([params.id]))
          if (result.length === 0) throw noRule()
          return { result: undefined, done: { action: 'rule.delete', tenantId, subject: params.id, changes: ['policies'] } }
        })
      },
    }),
  ]
}

const plain = (one: ReturnType<typeof toRule>) => ({ ...one, condition: { ...one.condition } })

const shown = (row: RuleRow): z.input<typeof rule> => ({
  ...plain(toRule(row)),
  tenant_id: row.tenantId,
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
})
