/**
 * The life of a call with stages left out. Stands in the place of src/pipeline/pipeline.ts in a process that the bench starts with shorten.ts: everything
 * else of it, from the listener to the upstreams, is the program itself. BENCH_STAGES names the stages that are in.
 */

import { Refusal } from '../../../src/errors.ts'
import { admit } from '../../../src/pipeline/admit.ts'
import { authenticate } from '../../../src/pipeline/authenticate.ts'
import { decode } from '../../../src/pipeline/decode.ts'
import { enforce } from '../../../src/pipeline/enforce.ts'
import { fingerprint } from '../../../src/pipeline/fingerprint.ts'
import { forward } from '../../../src/pipeline/forward.ts'
import { judge } from '../../../src/pipeline/judge.ts'
import { meter } from '../../../src/pipeline/meter.ts'
import type { Parts } from '../../../src/pipeline/pipeline.ts'
import { Pipeline } from '../../../src/pipeline/run.ts'
import { screenReply } from '../../../src/pipeline/screen-reply.ts'
import type { Decision, Fact, Settler, Stage } from '../../../src/pipeline/stage.ts'
import { stillMay } from '../../../src/pipeline/still-may.ts'
import { wayOf } from '../../../src/pipeline/way.ts'

export type { Parts }

/** Those that can be left out. Nothing is recorded in any short pipeline: with the record it is the program as it is. */
export const shortStages = ['key', 'admit', 'judge', 'hash'] as const
export type ShortStage = (typeof shortStages)[number]

const named = (process.env.BENCH_STAGES ?? '').split(',')
const has = (stage: ShortStage): boolean => named.includes(stage)

export const buildPipeline = (parts: Parts) =>
  new Pipeline()
    .stage('authenticate', has('key') ? authenticate(parts.keys, parts.sessions) : once(authenticate(parts.keys, parts.sessions)))
    .stage('decode', decode(parts.bounds, parts.limits))
    .stage('fingerprint', has('hash') ? fingerprint(parts.fingerprints) : () => ({ promptHash: null }))
    .stage('admit', has('admit') ? admit(parts.limits, parts.route, parts.budgets) : routeOnly(parts))
    .stage('judge', has('judge') ? judge(parts.policies) : once(judge(parts.policies)))
    .stage('enforce', enforce({ ...parts, stillMay: stillMay(parts.keys, parts.route) }))
    .stage('screen reply', screenReply)
    .stage('open record', unrecorded(parts))
    .stage('forward', forward)

export const buildSettlers = (_: Parts): Settler[] => (has('admit') ? [meter] : [])

/** What the stage found for the first call holds for all others. */
function once<Needs extends Fact, Adds extends Fact>(stage: Stage<Needs, Adds>): Stage<Needs, Adds> {
  let found: Decision<Adds> | null = null
  return (known) => {
    if (found !== null) return found
    const keep = (decision: Decision<Adds>): Decision<Adds> => (decision instanceof Refusal ? decision : (found = decision))
    const decision = stage(known)
    return decision instanceof Promise ? decision.then(keep) : keep(decision)
  }
}

/** Where the call may go, and nothing taken for it. */
const routeOnly =
  ({ route }: Pick<Parts, 'route'>): Stage<'caller' | 'call', 'admission'> =>
  ({ caller, call, endpoint }) => {
    const way = wayOf(endpoint, call, route.candidates(caller, call, endpoint))
    return way instanceof Refusal ? way : { admission: { ...way, expected: null, hold: NOTHING_HELD, limitMode: 'local', budgets: [], reservation: null } }
  }
const NOTHING_HELD = { tokens: 0, settle: async () => {}, giveBack: async () => {} }

/** With the hash of what leaves, or without. */
const unrecorded = ({ fingerprints }: Pick<Parts, 'fingerprints'>): Stage<'caller' | 'outbound', 'ticket'> => {
  if (!has('hash')) return () => ({ ticket: { forwardedHash: '' } })
  return async ({ caller, outbound }) => ({ ticket: { forwardedHash: await fingerprints.hashOf(caller.tenant.id, outbound) } })
}
