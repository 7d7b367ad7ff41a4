/**
 * The rows of webhooks. A secret goes in sealed, and comes out only through `secretsOf`, for what is signed with it. Whoever writes in a transaction
 * announces a change of 'webhooks' at its end.
 */
import type { Keyring } from '../crypto/keyring.ts'
import { placeIn, webhookPreviousSecret, webhookSecret } from '../crypto/sealed-columns.ts'
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, isNull, sql } from '../db/drizzle.ts'
import { webhooks } from '../db/schema.ts'
import { EgressRefused } from '../egress/check-url.ts'
import { Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import { generateSecret } from './secrets.ts'

/** A row whose secrets are still sealed. */
export type WebhookRow = typeof webhooks.$inferSelect

export interface WebhookFields {
  url: string
  description: string
  events: readonly string[]
  active: boolean
}

/** A checked and sealed row or part of one, ready to be written. */
export type Prepared<Fields> = { readonly prepared: Fields }

export interface EndpointsOptions {
  db: Db
  keyring: Pick<Keyring, 'seal' | 'open'>
  /** Throws EgressRefused, with a sentence for the administrator, for addresses nothing may be sent to. */
  checkUrl(url: string): Promise<unknown>
  /** Milliseconds since 1970. */
  now(): number
}

/** Of each tenant, and of the installation. */
export const WEBHOOKS_MAX = 20
/** How long a secret that was replaced signs beside the new one. */
export const OVERLAP_MS = 86_400_000
/** pg_advisory_xact_lock: webhooks are counted and added by one at a time. */
const ADD_LOCK = 0x6561_7274_0008

type NewRow = Omit<WebhookRow, 'createdAt'>
type Change = Partial<Omit<WebhookRow, 'id' | 'tenantId' | 'createdBy' | 'createdAt'>>

export type Endpoints = ReturnType<typeof createEndpoints>

export function createEndpoints({ db, keyring, checkUrl, now }: EndpointsOptions) {
  return {
    /** Checks a new one and seals its secret, which is made where none is given. Call it outside any transaction. Throws a Refusal. */
    async prepare(
      tenantId: string | null,
      fields: WebhookFields,
      { secret = generateSecret(), createdBy }: { secret?: string | undefined; createdBy: string },
    ): Promise<Prepared<NewRow> & { secret: string }> {
      await checkPlace(fields.url)
      const id = newId('wh')
      const sealed = await keyring.seal(tenantId, placeIn(webhookSecret, id), secret)
      const nothingYet = { previousSecret: null, previousUntil: null, failingSince: null, failedAt: null, disabledReason: null }
      return { secret, prepared: { id, tenantId, ...fields, events: [...fields.events], secret: sealed, ...nothingYet, createdBy } }
    },

    /** The same for a change of an existing one; fields left out stay as they are. */
    async prepareChange(fields: { [Field in keyof WebhookFields]?: WebhookFields[Field] | undefined }): Promise<Prepared<Change>> {
      const { url, description, events, active } = fields
      if (url !== undefined) await checkPlace(url)
      const prepared: Change = {
        ...(url !== undefined && { url }),
        ...(description !== undefined && { description }),
        ...(events !== undefined && { events: [...events] }),
        ...(active !== undefined && { active }),
      }
      return { prepared }
    },

    /** The same for another secret. The present one signs beside it for a while; one that did so until now is dropped. */
    async prepareRotation(row: WebhookRow, secret: string = generateSecret()): Promise<Prepared<Change> & { secret: string }> {
      const replaced = await openSecret(row)
      if (replaced === secret) throw new Refusal('config', 'secret: It has this one already.', { context: { field: 'secret' } })
      const [sealed, previousSecret] = await Promise.all([
        keyring.seal(row.tenantId, placeIn(webhookSecret, row.id), secret),
        keyring.seal(row.tenantId, placeIn(webhookPreviousSecret, row.id), replaced),
      ])
      return { secret, prepared: { secret: sealed, previousSecret, previousUntil: new Date(now() + OVERLAP_MS) } }
    },

    /** Throws a Refusal where there are enough. */
    async insert(tx: Tx, { prepared }: Prepared<NewRow>): Promise<WebhookRow> {
      await tx.execute(sql`select pg_advisory_xact_lock(${ADD_LOCK}::bigint)`)
      const [counted] = await tx.select({ total: count() }).from(webhooks).where(ownedBy(prepared.tenantId))
      if (counted.total >= WEBHOOKS_MAX) throw new Refusal('config', `There can be at most ${WEBHOOKS_MAX} webhooks. Delete some.`)
      const [row] = await tx.insert(webhooks).values(prepared).returning()
      return row
    },

    /**
     * `before` is the row the change was prepared for. Throws a Refusal where a secret is replaced that is another by now. A secret whose time is over
     * leaves the row. One that is made active again, or is somewhere else, has not failed yet: that goes by the row as it is, which the program may have
     * disabled meanwhile.
     */
    async change(tx: Tx, before: WebhookRow, { prepared }: Prepared<Change>): Promise<WebhookRow | undefined> {
      const mine = and(ownedBy(before.tenantId), eq(webhooks.id, before.id))
      const [present] = await tx.select().from(webhooks).where(mine).for('update')
      if (!present) return undefined
      if (prepared.secret !== undefined && present.secret !== before.secret) {
        throw new Refusal('conflict', 'The secret was replaced by somebody else meanwhile.')
      }
      const isOver = present.previousUntil !== null && !isStillValid(present)
      const isBack = prepared.active === true && !present.active
      const isElsewhere = prepared.url !== undefined && prepared.url !== present.url
      const change: Change = {
        ...(isOver && { previousSecret: null, previousUntil: null }),
        ...prepared,
        ...(isBack && { disabledReason: null }),
        ...((isBack || isElsewhere) && { failingSince: null, failedAt: null }),
      }
      if (Object.keys(change).length === 0) return present
      return (await tx.update(webhooks).set(change).where(mine).returning())[0]
    },

    async remove(tx: Tx, tenantId: string | null, id: string): Promise<WebhookRow | undefined> {
      const [row] = await tx
        .delete(webhooks)
        .where(and(ownedBy(tenantId), eq(webhooks.id, id)))
        .returning()
      return row
    },

    /** `tenantId` null is the installation itself. */
    async find(tenantId: string | null, id: string): Promise<WebhookRow | undefined> {
      const [row] = await db
        .select()
        .from(webhooks)
        .where(and(ownedBy(tenantId), eq(webhooks.id, id)))
        .limit(1)
      return row
    },

    /** `tenantId` 'all' lists every tenant's and the installation's. Newest first. */
    async list(tenantId: string | 'all', { limit, offset }: { limit: number; offset: number }): Promise<{ rows: WebhookRow[]; total: number }> {
      const which = tenantId === 'all' ? undefined : eq(webhooks.tenantId, tenantId)
      const [counted] = await db.select({ total: count() }).from(webhooks).where(which)
      const rows = await db.select().from(webhooks).where(which).orderBy(desc(webhooks.createdAt), desc(webhooks.id)).limit(limit).offset(offset)
      return { rows, total: counted.total }
    },

    /**
     * In clear: the present one, and the one before it while it still signs. May need the database: call it outside a transaction. Throws where one cannot
     * be opened.
     */
    async secretsOf(row: Pick<WebhookRow, 'id' | 'tenantId' | 'secret' | 'previousSecret' | 'previousUntil'>): Promise<string[]> {
      const present = await openSecret(row)
      if (row.previousSecret === null || !isStillValid(row)) return [present]
      return [present, await keyring.open(row.tenantId, placeIn(webhookPreviousSecret, row.id), row.previousSecret)]
    },

    /** Until when the secret before the present one signs; null where there is none, or its time is over. */
    previousUntil: (row: Pick<WebhookRow, 'previousUntil'>): Date | null => (isStillValid(row) ? row.previousUntil : null),
  }

  function openSecret({ tenantId, id, secret }: Pick<WebhookRow, 'tenantId' | 'id' | 'secret'>): Promise<string> {
    return keyring.open(tenantId, placeIn(webhookSecret, id), secret)
  }

  function isStillValid({ previousUntil }: Pick<WebhookRow, 'previousUntil'>): boolean {
    return previousUntil !== null && previousUntil.getTime() > now()
  }

  async function checkPlace(url: string): Promise<void> {
    try {
      await checkUrl(url)
    } catch (error) {
      if (error instanceof EgressRefused) throw new Refusal('config', error.message, { context: { field: 'url' } })
      throw error
    }
  }
}

const ownedBy = (tenantId: string | null) => (tenantId === null ? isNull(webhooks.tenantId) : eq(webhooks.tenantId, tenantId))
