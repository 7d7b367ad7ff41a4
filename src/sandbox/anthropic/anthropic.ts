/** Anthropic as a provider, whatever is asked of it. */
import type { PlayedVendor, Problem } from '../played-dialect.ts'

export const anthropic: PlayedVendor = {
  modelPaths: ['/v1/models'],
  headers: (requestId) => ({ 'request-id': requestId, 'anthropic-organization-id': 'sandbox' }),
  problem: (problem, requestId) => ({ type: 'error', error: { type: types[problem.kind], message: problem.message }, request_id: requestId }),
  limitHeaders: (resetInMs) => ({
    'anthropic-ratelimit-requests-limit': '1',
    'anthropic-ratelimit-requests-remaining': '0',
    'anthropic-ratelimit-requests-reset': new Date(Date.now() + resetInMs).toISOString(),
  }),
  listModels: (ids) => ({ data: ids.map(showModel), has_more: false, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null }),
  showModel,
}

const CREATED = '2026-01-01T00:00:00Z'

const types: Record<Problem['kind'], string> = {
  invalid: 'invalid_request_error',
  unknown_path: 'not_found_error',
  unknown_model: 'not_found_error',
  too_large: 'request_too_large',
  rate_limit: 'rate_limit_error',
  failure: 'api_error',
}

function showModel(id: string): object {
  return { type: 'model', id, display_name: id, created_at: CREATED }
}
