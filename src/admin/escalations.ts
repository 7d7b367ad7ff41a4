import { z } from 'zod'
import { roles } from '../call.ts'
import type { Tx } from '../db/connect.ts'
import { Refusal } from '../errors.ts'
import {
  decide,
  type EscalationFacts,
  type EscalationRow,
  findEscalation,
  listEscalations,
  lockEscalation,
  personBehind,
  statuses,
} from '../escalations/decisions.ts'
import { actions } from '../rules/rule.ts'
import { type AdminParts, change } from './parts.ts'
import { nameOf, type Route, route } from './route.ts'
import { iso, listOf, pageQuery, sentence, timestamp } from './shapes.ts'

export interface EscalationParts {
  escalations: {
    /** What a pending one says, as JSON. Throws where that is gone. */
    contentOf(tx: Tx, row: EscalationRow): Promise<string>
  }
}

const escalation = z.strictObject({
  id: z.string(),
  status: z.enum(statuses).meta({
    description:
      'expired: nobody decided in time, the rules were changed or whoever called lost the right to before somebody did, or nobody used the approval in time',
  }),
  request_id: z.string().meta({ description: 'Of the call that was held first.' }),
  audit_id: z.string(),
  tenant_id: z.string(),
  key_prefix: z.string(),
  agent_id: z.string().nullable(),
  user_id: z.string().nullable(),
  dialect: z.string(),
  endpoint: z.string().nullable(),
  model: z.string().nullable(),
  rules_triggered: z.array(z.string()),
  policy_version: z.number().int(),
  body_hash: z.string(),
  created_at: timestamp,
  expires_at: timestamp.meta({ description: 'Until when it can be decided; once it is approved, until when the approval can be used.' }),
  decided_at: timestamp.nullable(),
  decided_by: z.string().nullable(),
  comment: z.string().nullable(),
  used_at: timestamp.nullable(),
})

const action = z.enum(actions)
const content = z.strictObject({
  escalation,
  content: z.strictObject({
    method: z.string(),
    path: z.string(),
    query: z.string().meta({ description: 'With its question mark, or empty; without a key.' }),
    headers: z
      .array(z.strictObject({ name: z.string(), value: z.string() }))
      .meta({ description: 'Those that travel to the provider and belong to the call: no credential, and nothing that libraries make anew for each try.' }),
    content_type: z.string(),
    models: z.array(z.string()),
    user: z.string().nullable(),
    metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).meta({ description: 'What the caller says about the call.' }),
    rules: z.array(z.strictObject({ id: z.string(), name: z.string(), action, count: z.number().int() })).meta({
      description:
        'All rules in force that hold for it, those for which it is held first. count: what each found, of one that cuts nothing at most 1000; 0 where it asks only who and where.',
    }),
    texts: z
      .array(
        z.strictObject({
          role: z.enum(roles),
          where: z.string(),
          text: z.string(),
          spans: z
            .array(z.strictObject({ start: z.number().int(), end: z.number().int(), rule_id: z.string(), rule_name: z.string(), action }))
            .meta({ description: 'What rules found in it, in UTF-16 code units.' }),
          spans_left_out: z.number().int(),
        }),
      )
      .meta({ description: 'All that stand beside the body, and of the body as many as a person can read, first those in which something was found.' }),
    texts_left_out: z.number().int(),
    opaque_bytes: z.number().int(),
    sealed_bytes: z.number().int(),
    sent_as_is: z.literal(true).meta({ description: 'Once approved, it is sent as it is: what a rule with the action REDACT would have cut, too.' }),
    body: z.string(),
    body_encoding: z.enum(['utf-8', 'base64']),
  }),
})

const params = z.object({ id: z.string().max(64) })

