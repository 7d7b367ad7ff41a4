import { z } from 'zod'
import { Refusal } from '../../errors.ts'
import { checkDictionary, type DictionaryRow, findDictionary, listDictionaries, rulesUsing, TERMS_PER_DICTIONARY_MAX } from '../../rules/dictionaries.ts'
import { writeRules } from '../../rules/store.ts'
import { type AdminParts, change } from '../parts.ts'
import { ignored } from '../read-only.ts'
import { type Route, route } from '../route.ts'
import { listOf, pageQuery, timestamp } from '../shapes.ts'
import { writeQuery } from './rule-shapes.ts'
import { writingBy } from './rule-writes.ts'

const one = z.object({ name: z.string() })
const about = { name: z.string(), tenant_id: z.string(), case_sensitive: z.boolean(), created_at: timestamp, updated_at: timestamp }
const terms = z.array(z.string())
const listed = z.strictObject({ ...about, terms_count: z.number().int() })
const whole = z.strictObject({ ...about, terms })
const given = z.strictObject({
  name: z.string().optional().meta({ description: 'May be repeated from the path.' }),
  terms: terms.min(1).max(TERMS_PER_DICTIONARY_MAX),
  case_sensitive: z.boolean().default(false),
  ...{ tenant_id: ignored, created_at: ignored, updated_at: ignored, policy_version: ignored },
})

export function dictionaryRoutes(parts: AdminParts): Route[] {
  const { db } = parts
  const writing = writingBy(parts)

  return [
    route({
      method: 'GET',
      path: '/v1/dictionaries',
      scope: 'rules:read',
      tenant: 'optional',
      summary: 'Lists the dictionaries by name, without their terms.',
      query: z.strictObject(pageQuery()),
      answer: listOf('dictionaries', listed),
      async run({ tenantId, query }) {
        const { rows, total } = await listDictionaries(db, tenantId, query)
        return { dictionaries: rows.map((row) => ({ ...shownAbout(row), terms_count: row.terms })), total, ...query }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/dictionaries/{name}',
      scope: 'rules:read',
      tenant: 'required',
      summary: 'One dictionary with its terms.',
      params: one,
      answer: whole,
      async run({ tenantId, params }) {
        const row = await findDictionary(db, tenantId, params.name)
        if (!row) throw noDictionary()
        return { ...shownAbout(row), terms: row.terms }
      },
    }),

    route({
      method: 'PUT',
      path: '/v1/dictionaries/{name}',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Makes or replaces a dictionary, and with it a new version of the policy. Rules look for its terms by `detects` and its name.',
      params: one,
      query: z.strictObject(writeQuery),
      body: given,
      answer: z.strictObject({ ...about, terms, policy_version: z.number().int() }),
      async run({ tenantId, params: { name }, query, body, actor, requestId }) {
        if (body.name !== undefined && body.name !== name)
          throw new Refusal('invalid_request', 'name: The path names another dictionary.', { context: { field: 'name' } })
        const dictionary = checkDictionary(name, body)
        const { row, version } = await change(parts, { actor, requestId }, async (tx) => {
          const { version } = await writeRules(tx, tenantId, writing(actor, query), (write) => write.putDictionary(name, dictionary))
          const row = await findDictionary(tx, tenantId, name)
          if (!row) throw noDictionary()
          return { result: { row, version }, done: { action: 'dictionary.put', tenantId, subject: name, changes: ['policies'] } }
        })
        return { ...shownAbout(row), terms: row.terms, policy_version: version }
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/dictionaries/{name}',
      scope: 'rules:write',
      tenant: 'required',
      summary: 'Removes a dictionary, and with it makes a new version of the policy. 409 while a rule looks for it, active or not.',
      params: one,
      query: z.strictObject(writeQuery),
      answer: null,
      async run({ tenantId, params: { name }, query, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          await writeRules(tx, tenantId, writing(actor, query), async (write) => {
            if (!(await write.removeDictionary(name))) throw noDictionary()
            // Inactive ones too: they could neither be activated nor imported again.
            refuseWhileUsed(rulesUsing(name, await write.all()))
          })
          return { result: undefined, done: { action: 'dictionary.delete', tenantId, subject: name, changes: ['policies'] } }
        })
      },
    }),
  ]
}

const RULES_NAMED_MAX = 20

function refuseWhileUsed(users: readonly { id: string; name: string }[]): void {
  if (users.length === 0) return
  const rules = users.slice(0, RULES_NAMED_MAX).map(({ id, name }) => ({ rule_id: id, name }))
  const names = rules.map(({ name }) => `'${name}'`).join(', ')
  throw new Refusal('conflict', `Rules look for this dictionary: ${names}.`, { context: { rules } })
}

const noDictionary = (): Refusal => new Refusal('not_found', 'There is no such dictionary.')

const shownAbout = ({ name, tenantId, caseSensitive, createdAt, updatedAt }: Omit<DictionaryRow, 'terms'>) => ({
  name,
  tenant_id: tenantId,
  case_sensitive: caseSensitive,
  created_at: createdAt.toISOString(),
  updated_at: updatedAt.toISOString(),
})
