/** Google's Gemini API as a provider, whatever is asked of it. */
import type { PlayedVendor, Problem } from '../played-dialect.ts'

export const gemini: PlayedVendor = {
  modelPaths: ['/v1beta/models', '/v1alpha/models', '/v1beta1/models', '/v1/models'],
  headers: (requestId) => ({ 'server-timing': 'gfet4t7; dur=1', 'x-request-id': requestId }),
  problem: (problem) => ({ error: { code: problem.status, message: problem.message, status: statuses[problem.kind], ...details(problem) } }),
  limitHeaders: () => ({}),
  listModels: (ids) => ({ models: ids.map(showModel) }),
  showModel,
}

const statuses: Record<Problem['kind'], string> = {
  invalid: 'INVALID_ARGUMENT',
  unknown_path: 'NOT_FOUND',
  unknown_model: 'NOT_FOUND',
  too_large: 'INVALID_ARGUMENT',
  rate_limit: 'RESOURCE_EXHAUSTED',
  failure: 'INTERNAL',
}

/** These client libraries read no header: the wait and the member that is wrong stand in the body. */
function details({ kind, message, param }: Problem): object {
  if (kind === 'rate_limit') return { details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '1s' }] }
  if (kind !== 'invalid' || param === undefined) return {}
  return { details: [{ '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field: param, description: message }] }] }
}

function showModel(id: string): object {
  return {
    name: `models/${id}`,
    version: '001',
    displayName: id,
    description: 'Says what it is told.',
    inputTokenLimit: 1_000_000,
    outputTokenLimit: 1_000_000,
    supportedGenerationMethods: ['generateContent', 'countTokens', 'embedContent'],
  }
}
