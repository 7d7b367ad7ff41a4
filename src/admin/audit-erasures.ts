import { z } from 'zod'
import { erasePerson } from '../audit/erasure.ts'
import { recordChange } from '../audit/record-change.ts'
import { Refusal } from '../errors.ts'
import type { AdminParts } from './parts.ts'
import { nameOf, type Route, route } from './route.ts'
import { momentOrDay } from './shapes.ts'

const USER_CHARACTERS_MAX = 256

const erasure = z.strictObject({
  user_id: z.string().min(1).max(USER_CHARACTERS_MAX).meta({ description: 'As the entries have it.' }),
  from: momentOrDay.optional().meta({ description: 'The first moment; without it, from the beginning.' }),
  to: momentOrDay.optional().meta({ description: 'The moment after the last; without it, until now.' }),
})

const erased = z
  .strictObject({
    erased: z.number().int().meta({ description: 'Entries that no longer say who it was, and have lost their metadata.' }),
    pending: z.number().int().meta({
      description: 'Entries that still do: of calls under way, without a place in the chain yet, or too many for one request. Ask again until there are none.',
    }),
  })
  .meta({ description: "The tenant's budgets for this user keep the name: they are settings, and are deleted by DELETE /v1/budgets/{id}." })

export function erasureRoutes({ db, now, seal, recorded }: AdminParts): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/audit/erasures',
      scope: 'audit:erase',
      tenant: 'required',
      summary:
        "Takes a user out of the tenant's audit log and ledger of costs, for good: who it was, and what callers said of the calls. The log stays provable, and says that something was erased, not whose.",
      body: erasure.meta({ examples: [{ user_id: 'ann@example.com' }] }),
      answer: erased,
      async run({ tenantId, body: { user_id: userId, from, to }, actor, requestId }) {
        if (from && to && from >= to) throw new Refusal('invalid_request', 'from: Must be before to.', { context: { field: 'from' } })
        await recorded()
        const author = { actor: nameOf(actor), keyPrefix: actor.kind === 'key' ? actor.caller.keyPrefix : null, requestId }
        return erasePerson(
          db,
          { tenantId, userId, from, to },
          { now, record: (tx, { metadata, ...record }) => recordChange(tx, { ...record, ...author, details: metadata }, seal) },
        )
      },
    }),
  ]
}