export function escalationRoutes(parts: AdminParts & EscalationParts): Route[] {
  const { db } = parts

  const decisionRoute = (verb: 'approve' | 'deny', summary: string) =>
    route({
      method: 'POST',
      path: `/v1/escalations/{id}/${verb}`,
      scope: 'escalations:decide',
      tenant: 'optional',
      summary,
      params,
      body: z.strictObject({ comment: sentence.nullable().default(null) }).meta({ examples: [{ comment: 'The recipient is known.' }] }),
      answer: escalation,
      async run({ tenantId, params: { id }, body: { comment }, actor, requestId }) {
        const status = verb === 'approve' ? 'approved' : 'denied'
        const decided = await change(parts, { actor, requestId }, async (tx) => {
          const row = pending(await lockEscalation(tx, tenantId, id))
          const by = nameOf(actor)
          if (verb === 'approve' && (await personBehind(tx, row)) === by) throw ownCall()
          const result = await decide(tx, row, { status, by, comment })
          const action = result.status === 'expired' ? 'escalation.expire' : `escalation.${verb}`
          return { result, done: { ...about(row, action), changes: ['escalations'] } }
        })
        if (decided.status === 'expired')
          throw conflict(
            decided,
            'The rules have changed since the call was held, or whoever made it may make none any more, so that nothing can be decided: sent again, it is another call.',
          )
        return shown(decided)
      },
    })

  return [
    route({
      method: 'GET',
      path: '/v1/escalations',
      scope: 'escalations:read',
      tenant: 'optional',
      summary: 'Lists calls that wait for a person, or did, newest first, without what they say.',
      query: z.strictObject({ ...pageQuery(), status: z.enum(statuses).optional() }),
      answer: listOf('escalations', escalation),
      async run({ tenantId, query }) {
        const { rows, total } = await listEscalations(db, tenantId, query)
        return { escalations: rows.map(shown), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/escalations/{id}',
      scope: 'escalations:read',
      tenant: 'optional',
      summary: 'Shows one of them, without what it says.',
      params,
      answer: escalation,
      run: async ({ tenantId, params: { id } }) => shown(found(await findEscalation(db, tenantId, id))),
    }),

    route({
      method: 'GET',
      path: '/v1/escalations/{id}/content',
      scope: 'escalations:decide',
      tenant: 'optional',
      summary: 'Shows what a pending call says and what rules found in it. Every look is recorded. Once it is decided, what it says is destroyed.',
      params,
      answer: content,
      async run({ tenantId, params: { id }, actor, requestId }) {
        return change(parts, { actor, requestId }, async (tx) => {
          const row = pending(await lockEscalation(tx, tenantId, id))
          const result = { escalation: shown(row), content: JSON.parse(await parts.escalations.contentOf(tx, row)) as z.input<typeof content>['content'] }
          return { result, done: { ...about(row, 'escalation.look'), changes: [] } }
        })
      },
    }),

    decisionRoute(
      'approve',
      'Lets exactly this call be made, once: its connection if it waits, or the same bytes sent again with x-earthflow-approval-id within an hour.',
    ),
    decisionRoute('deny', 'Refuses it. What the comment says is for users of this API, not for who called.'),
  ]
}

/** The comment may say what the call says, so that it stands in the row alone. */
const about = ({ id, tenantId, requestId, auditId }: EscalationFacts, action: string) => ({
  action,
  tenantId,
  subject: id,
  details: { request_id: requestId, audit_id: auditId },
})

function found<Row>(row: Row | undefined): Row {
  if (!row) throw new Refusal('not_found', 'There is no such escalation.')
  return row
}

/** Throws a Refusal that tells what is known where it is not pending any more. */
function pending(row: EscalationRow | undefined): EscalationRow {
  const { status, decidedAt, decidedBy } = found(row)
  if (status !== 'pending') {
    const said = decidedBy === null ? 'Nobody decided in time.' : `It was ${status === 'denied' ? 'denied' : 'approved'} by ${decidedBy} at ${iso(decidedAt)}.`
    throw conflict(row!, said)
  }
  return row!
}

const ownCall = (): Refusal => new Refusal('forbidden', 'Nobody approves a call of their own: it was made in a session that you made. You can deny it.')

const conflict = (row: EscalationFacts, message: string): Refusal => new Refusal('conflict', message, { context: { escalation: shown(row) } })

const shown = (row: EscalationFacts): z.input<typeof escalation> => ({
  id: row.id,
  status: row.status,
  request_id: row.requestId,
  audit_id: row.auditId,
  tenant_id: row.tenantId,
  key_prefix: row.keyPrefix,
  agent_id: row.agentId,
  user_id: row.userId,
  dialect: row.dialect,
  endpoint: row.endpoint,
  model: row.model,
  rules_triggered: row.rulesTriggered,
  policy_version: row.policyVersion,
  body_hash: row.bodyHash,
  created_at: row.createdAt.toISOString(),
  expires_at: row.expiresAt.toISOString(),
  decided_at: iso(row.decidedAt),
  decided_by: row.decidedBy,
  comment: row.comment,
  used_at: iso(row.usedAt),
})
