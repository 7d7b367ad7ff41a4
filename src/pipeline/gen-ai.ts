/** What a call is in the words of OpenTelemetry's semantic conventions for generative AI (1.45, incubating), as far as that is no text of anybody's. */
import type { Usage } from '../call.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import type { SpanAttributes } from '../telemetry/tracing.ts'

export const OPERATION = 'gen_ai.operation.name'
export const PROVIDER = 'gen_ai.provider.name'
export const REQUEST_MODEL = 'gen_ai.request.model'
export const RESPONSE_MODEL = 'gen_ai.response.model'
export const FINISH_REASONS = 'gen_ai.response.finish_reasons'
export const USAGE = {
  input: 'gen_ai.usage.input_tokens',
  output: 'gen_ai.usage.output_tokens',
  cached: 'gen_ai.usage.cache_read.input_tokens',
  written: 'gen_ai.usage.cache_creation.input_tokens',
  reasoning: 'gen_ai.usage.reasoning.output_tokens',
} as const

/** By the last segment of a route, without placeholders. What is not listed has no word in the conventions. */
const operations: Readonly<Record<string, string>> = {
  'chat/completions': 'chat',
  messages: 'chat',
  responses: 'chat',
  proxy: 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
  generateContent: 'generate_content',
  streamGenerateContent: 'generate_content',
  embedContent: 'embeddings',
  batchEmbedContents: 'embeddings',
}
const providers: Readonly<Record<string, string>> = { openai: 'openai', azure: 'azure.ai.openai', anthropic: 'anthropic', gemini: 'gcp.gemini' }

/** What a model is asked to do; undefined where the conventions have no word for it. `route` is the path as its dialect's list has it. */
export function operationOf(route: string): string | undefined {
  const [, last = ''] = /(chat\/completions|[^/:]+)$/.exec(route) ?? []
  return operations[last]
}

/** Whose format the call is in, which the conventions call the provider. */
export const providerOf = ({ dialect }: Endpoint): string | undefined => providers[dialect.vendor.name]

/** As it was counted, or estimated where nobody did. */
export const usageAttributes = (usage: Usage): SpanAttributes => ({
  [USAGE.input]: usage.input_tokens,
  [USAGE.output]: usage.output_tokens,
  [USAGE.cached]: usage.cached_input_tokens,
  [USAGE.written]: usage.cache_write_tokens,
  [USAGE.reasoning]: usage.reasoning_tokens,
})

/** Every word that providers have for why an answer ends. Another may be anything. */
const REASONS: ReadonlySet<string> = new Set([
  ...['stop', 'length', 'tool_calls', 'content_filter', 'function_call'],
  ...['end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'pause_turn', 'refusal', 'model_context_window_exceeded'],
  ...['STOP', 'MAX_TOKENS', 'SAFETY', 'RECITATION', 'LANGUAGE', 'OTHER', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'MALFORMED_FUNCTION_CALL'],
])
/** Within a text its quotes would be escaped. */
const REASON = /"(?:finish_reason|stop_reason|finishReason)"\s*:\s*"(\w{1,40})"/g
const MODEL = /"model(?:Version)?"\s*:\s*"([\w.:/@+-]{1,200})"/

/**
 * What the ends of an answer say about it: why it ended, and which model gave it, as far as that is a longer or shorter name of the one that was asked
 * for. Anything else in its place could be text.
 */
export function answerAttributes(ends: string, asked: string | null): SpanAttributes {
  const reasons = [...new Set(Array.from(ends.matchAll(REASON), ([, reason]) => reason))].filter((reason) => REASONS.has(reason))
  const model = MODEL.exec(ends)?.[1]
  const isAkin = model !== undefined && asked !== null && (model.startsWith(asked) || asked.startsWith(model))
  return { [FINISH_REASONS]: reasons.length > 0 ? reasons : undefined, [RESPONSE_MODEL]: isAkin ? model : undefined }
}
