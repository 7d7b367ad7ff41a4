/** What the management API is given, and how it changes things. */
import type { Keys } from '../access/keys.ts'
import type { LoginThrottle } from '../access/login-throttle.ts'
import type { LoginTokens } from '../access/login-token.ts'
import type { Passwords } from '../access/passwords.ts'
import type { People } from '../access/people.ts'
import type { Sessions } from '../access/sessions.ts'
import type { LogKey } from '../audit/chain/note.ts'
import type { HashMode, HashOf } from '../audit/prompt-hash.ts'
import { type Change, recordChange } from '../audit/record-change.ts'
import type { Seal } from '../audit/seal.ts'
import { announce, type ChangeKind } from '../db/changes.ts'
import type { Database, Db, Tx } from '../db/connect.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { Escalations } from '../escalations/escalations.ts'
import type { Catalogue } from '../prices/catalogue.ts'
import type { UpstreamCheck } from '../upstreams/check.ts'
import type { Standing } from '../upstreams/standing.ts'
import type { UpstreamRow, UpstreamStore } from '../upstreams/store.ts'
import type { Endpoints } from '../webhooks/endpoints.ts'
import type { SummaryParts } from './dashboard-summary.ts'
import type { DoctorParts } from './doctor.ts'
import type { MasterKeys } from './rotation.ts'
import { type Actor, nameOf } from './route.ts'
import type { SettingsParts } from './settings.ts'

export interface AdminParts {
  db: Db
  /** For what reads more than one statement can. */
  database: Pick<Database, 'engine' | 'apart' | 'db'>
  keys: Pick<Keys, 'find' | 'findByCertificate' | 'mint'>
  people: Pick<People, 'find'>
  /** Who is told of events. */
  endpoints: Endpoints
  /** Attempts a delivery once, now; the result is in its row. */
  webhooks: { deliver(deliveryId: string): Promise<unknown> }
  /** What calls say that wait for a person. */
  escalations: Pick<Escalations, 'contentOf'>
  /** Short-lived tokens for calls. */
  sessions: Pick<Sessions, 'mint'>
  /** Wraps data keys under this process's current master key. */
  rewrap: MasterKeys
  /** Every setting as this process has it, without what is secret. */
  settings: SettingsParts['settings']
  /** The production checklist, and the health of this process. */
  doctor: DoctorParts['doctor']
  openCalls: SummaryParts['openCalls']
  passwords: Passwords
  loginTokens: Pick<LoginTokens, 'mint'>
  /** How often a password may be guessed. */
  throttle: LoginThrottle
  /** Is told of every login that failed, and never who wanted to be who. */
  loginFailed(why: 'credentials' | 'throttled', context: { requestId: string; address: string }): void
  /** Whose pages may use the API from a browser, as `https://host`, beside its own. */
  allowedOrigins: readonly string[]
  upstreams: UpstreamStore
  /** What models cost that no upstream's row prices. */
  catalogue: Pick<Catalogue, 'priceOf' | 'list'>
  /** Asks a provider something with the stored credential. */
  checkUpstream(row: UpstreamRow): Promise<UpstreamCheck>
  /** How calls of this process fare at the upstream of this id; undefined where it serves none. */
  standingOf?(id: string): Pick<Standing, 'state' | 'failures' | 'probeInMs' | 'restMs'> | undefined
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
export interface Done extends Pick<Change, 'action' | 'tenantId' | 'subject' | 'details'> {
  changes: readonly ChangeKind[]
}

/** Writes the record of what somebody does, in its transaction. */
export function recordBy(
  tx: Tx,
  { now, seal }: Pick<AdminParts, 'now' | 'seal'>,
  { actor, requestId }: Author,
  { action, tenantId, subject, details }: Pick<Change, 'action' | 'tenantId' | 'subject' | 'details'>,
): Promise<void> {
  const by = { actor: actor.kind === 'system' ? 'system' : nameOf(actor), keyPrefix: actor.kind === 'key' ? actor.caller.keyPrefix : null }
  return recordChange(tx, { action, tenantId, subject, ...by, requestId, at: new Date(now()), ...(details && { details }) }, seal)
}

/**
 * One transaction for a change, its record and its announcement; this process knows of it when the promise is fulfilled. Inside `work` only `tx` may be
 * used: the embedded database has one connection, and anything else would wait for itself.
 */
export async function change<Result>(
  { db, now, changed, seal, report }: Pick<AdminParts, 'db' | 'now' | 'changed' | 'seal' | 'report'>,
  author: Author,
  work: (tx: Tx) => Promise<{ result: Result; done: Done }>,
): Promise<Result> {
  const result = await db.transaction(async (tx) => {
    const { result, done } = await work(tx)
    const { changes, tenantId } = done
    await recordBy(tx, { now, seal }, author, done)
    for (const kind of changes) await announce(tx, kind, tenantId) // last, as announce demands
    return result
  })
  // The change is committed: whoever could not read it again now will do so at the next poll.
  await changed().catch((error: unknown) => report(error, { requestId: author.requestId }))
  return result
}
