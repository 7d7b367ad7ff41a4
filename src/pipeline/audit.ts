import type { AuditEntry, AuditFinding } from '../audit/entry.ts'
import type { Caller, ModelCall, Tenant } from '../call.ts'
import { toDollars } from '../prices/dollars.ts'
import { findsIn } from '../rules/finds-in.ts'
import { placesIn } from '../rules/places.ts'
import { billOf } from './bill.ts'
import { decisionIn } from './envelope.ts'
import { mayHaveLeft } from './may-have-left.ts'
import { headerMetadata, userIn } from './metadata.ts'
import { refusalOf } from './refusal.ts'
import { overheadMs } from './relay.ts'
import type { Facts, Outcome, Settler } from './stage.ts'
import { outcomeOf, type PartlyKnown, reasonOf, statusOf } from './status.ts'

/** The record. Both promises resolve when the entry is safe and reject with Failure('audit_unavailable') when it cannot be. */
export interface AuditLog {
  open(entry: AuditEntry, durability: Tenant['auditDurability']): Promise<void>
  close(entry: AuditEntry): Promise<void>
  /** The database is away: rows follow when it is back. */
  readonly isAway: boolean
}

/** Closes the record of every exchange whose tenant is known: one row each, however it ended. */
export const audit =
  (auditLog: AuditLog): Settler =>
  (known, outcome) => {
    if (!known.caller) return undefined
    const entry = entryOf(known, outcome, auditLog.isAway)
    known.trace.entry = entry
    return auditLog.close(entry).catch((error: unknown) => {
      // The row is still owed, and will say what the client was told instead.
      if (outcome.kind !== 'cancelled')
        Object.assign(entry, { outcome: 'failed', reason: 'unavailable', http_status: known.outgoing.headersSent ? known.outgoing.statusCode : UNAVAILABLE })
      throw error
    })
  }
const UNAVAILABLE = 503

/** Where an exchange must be on record before it goes on: what it reserved of a hard budget is ended by whoever finds it, should this process and its disk be gone. */
export const durabilityOf = ({ caller, admission }: Pick<Facts, 'caller' | 'admission'>): Tenant['auditDurability'] =>
  admission.reservation ? 'strict' : caller.tenant.auditDurability

const PLACES_MAX = 8

/** What the caller says in headers goes nowhere but here; where a rule would cut or stop a text like it, it does not even go here. */
function saidInHeaders({ incoming, caller, call, verdict, endpoint }: PartlyKnown): ReturnType<typeof headerMetadata> {
  const said = headerMetadata(incoming)
  if ((said.user === null && isEmpty(said.metadata)) || !caller || !call || !verdict) return said
  const texts = [said.user, ...Object.entries(said.metadata).flat()].filter((text) => typeof text === 'string')
  const subject = { caller, call, endpoint: endpoint.path, headers: incoming.headers, metadata: {}, price: null }
  return findsIn(verdict.policy, subject, texts) ? { user: null, metadata: {} } : said
}

/** What is known of an exchange now, as a row. Before it ended (`outcome` null) the row says `unknown`, which is what a crash would leave. */
export function entryOf(
  known: PartlyKnown,
  outcome: Outcome | null,
  isDatabaseAway: boolean,
  forwardedHash: string | null = mayHaveLeft(known.trace) ? (known.ticket?.forwardedHash ?? null) : null,
): AuditEntry {
  const { caller, call, verdict, screen, promptHash, trace } = known
  const ended = outcome !== null
  const findings = findingsOf(known)
  const { usage, nano, charges } = trace.bill ?? billOf(known, outcome)
  const session = caller?.session ?? null
  const said = session?.impersonal ? NOTHING_SAID : saidInHeaders(known)
  const told = !call || session?.impersonal || USER_PLACES.some((place) => isHit(findings, place)) ? NOTHING : call.metadata
  return {
    audit_id: known.auditId,
    timestamp: new Date(known.arrivedAt).toISOString(),
    kind: 'exchange',
    tenant_id: caller?.tenant.id ?? null,
    request_id: known.id,
    agent_id: caller?.agent?.id ?? null,
    key_prefix: keyPrefixOf(caller),
    user_id: said.user ?? userIn(told),
    status: statusOf(known, outcome),
    outcome: ended ? outcomeOf(outcome) : 'unknown',
    reason: reasonOf(outcome),
    dialect: known.dialect.name,
    endpoint: isHit(findings, 'path') || (session?.impersonal && known.endpoint.kind !== 'call') ? null : pathOf(known.endpoint.path),
    model: isHit(findings, 'model') ? null : modelOf(call?.models[0]),
    upstream: trace.attempts.at(-1)?.upstream ?? null,
    attempts: trace.attempts,
    stream: call?.streaming ?? false,
    rules_evaluated: verdict?.rulesEvaluated ?? 0,
    rules_triggered: findings.length === 0 ? [] : [...new Set(findings.filter(({ mode }) => mode === 'enforce').map(({ rule_id }) => rule_id))],
    findings,
    policy_version: verdict?.policy.version ?? null,
    metadata: metadataOf(told, said.metadata, session, call),
    prompt_hash: promptHash ?? null,
    forwarded_hash: forwardedHash,
    uninspected_bytes: (call?.opaqueBytes ?? 0) + (call?.sealedBytes ?? 0) + (screen?.uninspectedBytes() ?? 0),
    degraded: degradedBy(known.admission?.limitMode === 'local', isDatabaseAway),
    usage,
    cost_usd: nano === null ? null : toDollars(nano),
    budgets: charges,
    latency_ms: ended ? Math.round(performance.now() - known.startedAt) : null,
    upstream_ms: trace.upstreamMs,
    first_byte_ms: trace.firstByteMs,
    overhead_ms: ended ? Math.round(overheadMs(known)) : null,
    http_status: httpStatus(known, outcome),
    escalation_id: trace.held?.id ?? null,
    approved_by: trace.held?.approvedBy ?? null,
    held_audit_id: trace.held?.heldAuditId ?? null,
  }
}

