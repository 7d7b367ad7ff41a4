/** What becomes of a call that a person has to decide about. */
import { createHash } from 'node:crypto'
import { Refusal } from '../errors.ts'
import type { Desk, Using } from '../escalations/desk.ts'
import type { Answer, HeldCall, Why } from '../escalations/held-call.ts'
import { type AuditLog, durabilityOf, entryOf } from './audit.ts'
import { callHashOf } from './call-hash.ts'
import { heldContent } from './held-content.ts'
import type { Exchange, Facts } from './stage.ts'
import type { StillMay } from './still-may.ts'

export interface Holding {
  desk: Pick<Desk, 'ask' | 'use' | 'wait'>
  auditLog: Pick<AuditLog, 'open' | 'isAway'>
  stillMay: StillMay
}

export const APPROVAL_HEADER = 'x-earthflow-approval-id'
const IDS = /^esc_[0-9a-hjkmnp-tv-z]{26}$/
const SECOND_MS = 1_000

type Known = Exchange & Pick<Facts, 'caller' | 'call' | 'admission' | 'verdict'>

/**
 * Null where somebody approved exactly this call, which may then go on as it came, once: the one that waits for it, or one that names the approval. Otherwise
 * a refusal that says how it stands. `rules`: the names of those that want it so. Throws the refusal of a caller that may not make the call any more; the
 * approval then stays unused.
 */
export async function hold(holding: Holding, known: Known, rules: string): Promise<Refusal | null> {
  const { incoming, trace, headers } = known
  const call = heldCallOf(known)
  const named = incoming.headers[APPROVAL_HEADER]
  const answer = named === undefined ? await askOrWait(holding, known, call) : await useNamed(holding, known, call, String(named))
  note(trace, answer)
  if (answer.why === null) return null
  const mayLead = answer.why === 'pending' || answer.why === 'approved'
  if (answer.id !== null && mayLead) headers.push(APPROVAL_HEADER, answer.id)
  return new Refusal('approval_required', `This call needs an approval: ${rules}. ${sentences[answer.why](answer.id ?? '')}`, {
    context: { approval_id: mayLead ? answer.id : null },
  })
}

const useNamed = async (holding: Holding, known: Known, call: HeldCall, id: string): Promise<Answer> =>
  IDS.test(id) ? holding.desk.use(id, call, using(holding, known)) : { why: 'another', id: null }

async function askOrWait(holding: Holding, known: Known, call: HeldCall): Promise<Answer> {
  const { desk } = holding
  const { caller, trace } = known
  const ms = caller.tenant.escalationWaitSeconds * SECOND_MS
  await record(holding, known) // nobody is asked about a call of which a crash would leave nothing
  const answer = await desk.ask(call)
  if (ms === 0 || answer.id === null) return answer
  if (answer.why === 'approved') return desk.use(answer.id, call, using(holding, known))
  if (answer.why !== 'pending') return answer
  note(trace, answer) // should it be over before anybody decides
  await record(holding, known)
  const began = performance.now()
  try {
    return await desk.wait(answer.id, call, { ms, ...using(holding, known) })
  } finally {
    trace.waitedMs += performance.now() - began
  }
}

const record = ({ auditLog }: Holding, known: Known): Promise<void> => auditLog.open(entryOf(known, null, auditLog.isAway), durabilityOf(known))

const using = ({ stillMay }: Holding, known: Known): Using => ({
  signal: known.signal,
  async before() {
    const refusal = await stillMay(known)
    if (refusal) throw refusal
  },
})

function note(trace: Exchange['trace'], answer: Answer): void {
  if (answer.why === null) trace.held = { id: answer.id, approvedBy: answer.approvedBy, heldAuditId: answer.heldAuditId }
  else if (answer.id !== null) trace.held = { id: answer.id, approvedBy: null, heldAuditId: null }
}

const again = (id: string): string => `send exactly this call again with the header ${APPROVAL_HEADER}: ${id}.`
const sentences: Readonly<Record<Why, (id: string) => string>> = {
  pending: (id) => `Nobody has decided about ${id} yet. Once it is approved, ${again(id)}`,
  approved: (id) => `It is approved: ${again(id)}`,
  denied: () => 'It was denied; for an hour after that nobody is asked again.',
  expired: () => 'Nobody decided in time, or the approval was not used in time.',
  used: () => 'Its approval has been used already: each lets one call through.',
  another: () =>
    `What ${APPROVAL_HEADER} names is no approval of exactly this call: the call or its key is another, the rules have changed since, or there is no such approval.`,
  too_large: () => 'It is too large to be held for one.',
  tenant_full: () => 'Too many calls of this tenant wait for one already.',
  caller_full: () => 'Too many calls of this key wait for one already.',
  full: () => 'Too many calls wait for one already.',
}

function heldCallOf(known: Known): HeldCall {
  const { caller, call, verdict, incoming } = known
  const { agent_id, user_id, dialect, endpoint, model, rules_triggered } = entryOf(known, null, false)
  return {
    tenantId: caller.tenant.id,
    caller: caller.line?.[0] ?? caller.keyPrefix,
    keyPrefix: caller.keyPrefix,
    agentId: agent_id,
    userId: user_id,
    requestId: known.id,
    auditId: known.auditId,
    dialect: dialect ?? known.dialect.name,
    endpoint,
    model,
    rulesTriggered: rules_triggered,
    policyVersion: verdict.policy.version,
    bodyHash: `sha256:${createHash('sha256').update(call.body).digest('hex')}`,
    callHash: callHashOf(incoming, call, verdict),
    bodyBytes: call.body.length,
    content: () => heldContent(incoming, call, verdict),
  }
}
