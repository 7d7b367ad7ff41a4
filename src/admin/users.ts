import { z } from 'zod'
import { endLogins } from '../access/logins.ts'
import { type Role, scopesOf } from '../access/roles.ts'
import { endSessionsOf } from '../access/session-store.ts'
import { lockTenant } from '../access/tenants.ts'
import {
  changeUser,
  countUsers,
  findUser,
  insertUser,
  listUsers,
  lockOwners,
  lockUser,
  USERS_PER_TENANT_MAX,
  type UserChanges,
  type UserRow,
} from '../access/users.ts'
import { violatedUnique } from '../db/unavailable.ts'
import { Refusal } from '../errors.ts'
import { may, noTenant } from './credentials.ts'
import { type AdminParts, change } from './parts.ts'
import { type Actor, type Route, route } from './route.ts'
import { listOf, pageQuery } from './shapes.ts'
import { changedUser, newPasswordHash, newUser, shownUser, user } from './user-shape.ts'

const one = z.object({ id: z.string().max(64) })
const noUser = (): Refusal => new Refusal('not_found', 'There is no such person.')

export function userRoutes(parts: AdminParts): Route[] {
  const { db } = parts

  return [
    route({
      method: 'GET',
      path: '/v1/users',
      scope: 'users:read',
      tenant: 'optional',
      summary: "Lists people, newest first, those who were deactivated too: a tenant's, or all of the installation where none is named.",
      query: z.strictObject(pageQuery()),
      answer: listOf('users', user),
      async run({ query, tenantId }) {
        const { rows, total } = await listUsers(db, { ...query, tenantId })
        return { users: rows.map(shownUser), total, ...query }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/users',
      scope: 'users:write',
      tenant: 'optional',
      summary: 'Adds a person to the tenant, or where none is named to the whole installation.',
      body: newUser.meta({ examples: [{ email: 'ada@example.com', name: 'Ada', role: 'rule_author', password: 'four words nobody says' }] }),
      answer: user,
      status: 201,
      async run({ body, tenantId, actor, requestId }) {
        refuseBeyond(actor, body.role, tenantId)
        const passwordHash = body.password === undefined ? null : await newPasswordHash(parts.passwords, body.password, body.email)
        const { email, role, name = email } = body
        const row = await change(parts, { actor, requestId }, async (tx) => {
          if (tenantId !== null) {
            const tenant = await lockTenant(tx, tenantId)
            if (!tenant) throw noTenant()
            if (!tenant.active) throw new Refusal('conflict', 'The tenant is not active.')
          }
          if ((await countUsers(tx, tenantId)) >= USERS_PER_TENANT_MAX) throw new Refusal('config', `There can be at most ${USERS_PER_TENANT_MAX} people.`)
          const made = await insertUser(tx, { tenantId, email, name, role, passwordHash })
          return { result: made, done: { action: 'user.create', tenantId, subject: made.id, changes: [] } }
        }).catch((error: unknown) => {
          throw violatedUnique(error) === undefined
            ? error
            : new Refusal('conflict', 'email: Somebody has this e-mail address already.', { context: { field: 'email' } })
        })
        return shownUser(row)
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/users/{id}',
      scope: 'users:write',
      tenant: 'optional',
      summary: 'Changes what is named. Another password or role, or active: false, ends all logins of the person at once.',
      params: one,
      body: changedUser.meta({ examples: [{ role: 'auditor' }] }),
      answer: user,
      async run({ params, body: { password, ...fields }, tenantId, actor, requestId }) {
        if (password !== undefined && actor.kind === 'person' && actor.person.id === params.id) {
          throw new Refusal('conflict', 'password: Your own is changed with POST /v1/auth/password.', { context: { field: 'password' } })
        }
        const before = await findUser(db, tenantId, params.id)
        if (!before) throw noUser()
        const passwordHash = password === undefined ? undefined : await newPasswordHash(parts.passwords, password, before.email)
        return shownUser(await changed({ actor, requestId }, tenantId, params.id, { ...fields, ...(passwordHash && { passwordHash }) }))
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/users/{id}',
      scope: 'users:write',
      tenant: 'optional',
      summary: 'Deactivates a person and ends all their logins. What they did stays in the audit log.',
      params: one,
      answer: null,
      async run({ params, tenantId, actor, requestId }) {
        await changed({ actor, requestId }, tenantId, params.id, { active: false })
      },
    }),
  ]

  function changed(author: { actor: Actor; requestId: string }, reach: string | null, id: string, fields: Named<UserChanges>): Promise<UserRow> {
    const { actor } = author
    return change(parts, author, async (tx) => {
      // Owners first, always: whoever locks one person before the others could wait for somebody who waits for them.
      const owners = actor.kind === 'person' && reach === null ? await lockOwners(tx) : []
      const before = await lockUser(tx, reach, id)
      if (!before) throw noUser()
      const isOtherRole = fields.role !== undefined && fields.role !== before.role
      const isOtherState = fields.active !== undefined && fields.active !== before.active
      if (fields.role !== undefined && isOtherRole) refuseBeyond(actor, fields.role, before.tenantId)
      if (actor.kind === 'person' && (isOtherRole || isOtherState)) {
        if (actor.person.id === id) throw new Refusal('conflict', 'Nobody changes their own role, or deactivates themselves.')
        if (owners.length === 1 && owners[0] === id) throw new Refusal('conflict', 'This is the last owner of the installation.')
      }
      const after = await changeUser(tx, reach, id, defined(fields))
      if (!after) throw noUser()
      const isEnd = isOtherRole || isOtherState || fields.passwordHash !== undefined
      if (isEnd) await endLogins(tx, id)
      const isLess = isOtherRole || isOtherState
      if (isLess) await endSessionsOf(tx, before.email, new Date(parts.now()))
      const action = fields.active === false ? 'user.delete' : 'user.update'
      // The name too is what a login tells.
      return { result: after, done: { action, tenantId: before.tenantId, subject: id, changes: isLess ? ['users', 'sessions'] : ['users'] } }
    })
  }
}

type Named<Fields> = { [Name in keyof Fields]?: Fields[Name] | undefined }

const defined = (fields: Named<UserChanges>): UserChanges =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as UserChanges

/** Nobody gives away what they may not do themselves. */
function refuseBeyond(actor: Actor, role: Role, tenantId: string | null): void {
  const beyond = [...scopesOf(role, tenantId)].find((scope) => !may(actor, scope))
  if (beyond !== undefined) throw new Refusal('forbidden', `Nobody gives away what they may not do themselves: ${beyond}.`, { context: { scope: beyond } })
}
