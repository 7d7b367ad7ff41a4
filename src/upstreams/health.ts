/** Which upstreams answer, as far as the calls of this process tell. It only listens: nothing is sent for it. */
import type { Attempt } from '../audit/entry.ts'
import { OUT_OF_REACH } from '../egress/check-url.ts'

/** A tenant's, or the installation's: each may have one of the same name. */
export interface UpstreamName {
  name: string
  tenantId: string | null
}

/** An upstream went down, or came back. */
export interface Transition extends Pick<Attempt, 'status' | 'error'> {
  upstream: UpstreamName
  isDown: boolean
  /** Attempts in a row until then that failed. */
  failures: number
}

export interface UpstreamHealth {
  /** An attempt got its answer's head, or ended without one. Whose client had left before tells nothing, and is not told here. */
  saw(upstream: UpstreamName, attempt: Pick<Attempt, 'status' | 'error'>): void
  isDown(upstream: UpstreamName): boolean
}

/** Attempts in a row without an answer, or with a 5xx: then it is down, until the first answer of another kind. */
export const FAILURES_TILL_DOWN = 5
/** Upstreams whose last attempt failed. Beyond, the one that was seen first is forgotten. */
const TROUBLED_MAX = 10_000
/** Whatever the provider is like: locality lets nothing go there, the call cannot be written as a request, or its connections end because the settings changed. */
const OUR_OWN: ReadonlySet<string | null> = new Set([OUT_OF_REACH, 'UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED', 'UND_ERR_CLOSED', 'UND_ERR_DESTROYED'])

/** Answers that say: nobody is there who could. 529 is Anthropic's word for too much to do. */
export const AWAY: ReadonlySet<number> = new Set([502, 503, 504, 529])
/** There was an answer, but not one of HTTP, or somebody was there who may not be asked: asking again would change nothing. */
const NO_USE = /^(?:NOT_HTTP|ENDLESS_HINTS|ERR_ASSERTION|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_.*|EGRESS_REFUSED)$/

type Ended = Pick<Attempt, 'status' | 'error'>

/** What an attempt tells of its upstream; `ours`: nothing. */
export const outcomeOf = ({ status, error }: Ended): 'answered' | 'failed' | 'ours' =>
  status !== null ? (status < 500 ? 'answered' : 'failed') : OUR_OWN.has(error) ? 'ours' : 'failed'

/** Nobody was there who could have answered: one day, or with the next attempt, somebody will be. */
export const isAway = ({ status, error }: Ended): boolean => (status !== null ? AWAY.has(status) : !OUR_OWN.has(error) && !NO_USE.test(error ?? ''))

export interface UpstreamHealthOptions {
  onChange: (transition: Transition) => void
  /** Is told of every answer. */
  onAnswer?: (upstream: UpstreamName) => void
}

export function createUpstreamHealth({ onChange, onAnswer }: UpstreamHealthOptions): UpstreamHealth {
  /** Failures in a row. */
  const troubled = new Map<string, number>()

  return {
    saw(upstream, { status, error }) {
      const outcome = outcomeOf({ status, error })
      const isAnswer = outcome === 'answered'
      if (isAnswer) onAnswer?.(upstream)
      if (isAnswer ? troubled.size === 0 : outcome === 'ours') return
      const key = keyOf(upstream)
      const before = troubled.get(key)
      if (isAnswer) {
        troubled.delete(key)
        if (before !== undefined && before >= FAILURES_TILL_DOWN) onChange({ upstream, isDown: false, failures: before, status, error: null })
        return
      }
      if (before === undefined && troubled.size >= TROUBLED_MAX) troubled.delete(troubled.keys().next().value as string)
      const failures = (before ?? 0) + 1
      troubled.set(key, failures)
      if (failures === FAILURES_TILL_DOWN) onChange({ upstream, isDown: true, failures, status, error })
    },
    isDown: (upstream) => (troubled.get(keyOf(upstream)) ?? 0) >= FAILURES_TILL_DOWN,
  }
}

export const keyOf = ({ name, tenantId }: UpstreamName): string => `${tenantId ?? ''}/${name}`
