import type { Caller } from '../call.ts'
import { Failure } from '../errors.ts'
import type { Policy } from '../rules/compile.ts'
import type { Verdict } from '../rules/policy.ts'
import type { SharedSearch } from '../rules/search/search-in-turns.ts'
import type { Subject } from '../rules/targets.ts'
import { withUninspectable } from '../rules/uninspectable.ts'
import { metadataOf } from './metadata.ts'
import type { Exchange, Facts, Stage } from './stage.ts'

/**
 * The tenant's policy in force, under the terms of a session where one calls; undefined or a throw where there is none to be had, which never means that
 * everything is allowed.
 */
export interface Policies {
  of(tenantId: string, session: Caller['session']): Policy | undefined | Promise<Policy | undefined>
  /** What the searches of all policies share; without it a call is judged at once, however long it is. */
  shared?: SharedSearch
}

/** Establishes what the rules think of the call. It refuses nothing for what it found, so that a blocked call is recorded with its findings. */
export const judge =
  (policies: Policies): Stage<'caller' | 'call' | 'admission', 'verdict'> =>
  (known) => {
    const policy = policies.of(known.caller.tenant.id, known.caller.session)
    return policy instanceof Promise ? policy.then((found) => decide(policies, known, found)) : decide(policies, known, policy)
  }

type Known = Exchange & Pick<Facts, 'caller' | 'call' | 'admission'>

function decide({ shared }: Policies, known: Known, policy: Policy | undefined): Judged | Promise<Judged> {
  if (!policy) throw new Failure('unavailable', new Error('No policy is loaded for this tenant.'))
  const { caller, call, endpoint, incoming, admission } = known
  const subject: Subject = {
    caller,
    call,
    endpoint: endpoint.path,
    headers: incoming.headers,
    metadata: metadataOf(call, incoming),
    price: admission.candidates[0]?.priceOf(call.models) ?? null,
  }
  const verdict = shared ? policy.judgeInTurns(subject, { shared, waiting: known }) : policy.judge(subject)
  return verdict instanceof Promise ? verdict.then((found) => decided(known, found)) : decided(known, verdict)
}

type Judged = Pick<Facts, 'verdict'>

const decided = ({ call, caller }: Known, verdict: Verdict): Judged => ({ verdict: withUninspectable(verdict, call, caller.tenant) })
