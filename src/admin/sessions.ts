import { z } from 'zod'
import { profileNames, profiles } from '../access/profiles.ts'
import {
  countLive,
  endSession,
  findKeyId,
  findSession,
  insertSession,
  isLocked,
  listSessions,
  lockSessions,
  type Owner,
  removeOver,
  SESSIONS_PER_TENANT_MAX,
  type SessionRow,
  unlockSessions,
} from '../access/session-store.ts'
import { lockTenant } from '../access/tenants.ts'
import type { Db, Tx } from '../db/connect.ts'
import { Refusal } from '../errors.ts'
import { noTenant, stranger } from './credentials.ts'
import { type AdminParts, change } from './parts.ts'
import { type Actor, nameOf, type Route, route } from './route.ts'
import { flag, iso, pageQuery, sentence, timestamp } from './shapes.ts'

/** What a lock of every tenant's sessions was done to, for the record. */
const INSTALLATION = 'installation'

const profile = z.enum(profileNames).meta({
  description: profileNames.map((name) => `${name} (${profiles[name].seconds} s): ${profiles[name].about}`).join('. '),
})

const session = z.strictObject({
  session_id: z.string(),
  tenant_id: z.string(),
  profile: z.string(),
  created_by: z.string(),
  created_at: timestamp,
  expires_at: timestamp,
  ended_at: timestamp.nullable(),
  active: z.boolean(),
})

const ofSession = z.object({ id: z.string() })
const noSession = (): Refusal => new Refusal('not_found', 'There is no such session.')

