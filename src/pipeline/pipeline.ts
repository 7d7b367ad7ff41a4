/** The life of a call, one line a stage. Read this first. */

import type { Budgets } from '../budgets/budgets.ts'
import type { Desk } from '../escalations/desk.ts'
import { admit, type Limits, type Route } from './admit.ts'
import { type AuditLog, audit } from './audit.ts'
import { authenticate, type Keys } from './authenticate.ts'
import { type BodyBounds, decode } from './decode.ts'
import { enforce } from './enforce.ts'
import { type Fingerprints, fingerprint } from './fingerprint.ts'
import { forward } from './forward.ts'
import { giveBackApproval } from './give-back-approval.ts'
import { judge, type Policies } from './judge.ts'
import { meter } from './meter.ts'
import { openRecord } from './open-record.ts'
import type { OpenSessions } from './open-sessions.ts'
import { Pipeline } from './run.ts'
import { screenReply } from './screen-reply.ts'
import type { Settler } from './stage.ts'
import { stillMay } from './still-may.ts'
import { type AgentWatch, watchAgent } from './watch-agent.ts'

export interface Parts {
  keys: Keys
  sessions: Pick<OpenSessions, 'follow'>
  bounds: BodyBounds
  fingerprints: Fingerprints
  limits: Limits
  budgets: Pick<Budgets, 'of' | 'reserve'>
  route: Route
  policies: Policies
  desk: Pick<Desk, 'ask' | 'use' | 'wait' | 'giveBack'>
  auditLog: AuditLog
  agents: AgentWatch
}

export const buildPipeline = (parts: Parts) =>
  new Pipeline()
    .stage('authenticate', authenticate(parts.keys, parts.sessions)) // headers only: no body is read for a stranger
    .stage('decode', decode(parts.bounds, parts.limits)) // one strict pass over the bytes
    .stage('fingerprint', fingerprint(parts.fingerprints)) // before anything may change or refuse the text
    .stage('admit', admit(parts.limits, parts.route, parts.budgets)) // all or none
    .stage('judge', judge(parts.policies)) // what the rules think
    .stage('enforce', enforce({ ...parts, stillMay: stillMay(parts.keys, parts.route) })) // block, cut, ask a person, or let the very bytes through
    .stage('screen reply', screenReply) // what stands between the upstream and the client
    .stage('open record', openRecord(parts.auditLog, parts.fingerprints.hashOf)) // nothing leaves unrecorded
    .stage('forward', forward) // needs all of the above

/** Run once, however the call ended, before the client's last byte. */
export const buildSettlers = (parts: Parts): Settler[] => [meter, audit(parts.auditLog), watchAgent(parts.agents), giveBackApproval(parts.desk)]
