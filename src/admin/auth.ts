/** Logging in, logging out, and who one is. */
import { z } from 'zod'
import { endLogin, endLogins, insertLogin, LOGIN_MS, type NewLogin } from '../access/logins.ts'
import type { Peer } from '../access/peer.ts'
import type { Person } from '../access/person.ts'
import { isRole, scopesOf } from '../access/roles.ts'
import { scopes, withImplied } from '../access/scopes.ts'
import { findTenant } from '../access/tenants.ts'
import { changeUser, findByEmail, lockUser, type UserRow, type UserWithPassword } from '../access/users.ts'
import type { Db, Tx } from '../db/connect.ts'
import { Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import { LOGIN_COOKIE } from './credentials.ts'
import { type AdminParts, change } from './parts.ts'
import { type Actor, type Route, reachOf, route } from './route.ts'
import { timestamp } from './shapes.ts'
import { emailShape, newPasswordHash, passwordShape, roleShape, shownUser, user } from './user-shape.ts'

/** One text for every cause: unknown, wrong, without a password, deactivated, of a tenant that is closed. */
const wrong = (): Refusal => new Refusal('unauthenticated', 'The e-mail address or the password is wrong.', { headers: ['www-authenticate', 'Bearer'] })

/** RFC 6265bis; the name's prefix demands Secure and Path=/. */
const cookie = (token: string, seconds: number): string => `${LOGIN_COOKIE}=${token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=${seconds}`

export function authRoutes(parts: AdminParts): Route[] {
  const { db, now, loginTokens, passwords, throttle } = parts

  return [
    route({
      method: 'POST',
      path: '/v1/auth/login',
      scope: 'public',
      tenant: 'none',
      summary: 'Logs in with a password, for 12 hours. The token goes as "Authorization: Bearer"; browsers get it as a cookie that no page can read.',
      body: z
        .strictObject({ email: emailShape, password: passwordShape })
        .meta({ examples: [{ email: 'ada@example.com', password: 'four words nobody says' }] }),
      answer: z.strictObject({ token: z.string(), expires_at: timestamp, user }),
      cookie: ({ token }) => cookie(token, LOGIN_MS / 1_000),
      async run({ body, peer, requestId }) {
        const found = await verified(body, peer, requestId)
        const at = now()
        const login = { id: newId('login', at), userId: found.id, createdAt: new Date(at), expiresAt: new Date(at + LOGIN_MS) }
        const token = await loginTokens.mint(login)
        const row = await begin(found, login, requestId)
        return { token, expires_at: login.expiresAt.toISOString(), user: shownUser(row) }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/auth/logout',
      scope: 'any',
      tenant: 'none',
      summary: 'Ends the login that this is asked with. Keys are revoked instead, and tokens of an identity provider end there.',
      answer: null,
      cookie: () => cookie('', 0),
      async run({ actor, requestId }) {
        if (actor.kind !== 'person' || actor.person.loginId === null) throw new Refusal('conflict', 'Only a login with a password can be ended here.')
        const { id, loginId, tenantId } = actor.person
        await change(parts, { actor, requestId }, async (tx) => {
          await endLogin(tx, id, loginId)
          return { result: undefined, done: { action: 'logout', tenantId, subject: id, changes: ['users'] } }
        })
      },
    }),

    route({
      method: 'POST',
      path: '/v1/auth/password',
      scope: 'any',
      tenant: 'none',
      summary: 'Changes the password of whoever has logged in, and ends all their logins, this one too.',
      body: z
        .strictObject({ current_password: passwordShape, password: passwordShape })
        .meta({ examples: [{ current_password: 'four words nobody says', password: 'four other words instead' }] }),
      answer: null,
      cookie: () => cookie('', 0),
      async run({ body, actor, peer, requestId }) {
        if (actor.kind !== 'person' || actor.person.loginId === null) throw new Refusal('conflict', 'Only who has logged in with a password has one to change.')
        const found = await verified({ email: actor.person.email, password: body.current_password }, peer, requestId).catch((error: unknown) => {
          throw error instanceof Refusal && error.reason === 'unauthenticated' ? new Refusal('forbidden', 'The current password is wrong.') : error
        })
        const passwordHash = await newPasswordHash(passwords, body.password, found.email)
        await change(parts, { actor, requestId }, async (tx) => {
          const still = await lockUser(tx, found.tenantId, found.id)
          if (!still?.active || still.passwordHash !== found.passwordHash) throw new Refusal('conflict', 'The person was changed by somebody else meanwhile.')
          await changeUser(tx, found.tenantId, found.id, { passwordHash })
          await endLogins(tx, found.id)
          return { result: undefined, done: { action: 'user.update', tenantId: found.tenantId, subject: found.id, changes: ['users'] } }
        })
      },
    }),

    route({
      method: 'GET',
      path: '/v1/auth/me',
      scope: 'any',
      tenant: 'none',
      summary: 'Who asks, and what they may do.',
      answer: z.strictObject({
        kind: z.enum(['admin', 'key', 'person']),
        id: z.string().meta({ description: 'Of a person; the prefix of a key; "admin".' }),
        email: z.string().nullable(),
        name: z.string().nullable(),
        role: roleShape.nullable(),
        tenant_id: z.string().nullable(),
        scopes: z.array(z.string()),
      }),
      async run({ actor }) {
        const held = actor.kind === 'admin' ? Object.keys(scopes) : actor.kind === 'key' ? withImplied(actor.caller.scopes) : actor.person.scopes
        return { kind: actor.kind, ...selfOf(actor), tenant_id: reachOf(actor), scopes: [...held].sort() }
      },
    }),
  ]

  /** Throws a Refusal unless it is somebody's password, after as much work for an unknown address as for a wrong password. */
  async function verified({ email, password }: { email: string; password: string }, { address }: Peer, requestId: string): Promise<UserWithPassword> {
    const attempt = await throttle.take(email, address).catch((error: unknown) => {
      if (error instanceof Refusal) parts.loginFailed('throttled', { requestId, address })
      throw error
    })
    try {
      const found = await findByEmail(db, email)
      const isRight = await passwords.verify(password, found?.passwordHash ?? null)
      if (found && isRight && found.active && (await isOpen(found.tenantId))) {
        await attempt.succeeded()
        return found
      }
    } catch (error) {
      await attempt.undo()
      throw error
    }
    parts.loginFailed('credentials', { requestId, address })
    throw wrong()
  }

  async function isOpen(tenantId: string | null, source: Db | Tx = db): Promise<boolean> {
    return tenantId === null || (await findTenant(source, tenantId))?.active === true
  }

  function begin(found: UserWithPassword, login: NewLogin, requestId: string): Promise<UserRow> {
    const { id, email, name, tenantId, role } = found
    if (!isRole(role)) throw wrong()
    const person: Person = { id, email, name, role, tenantId, scopes: scopesOf(role, tenantId), loginId: login.id }
    return change(parts, { actor: { kind: 'person', person }, requestId }, async (tx) => {
      // It may have been changed while the password was computed.
      const still = await lockUser(tx, tenantId, id)
      if (!still?.active || still.passwordHash !== found.passwordHash || !(await isOpen(tenantId, tx))) throw wrong()
      const { endedOthers } = await insertLogin(tx, login)
      const row = await changeUser(tx, tenantId, id, { lastLoginAt: login.createdAt })
      if (!row) throw wrong()
      return { result: row, done: { action: 'login', tenantId, subject: id, changes: endedOthers ? ['users'] : [] } }
    })
  }
}

function selfOf(actor: Actor) {
  if (actor.kind === 'admin') return { id: 'admin', email: null, name: null, role: null }
  if (actor.kind === 'key') return { id: actor.caller.keyPrefix, email: null, name: null, role: null }
  const { id, email, name, role } = actor.person
  return { id, email, name, role }
}
