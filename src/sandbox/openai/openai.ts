/** OpenAI as a provider, whatever is asked of it. */
import type { PlayedVendor, Problem } from '../played-dialect.ts'

export const openai: PlayedVendor = {
  modelPaths: ['/v1/models'],
  headers: (requestId) => ({ 'x-request-id': requestId, 'openai-organization': 'sandbox', 'openai-version': '2020-10-01', 'openai-processing-ms': '1' }),
  problem: (problem) => ({ error: { message: problem.message, type: types[problem.kind], param: problem.param ?? null, code: codes[problem.kind] } }),
  limitHeaders: (resetInMs) => ({
    'retry-after-ms': String(resetInMs),
    'x-ratelimit-limit-requests': '1',
    'x-ratelimit-remaining-requests': '0',
    'x-ratelimit-reset-requests': `${resetInMs}ms`,
  }),
  listModels: (ids) => ({ object: 'list', data: ids.map(showModel) }),
  showModel,
}

const CREATED = 1_767_225_600

const types: Record<Problem['kind'], string> = {
  invalid: 'invalid_request_error',
  unknown_path: 'invalid_request_error',
  unknown_model: 'invalid_request_error',
  too_large: 'invalid_request_error',
  rate_limit: 'requests',
  failure: 'server_error',
}
const codes: Record<Problem['kind'], string | null> = {
  invalid: null,
  unknown_path: null,
  unknown_model: 'model_not_found',
  too_large: null,
  rate_limit: 'rate_limit_exceeded',
  failure: null,
}

function showModel(id: string): object {
  return { id, object: 'model', created: CREATED, owned_by: 'earthflow' }
}
