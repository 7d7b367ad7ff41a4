import { Failure } from '../errors.ts'
import type { Policy } from '../rules/compile.ts'
import { withUninspectable } from '../rules/uninspectable.ts'
import { metadataOf } from './metadata.ts'
import type { Stage } from './stage.ts'

/** The tenant's policy in force; undefined or a throw where there is none to be had, which never means that everything is allowed. */
export interface Policies {
  of(tenantId: string): Policy | undefined | Promise<Policy | undefined>
}

/** Establishes what the rules think of the call. It refuses nothing for what it found, so that a blocked call is recorded with its findings. */
export const judge =
  (policies: Policies): Stage<'caller' | 'call' | 'admission', 'verdict'> =>
  ({ caller, call, endpoint, incoming, admission }) => {
    const decide = (policy: Policy | undefined) => {
      if (!policy) throw new Failure('unavailable', new Error('No policy is loaded for this tenant.'))
      const verdict = policy.judge({
        caller,
        call,
        endpoint: endpoint.path,
        headers: incoming.headers,
        metadata: metadataOf(call, incoming),
        price: admission.candidates[0]?.priceOf(call.models) ?? null,
      })
      return { verdict: withUninspectable(verdict, call, caller.tenant) }
    }
    const policy = policies.of(caller.tenant.id)
    return policy instanceof Promise ? policy.then(decide) : decide(policy)
  }
