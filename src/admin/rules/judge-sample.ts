/** What a policy does to a call and its reply, by the code that judges both on their way. Nothing is sent, kept or logged. */
import { Failure, Refusal } from '../../errors.ts'
import type { Policy, Verdict } from '../../rules/policy.ts'
import { redact } from '../../rules/redact.ts'
import { type ReplyFinding, screenFor } from '../../rules/replies/screen.ts'
import { type Action, severity } from '../../rules/rule.ts'
import { withUninspectable } from '../../rules/uninspectable.ts'
import type { Sink } from '../../sink.ts'
import type { Described } from './samples.ts'

export interface JudgedCall {
  verdict: Verdict
  /** Where a placeholder would break the call. */
  cannotRedact: string | null
  /** The body as it would leave; null where it would not. */
  outbound: Buffer | null
}

export interface JudgedReply {
  status: Action
  findings: readonly ReplyFinding[]
  /** In the words of the refusal, why the reply would not be relayed. */
  stopped: string | null
  /** The body as the client would get it; null where it would not. */
  relayed: Buffer | null
}

export interface Judged {
  call: JudgedCall
  /** Judged whether or not the call would have been let through. */
  reply: JudgedReply | null
}

export function judgeSample(policy: Policy, { subject, dialect, reply }: Described): Judged {
  const { call, caller } = subject
  const verdict = withUninspectable(policy.judge(subject), call, caller.tenant)
  const passes = verdict.action === 'ALLOW' || verdict.action === 'WARN'
  const cut = verdict.action === 'REDACT' ? redact(call, verdict) : null
  const outbound = passes ? call.body : cut && 'outbound' in cut ? cut.outbound : null
  return {
    call: { verdict, outbound, cannotRedact: cut && 'cannot' in cut ? cut.cannot : null },
    reply: reply && judgeReply(verdict, { subject, dialect, reply }),
  }
}

function judgeReply(verdict: Verdict, { subject, dialect, reply }: Pick<Described, 'subject' | 'dialect'> & { reply: Buffer }): JudgedReply {
  const screen = screenFor(verdict, dialect, { tenant: subject.caller.tenant })
  if (!screen) return { status: 'ALLOW', findings: [], stopped: null, relayed: reply }
  const relayed: Buffer[] = []
  const sink: Sink = {
    head() {},
    data: (chunk) => relayed.push(chunk) > 0,
    end() {},
    error() {},
  }
  let stopped: string | null = null
  try {
    const judged = screen.wrap(sink)
    judged.head(200, ['content-type', 'application/json'])
    judged.data(reply)
    judged.end()
  } catch (error) {
    if (error instanceof Refusal) stopped = error.message
    else if (error instanceof Failure && error.reason === 'reply_unreadable') stopped = 'The reply cannot be judged, and is not relayed.'
    else throw error
  }
  const findings = screen.findings()
  return { status: gravest(findings), findings, stopped, relayed: stopped === null ? Buffer.concat(relayed) : null }
}

const gravest = (findings: readonly ReplyFinding[]): Action =>
  findings
    .filter(({ rule }) => rule.mode === 'enforce')
    .map(({ rule }) => rule.action)
    .reduce((worst, action) => (severity[action] > severity[worst] ? action : worst), 'ALLOW' as Action)
