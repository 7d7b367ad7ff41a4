/** Google's Gemini API: how it is reached and how its client libraries are told "no". */
import type { Reason, Refusal } from '../../errors.ts'
import type { Vendor } from '../dialect.ts'
import { geminiModels } from '../model-list.ts'
import { pageOf } from '../refusal-page.ts'

export const gemini: Vendor = {
  name: 'gemini',
  basePath: '',
  credentialHeaders: ['x-goog-api-key', 'authorization'],
  credential: (secret) => ['x-goog-api-key', secret],
  refuse: (refusal, requestId) => pageOf(refusal, describe(refusal, requestId)),
  models: geminiModels,
  keepAlive: null, // a comment breaks Python's library, and anything else is read as an answer
  requestIdHeader: 'x-request-id',
  limitHeaders: () => [], // these libraries read none; the wait stands in the body
}

const statuses: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  409: 'ABORTED',
  413: 'INVALID_ARGUMENT',
  415: 'INVALID_ARGUMENT',
  422: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}
const reasonNames: Partial<Record<Reason, string>> = { blocked_by_rule: 'POLICY_BLOCK', cannot_redact: 'POLICY_BLOCK' }

/** The body of an error (google.rpc.Status). `error` is its first key: the client libraries look for it there in a stream. */
export function describe({ reason, status, message, context }: Refusal, requestId: string): object {
  const details: object[] = [
    {
      '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
      reason: reasonNames[reason] ?? reason.toUpperCase(),
      domain: 'earthflow',
      metadata: { request_id: requestId },
    },
  ]
  if (typeof context.retry_after_seconds === 'number')
    details.push({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${context.retry_after_seconds}s` })
  if (reason === 'budget_exceeded')
    details.push({ '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations: [{ subject: String(context.budget_id), description: message }] })
  if (typeof context.param === 'string' && context.param !== '')
    details.push({ '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field: context.param, description: message }] })
  return { error: { code: status, message, status: statuses[status] ?? 'UNKNOWN', details } }
}