const NOTHING: ModelCall['metadata'] = {}
const NOTHING_SAID: ReturnType<typeof headerMetadata> = { user: null, metadata: NOTHING }

function isEmpty(members: object): boolean {
  for (const _ in members) return false
  return true
}

/** What a rule found is text, wherever it stood, and text is not kept. */
const isHit = (findings: readonly AuditFinding[], place: string): boolean =>
  findings.length > 0 && findings.some(({ where }) => where.length === PLACES_MAX || where.some((path) => path === place || path.startsWith(`${place}.`)))

const degradedBy = (isLimitedHere: boolean, isDatabaseAway: boolean): string | null =>
  isLimitedHere ? (isDatabaseAway ? 'limits_local,database_away' : 'limits_local') : isDatabaseAway ? 'database_away' : null

/** Next to always nothing. */
function metadataOf(told: ModelCall['metadata'], said: ModelCall['metadata'], session: Caller['session'], call: ModelCall | undefined): AuditEntry['metadata'] {
  if (call && session === null && isEmpty(told) && isEmpty(said)) return {}
  const { user: _, ...own } = told
  return { ...withoutSession({ ...own, ...said }), ...sessionIn(session), ...(call ? {} : { body: 'not read' }) }
}

/** Which session it was, for who follows its calls. */
const sessionIn = (session: Caller['session']): { session?: string } => (session && !session.impersonal ? { session: session.id } : {})

/** What a caller says cannot be taken for the id of a session. */
function withoutSession({ session, ...said }: ModelCall['metadata']): ModelCall['metadata'] {
  return session === undefined || String(session).startsWith(SESSION_IDS) ? said : { ...said, session }
}
const SESSION_IDS = 'ses_'

/** A session that was made without a key stands in a key's place; one that tells nothing of the person is not named there either. */
const keyPrefixOf = (caller: Caller | undefined): string | null =>
  caller === undefined || (caller.session?.impersonal && caller.keyPrefix === caller.session.id) ? null : caller.keyPrefix

/** Where a body, or a form, says whose call it is. */
const USER_PLACES = ['metadata', 'user', 'safety_identifier', 'field user', 'field safety_identifier']

function httpStatus(known: PartlyKnown, outcome: Outcome | null): number | null {
  const sent = known.outgoing.headersSent ? known.outgoing.statusCode : null
  if (outcome?.kind === 'refused') return sent ?? (decisionIn(known, outcome) ? OK : outcome.refusal.status)
  if (outcome?.kind === 'failed') return sent ?? failureStatus(outcome)
  // Who left may not have been told, however complete the answer was.
  return outcome?.kind === 'cancelled' ? sent : (known.reply?.status ?? sent)
}
const OK = 200
const failureStatus = (outcome: Outcome & { kind: 'failed' }): number => refusalOf(outcome, '')?.status ?? 500

function findingsOf({ call, verdict, screen }: PartlyKnown): AuditFinding[] {
  const found: AuditFinding[] = []
  if (verdict && verdict.findings.length > 0) {
    const places = call && placesIn(call)
    for (const { rule, spans } of verdict.findings)
      found.push({
        action: rule.action,
        count: Math.max(1, spans.length),
        mode: rule.mode,
        on: 'call',
        rule_id: rule.id,
        where: places?.(spans, PLACES_MAX) ?? [],
      })
  }
  if (screen)
    for (const { rule, count } of screen.findings()) found.push({ action: rule.action, count, mode: rule.mode, on: 'reply', rule_id: rule.id, where: [] })
  return found
}

/** A model's name; anything else a caller wrote in its place is text, and text is not kept. */
const modelOf = (model: string | undefined): string | null => (model !== undefined && /^[\w.:/@+-]{1,200}$/.test(model) ? model : null)
/** The same for a path. */
const pathOf = (path: string): string | null => (/^[\w./:@~-]{1,256}$/.test(path) ? path : null)
