/** What the management API is given, and how it changes things. */
import type { Keys } from '../access/keys.ts'
import type { LogKey } from '../audit/chain/note.ts'
import type { HashMode, HashOf } from '../audit/prompt-hash.ts'
import { type Change, recordChange } from '../audit/record-change.ts'
import type { Seal } from '../audit/seal.ts'
import { announce, type ChangeKind } from '../db/changes.ts'
import type { Database, Db, Tx } from '../db/connect.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { Catalogue } from '../prices/catalogue.ts'
import type { UpstreamCheck } from '../upstreams/check.ts'
import type { UpstreamRow, UpstreamStore } from '../upstreams/store.ts'
import { type Actor, nameOf } from './route.ts'

export interface AdminParts {
  db: Db
  /** For what reads more than one statement can. */
  database: Pick<Database, 'engine' | 'apart' | 'db'>
  keys: Pick<Keys, 'find' | 'mint'>
  upstreams: UpstreamStore
  /** What models cost that no upstream's row prices. */
  catalogue: Pick<Catalogue, 'priceOf' | 'list'>
  /** Asks a provider something with the stored credential. */
  checkUpstream(row: UpstreamRow): Promise<UpstreamCheck>
  /** EARTHFLOW_ADMIN_API_KEY; null: nobody is administrator. */
  adminKey: string | null
  /** What tenants without a limit of their own get. */
  defaultRequestsPerMinute: number
  /** The wire formats in which a body may be tried against rules. */
  dialects: readonly Dialect[]
  /** Whether calls are recorded with a hash of their prompt. */
  hashPrompts: boolean
  /** How prompts are hashed. */
  hashOf: HashOf
  hashMode: HashMode
  /** Of this program, for its documents. */
  version: string
  /** Milliseconds since 1970. */
  now(): number
  /** Makes this process read what was just changed; the others follow within a second. */
  changed(): Promise<void>
  /** Of the records of changes. */
  seal: Seal
  /** The audit log's name and the key of its checkpoints. */
  logKey(): Promise<LogKey>
  /** Resolves when calls that ended until now can be read, as far as this process had them. */
  recorded(): Promise<void>
  /** Is told of surprises. The client only learns the request's id. */
  report(error: unknown, context: Record<string, unknown>): void
}

/** Who changes, and in which request. */
export interface Author {
  actor: Actor | { kind: 'system' }
  requestId: string
}

/** What was done, for the record, and what every process must therefore read again. */
export interface Done extends Pick<Change, 'action' | 'tenantId' | 'subject'> {
  changes: readonly ChangeKind[]
}

/**
 * One transaction for a change, its record and its announcement; this process knows of it when the promise is fulfilled. Inside `work` only `tx` may be
 * used: the embedded database has one connection, and anything else would wait for itself.
 */
export async function change<Result>(
  { db, now, changed, seal, report }: Pick<AdminParts, 'db' | 'now' | 'changed' | 'seal' | 'report'>,
  { actor, requestId }: Author,
  work: (tx: Tx) => Promise<{ result: Result; done: Done }>,
): Promise<Result> {
  const result = await db.transaction(async (tx) => {
    const { result, done } = await work(tx)
    const { action, tenantId, subject, changes } = done
    const record: Change = {
      action,
      tenantId,
      subject,
      actor: actor.kind === 'system' ? 'system' : nameOf(actor),
      keyPrefix: actor.kind === 'key' ? actor.caller.keyPrefix : null,
      requestId,
      at: new Date(now()),
    }
    await recordChange(tx, record, seal)
    for (const kind of changes) await announce(tx, kind, tenantId) // last, as announce demands
    return result
  })
  // The change is committed: whoever could not read it again now will do so at the next poll.
  await changed().catch((error: unknown) => report(error, { requestId }))
  return result
}