export function sessionRoutes(parts: AdminParts): Route[] {
  const { db, now } = parts
  const shown = (row: SessionRow): z.input<typeof session> => ({
    session_id: row.id,
    tenant_id: row.tenantId,
    profile: row.profile,
    created_by: row.createdBy,
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt.toISOString(),
    ended_at: iso(row.endedAt),
    active: row.endedAt === null && row.expiresAt.getTime() > now(),
  })

  return [
    route({
      method: 'POST',
      path: '/v1/sessions',
      scope: 'sessions:write',
      tenant: 'required',
      summary: 'Makes a short-lived token for calls, which is shown only in this answer. Made with a key, it has that key’s limits and ends with it.',
      body: z.strictObject({ profile: profile.default('quick_lock') }).meta({ examples: [{ profile: 'ritual_lock' }] }),
      answer: z.strictObject({ session_id: z.string(), token: z.string(), profile, expires_at: timestamp }),
      status: 201,
      async run({ tenantId, body, actor, requestId }) {
        if (actor.kind === 'key' && !actor.caller.scopes.has('proxy:write')) {
          throw new Refusal('forbidden', 'A key that may not send calls makes no sessions that may.', { context: { scope: 'proxy:write' } })
        }
        const minted = await parts.sessions.mint(body.profile)
        await change(parts, { actor, requestId }, async (tx) => {
          const tenant = await lockTenant(tx, tenantId)
          if (!tenant) throw noTenant()
          if (!tenant.active) throw new Refusal('conflict', 'The tenant is not active.')
          if (await isLocked(tx, tenantId)) throw new Refusal('sessions_locked', 'Sessions are locked: none can be made until somebody unlocks them.')
          if ((await countLive(tx, tenantId, minted.createdAt)) >= SESSIONS_PER_TENANT_MAX) {
            throw new Refusal('config', `A tenant can have at most ${SESSIONS_PER_TENANT_MAX} live sessions. End some, or wait until they are over.`)
          }
          const { keyId = null } = await ownerOf(tx, actor, tenantId)
          await insertSession(tx, tenantId, minted, { keyId, createdBy: nameOf(actor) })
          return { result: undefined, done: { action: 'session.create', tenantId, subject: minted.id, changes: [] } }
        })
        return { session_id: minted.id, token: minted.token, profile: minted.profile, expires_at: minted.expiresAt.toISOString() }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/sessions',
      scope: 'sessions:read',
      tenant: 'optional',
      summary: 'Lists live sessions, newest first; with active=false those that are over. A key sees those that were made with it.',
      query: z.strictObject({ ...pageQuery(), active: flag.default(true) }),
      answer: z.strictObject({
        sessions: z.array(session),
        count: z.number().int().meta({ description: 'On this page.' }),
        total: z.number().int(),
        limit: z.number().int(),
        offset: z.number().int(),
      }),
      async run({ tenantId, query: { active, limit, offset }, actor }) {
        const { rows, total } = await listSessions(db, await ownerOf(db, actor, tenantId), { active, at: new Date(now()), limit, offset })
        return { sessions: rows.map(shown), count: rows.length, total, limit, offset }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/sessions/{id}',
      scope: 'sessions:read',
      tenant: 'optional',
      summary: 'A session, never its token.',
      params: ofSession,
      answer: session,
      async run({ tenantId, params, actor }) {
        const row = await findSession(db, await ownerOf(db, actor, tenantId), params.id)
        if (!row) throw noSession()
        return shown(row)
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/sessions/{id}',
      scope: 'sessions:write',
      tenant: 'optional',
      summary: 'Ends a session: within two seconds no process takes its token. A key ends those that were made with it.',
      params: ofSession,
      answer: null,
      async run({ tenantId, params, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          const row = await findSession(tx, await ownerOf(tx, actor, tenantId), params.id)
          if (!row) throw noSession()
          await endSession(tx, row.tenantId, row.id, new Date(now()))
          return { result: undefined, done: { action: 'session.revoke', tenantId: row.tenantId, subject: row.id, changes: ['sessions'] } }
        })
      },
    }),

    route({
      method: 'POST',
      path: '/v1/sessions/lock-all',
      scope: 'sessions:lock',
      tenant: 'optional',
      summary: 'Ends all sessions of the tenant, or of every tenant, on every process within two seconds, and lets none be made until somebody unlocks them.',
      body: z
        .strictObject({
          reason: sentence.nullable().default(null).meta({ description: 'For the record.' }),
        })
        .meta({ examples: [{ reason: 'A laptop was lost.' }] }),
      answer: z.strictObject({ ended: z.number().int(), locked: z.literal(true) }),
      async run({ tenantId, body: { reason }, actor, requestId }) {
        const ended = await change(parts, { actor, requestId }, async (tx) => {
          const ended = await lockSessions(tx, tenantId, { by: nameOf(actor), at: new Date(now()) })
          const details = { ended, ...(reason !== null && { reason }) }
          const done = { action: 'sessions.lock', tenantId, subject: tenantId ?? INSTALLATION, details, changes: ['sessions'] as const }
          return { result: ended, done }
        })
        return { ended, locked: true as const }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/sessions/unlock',
      scope: 'sessions:unlock',
      tenant: 'optional',
      summary: 'Lets sessions be made again. A lock of the whole installation is lifted for all of it, or not at all: 409 within one tenant.',
      body: z.strictObject({}),
      answer: z.strictObject({ locked: z.literal(false) }),
      async run({ tenantId, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          if (!(await unlockSessions(tx, tenantId))) {
            throw new Refusal('conflict', 'The sessions of the whole installation are locked. Whoever stands for it unlocks them, without naming a tenant.')
          }
          return { result: undefined, done: { action: 'sessions.unlock', tenantId, subject: tenantId ?? INSTALLATION, changes: ['sessions'] } }
        })
        return { locked: false as const }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/sessions/cleanup',
      scope: 'sessions:lock',
      tenant: 'optional',
      summary: 'Removes sessions that are over from the list, some at a time; the audit log keeps that they were.',
      body: z.strictObject({}),
      answer: z.strictObject({ removed: z.number().int() }),
      async run({ tenantId, actor, requestId }) {
        const removed = await change(parts, { actor, requestId }, async (tx) => {
          const removed = await removeOver(tx, tenantId, new Date(now()))
          return { result: removed, done: { action: 'sessions.cleanup', tenantId, subject: tenantId ?? INSTALLATION, changes: ['sessions'] } }
        })
        return { removed }
      },
    }),
  ]

  /** Whose sessions somebody may see and end: a key, those that were made with it. */
  async function ownerOf(reader: Db | Tx, actor: Actor, tenantId: string | null): Promise<Owner> {
    if (actor.kind !== 'key') return { tenantId }
    const { tenant, keyPrefix } = actor.caller
    const keyId = await findKeyId(reader, tenant.id, keyPrefix)
    if (keyId === undefined) throw stranger() // revoked a moment ago
    return { tenantId: tenant.id, keyId }
  }
}
