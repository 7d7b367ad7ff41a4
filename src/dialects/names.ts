/**
 * The member names of the providers' formats. A name in this list says nothing about the caller, so it is neither judged nor hidden in a
 * path; every other name is text somebody chose, and a prompt may hide in it.
 */
const names = `
$comment $defs $id $ref $schema accepted_prediction_tokens additionalProperties additional_properties allOf allowed_callers allowed_domains
allowed_tools annotations anyOf approximate arguments array audio audio_tokens auth authorization_token blocked_domains budget_tokens bytes
cache_control cache_creation cache_creation_input_tokens cache_read_input_tokens cached_tokens caller choices citation citations cited_text city code
completion_tokens completion_tokens_details const container content content_block content_filter_results context context_management country created
custom data default defer_loading definition definitions delta dependentSchemas description detail details disable_parallel_tool_use document_index
document_title edits effort enabled encrypted_content encrypted_index encrypted_stdout end_block_index end_char_index end_index end_page_number enum
ephemeral_1h_input_tokens ephemeral_5m_input_tokens error error_code examples exclusiveMaximum exclusiveMinimum extra_content file file_data file_id
file_source filename finish_reason format fps frequency_penalty function function_call functions google grammar id image_url include_obfuscation
include_usage index inference_geo input input_audio input_examples input_schema input_tokens is_error items json_schema keep last_assistant_id lines
logit_bias logprob logprobs maxItems maxLength max_completion_tokens max_content_tokens max_tokens max_uses maximum mcp_server_name mcp_servers
media_type message messages metadata minItems minLength minimum modalities mode model multipleOf n name native_finish_reason new_lines new_start not
num_lines obfuscation object old_lines old_start oneOf output_config output_format output_tokens page_age parallel_tool_calls param parameters parsed
partial_json pattern patternProperties prediction prefixItems presence_penalty prompt_cache_key prompt_cache_retention prompt_filter_results
prompt_tokens prompt_tokens_details properties provider reasoning reasoning_content reasoning_details reasoning_effort reasoning_tokens refusal region
rejected_prediction_tokens request_id required response_format results retrieved_at return_code role safety_identifier schema search_context_size
search_result_index seed server_name server_tool_use service_tier signature skills source speed start_block_index start_char_index start_index
start_line start_page_number stderr stdout stop stop_details stop_reason stop_sequence stop_sequences store stream stream_options strict summary
syntax system system_fingerprint temperature text thinking thought_signature timezone title token token_ids tool_call_id tool_calls tool_choice
tool_configuration tool_name tool_reference tool_references tool_use_id tools top_k top_logprobs top_p total_lines total_tokens transcript ttl type
uniqueItems url url_citation usage user user_id user_location value verbosity video video_url voice web_search_options
`
  .trim()
  .split(/\s+/)

// The factors were chosen to let few of the names above share a bucket; any would do.
const BUCKETS = 1024
const bucketOf = (length: number, first: number, middle: number, last: number): number => (length * 155 + first * 17 + middle * 67 + last * 97) & (BUCKETS - 1)

const spelled = names.map((name) => Buffer.from(name, 'latin1'))
const ids = new Map(names.map((name, id) => [name, id]))
/** For each bucket the ids that fall into it; nearly always one. */
const buckets: (readonly number[] | null)[] = Array.from({ length: BUCKETS }, () => null)
for (const [id, name] of spelled.entries()) {
  const bucket = bucketOf(name.length, name[0], name[name.length >> 1], name[name.length - 1])
  buckets[bucket] = [...(buckets[bucket] ?? []), id]
}

export const UNKNOWN_NAME = -1

/** The number of the name spelled by these bytes, or UNKNOWN_NAME. Allocates nothing: every member of every body passes here. */
export function nameAt(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  if (length === 0) return UNKNOWN_NAME
  const candidates = buckets[bucketOf(length, bytes[start], bytes[start + (length >> 1)], bytes[end - 1])]
  if (candidates === null) return UNKNOWN_NAME
  candidate: for (const id of candidates) {
    const name = spelled[id]
    if (name.length !== length) continue
    for (let i = 0; i < length; i++) if (name[i] !== bytes[start + i]) continue candidate
    return id
  }
  return UNKNOWN_NAME
}

/** The same for a name that was written with escapes. */
export const nameOf = (text: string): number => ids.get(text) ?? UNKNOWN_NAME

/** The name itself. */
export const spell = (id: number): string => names[id]
