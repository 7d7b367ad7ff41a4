/**
 * Every reason Earthflow may say no: the status it answers with, the code the management API uses, and whether a client library should try again
 * by itself. Dialects phrase a refusal for their client; the management API uses `code`.
 */
export const reasons = {
  invalid_request: { status: 400, code: 'VALIDATION_ERROR', retry: false },
  unauthenticated: { status: 401, code: 'AUTH_ERROR', retry: false },
  session_ended: { status: 401, code: 'AUTH_ERROR', retry: false },
  forbidden: { status: 403, code: 'FORBIDDEN', retry: false },
  blocked_by_rule: { status: 403, code: 'FORBIDDEN', retry: false },
  cannot_redact: { status: 403, code: 'FORBIDDEN', retry: false },
  model_not_allowed: { status: 403, code: 'FORBIDDEN', retry: false },
  approval_required: { status: 403, code: 'APPROVAL_REQUIRED', retry: false },
  address_not_allowed: { status: 403, code: 'FORBIDDEN', retry: false },
  certificate_required: { status: 403, code: 'FORBIDDEN', retry: false },
  locality: { status: 403, code: 'FORBIDDEN', retry: false },
  sessions_locked: { status: 403, code: 'FORBIDDEN', retry: false },
  agent_quarantined: { status: 403, code: 'AGENT_QUARANTINED', retry: false },
  scan_budget: { status: 403, code: 'FORBIDDEN', retry: false },
  not_found: { status: 404, code: 'NOT_FOUND', retry: false },
  tenant_not_found: { status: 404, code: 'TENANT_NOT_FOUND', retry: false },
  model_not_found: { status: 404, code: 'NOT_FOUND', retry: false },
  method_not_allowed: { status: 405, code: 'METHOD_NOT_ALLOWED', retry: false },
  conflict: { status: 409, code: 'CONFLICT', retry: false },
  too_large: { status: 413, code: 'PAYLOAD_TOO_LARGE', retry: false },
  unsupported_media_type: { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', retry: false },
  misdirected: { status: 421, code: 'MISDIRECTED_REQUEST', retry: false },
  config: { status: 422, code: 'CONFIG_ERROR', retry: false },
  budget_exceeded: { status: 429, code: 'BUDGET_EXCEEDED', retry: false },
  rate_limited: { status: 429, code: 'RATE_LIMIT_EXCEEDED', retry: true },
  internal: { status: 500, code: 'EARTHFLOW_ERROR', retry: true },
  upstream_unreachable: { status: 502, code: 'UPSTREAM_ERROR', retry: true },
  reply_unreadable: { status: 502, code: 'UPSTREAM_ERROR', retry: false },
  unavailable: { status: 503, code: 'UNAVAILABLE', retry: true },
  overloaded: { status: 503, code: 'UNAVAILABLE', retry: true },
  draining: { status: 503, code: 'UNAVAILABLE', retry: true },
  audit_unavailable: { status: 503, code: 'AUDIT_UNAVAILABLE', retry: true },
  upstream_timeout: { status: 504, code: 'UPSTREAM_TIMEOUT', retry: true },
} as const

export type Reason = keyof typeof reasons

/** An expected "no", with a sentence for the client. Stages return it; only a sink, which has nothing to return, and management routes throw it. */
export class Refusal {
  readonly reason: Reason
  readonly message: string
  /** Extra response headers: name, value, name, value. */
  readonly headers: readonly string[]
  /** What a program may want to know beside the sentence, such as the offending field. Never text of a call. */
  readonly context: Readonly<Record<string, unknown>>
  constructor(reason: Reason, message: string, { headers = [], context = {} }: { headers?: readonly string[]; context?: Record<string, unknown> } = {}) {
    this.reason = reason
    this.message = message
    this.headers = headers
    this.context = context
  }
  get status(): number {
    return reasons[this.reason].status
  }
  get code(): string {
    return reasons[this.reason].code
  }
  get retry(): boolean {
    return reasons[this.reason].retry
  }
}

/** A surprise of which the client may know the kind, never the cause. */
export class Failure extends Error {
  readonly reason: Reason
  constructor(reason: Reason, cause: unknown) {
    super(reason, { cause })
    this.reason = reason
  }
}
