/**
 * The member names of the providers' formats. A name in this list says nothing about the caller, so it is neither judged nor hidden in a
 * path; every other name is text somebody chose, and a prompt may hide in it.
 */
const names = `
$comment $defs $id $ref $schema accepted_prediction_tokens acknowledged_safety_checks action actions additionalProperties additional_properties allOf
allowedFunctionNames allowed_callers allowed_domains allowed_function_names allowed_tools always annotation annotation_index annotations anyOf
approval_request_id approve approximate archived_at args arguments array attributes audio audioTranscription audio_tokens audio_transcription auth
authorization authorization_token autoMode auto_mode automaticActivityDetection avgLogprobs avg_logprob avg_logprobs b64_json background batch
behavior best_of billing blockReason blockReasonMessage blocked blocked_domains body budget_tokens button bytes cacheTokensDetails cache_control
cache_creation cache_creation_input_tokens cache_read_input_tokens cachedContent cachedContentTokenCount cached_content cached_tokens call_id caller
caller_id cancel_initiated_at canceled candidateCount candidate_count candidates candidatesTokenCount candidatesTokensDetails categories category
category_applied_input_types category_scores choices chosenCandidates chunking_strategy citation citationMetadata citationSources citations cited_text
city code codeExecution codeExecutionResult code_execution code_execution_result command command_index commands compact_threshold
comparison_response_id completed_at completion_tokens completion_tokens_details complexity compression_ratio confidenceScores connector_id const
container container_file_citation container_id content content_block content_filter_results content_index contents context context_management
continuationToken continuation_token conversation country createTime created created_at created_by custom custom_id data default defer_loading
definition definitions delta dependentSchemas description detail details diff dimensions disable_parallel_tool_use displayName display_height
display_name display_width document_index document_title domain domain_secrets duration echo edits effort embedContentConfig embed_content_config
embedding embeddings enableWidget enabled encoding_format encrypted_content encrypted_index encrypted_stdout end endIndex endOffset end_block_index
end_char_index end_index end_offset end_page_number ended_at enum env environment ephemeral_1h_input_tokens ephemeral_5m_input_tokens error error_code
errored example examples exclusiveMaximum exclusiveMinimum executableCode executable_code execution exit_code expireTime expire_time expired
expires_at extra_content fallbacks file fileData fileSearch fileSearchStoreNames fileUri file_data file_id file_ids file_search file_search_store_names
file_source file_uri file_url filename filters fingerprint finishMessage finishReason finish_reason flagged format fps frequencyPenalty
frequency_penalty function functionCall functionCallingConfig functionDeclarations functionResponse function_call function_calling_config
function_declarations function_response functions generateContentRequest generate_content_request generate_summary generationConfig generation_config
google googleMaps googleMapsWidgetContextToken googleSearch googleSearchRetrieval google_maps google_search grammar groundingAttributions
groundingChunkIndices groundingChunks groundingMetadata groundingSupports harassment harassment/threatening hate hate/threatening headers id illicit
illicit/violent image imageConfig image_config image_gen image_tokens image_url images include includeThoughts include_obfuscation include_thoughts
include_usage incomplete_details index inference_geo inlineData inline_data input inputConfig input_audio input_config input_examples input_fidelity
input_image_mask input_schema input_tokens input_tokens_details instructions is_error item item_id items jsonPath json_path json_schema keep key keys
keywords known_speaker_names known_speaker_references labels language languageCode language_code languages last_assistant_id latLng lat_lng latitude
level license lines location logProbability logit_bias logprob logprobs logprobsResult logs longitude manualMode manual_mode maps mask maxItems
maxLength maxOutputTokens maxProperties max_completion_tokens max_content_tokens max_num_results max_output_length max_output_tokens max_tokens
max_tool_calls max_uses maximum mcp_server_name mcp_servers mediaResolution media_resolution media_type memory_limit message messages metadata
metadataFilter method mimeType mime_type minItems minLength minProperties minimum modalities modality mode model modelName modelStage modelStatus
modelVersion model_name models moderation multiSpeakerVoiceConfig multi_speaker_voice_config multipleOf n name namespace native_finish_reason network_policy
never new_lines new_start no_speech_prob not nullable num_lines num_requests obfuscation object old_lines old_start oneOf operation outcome output
outputDimensionality output_compression output_config output_dimensionality output_format output_index output_schema output_text output_tokens
output_tokens_details outputs page_age parallel_tool_calls param parameters parametersJsonSchema parameters_json_schema params parsed part partIndex
partialArgs partial_args partial_image_b64 partial_image_index partial_images partial_json parts path pattern patternProperties payer
pending_safety_checks phase placeId policy prebuiltVoiceConfig prebuilt_voice_config prediction prefixItems presencePenalty presence_penalty
previous_response_id priority probability probabilityScore processing processing_status prompt promptFeedback promptTokenCount promptTokensDetails
prompt_cache_breakpoint prompt_cache_key prompt_cache_options prompt_cache_retention prompt_filter_results prompt_logprobs prompt_tokens
prompt_tokens_details properties propertyOrdering property_ordering provider publicationDate purpose quality queries query ranker ranking_options
read_only reason reasoning reasoning_content reasoning_details reasoning_effort reasoning_tokens refusal region rejected_prediction_tokens
renderedContent replicatedVoiceConfig replicated_voice_config request request_counts request_id requests require_approval required response responseId
responseJsonSchema responseLogprobs responseMimeType responseModalities responseSchema response_format response_id response_json_schema
response_logprobs response_mime_type response_modalities response_schema result results results_url retrievalConfig retrievalMetadata retrievalQueries
retrieval_config retrievedContext retrievedUrl retrieved_at return_code revised_prompt role routingConfig routing_config safetyRatings safetySettings
safety_identifier safety_settings scheduling schema score score_threshold scroll_x scroll_y sdkBlob searchEntryPoint search_content_types
search_context_size search_result_index seconds seed seek segment segment_id segments self-harm self-harm/instructions self-harm/intent
sequence_number server_description server_label server_name server_tool_use server_url serviceTier service_tier severity severityScore sexual
sexual/minors signature size skills source sources speaker speakerVoiceConfigs speaker_voice_configs speechConfig speech_config speed start startIndex
startOffset start_block_index start_char_index start_index start_line start_offset start_page_number status stderr stdout stop stopSequences
stop_details stop_reason stop_sequence stop_sequences store stream stream_format stream_options strict stringValue string_value style succeeded suffix
summary summary_index svg svg_usage syntax system systemInstruction system_fingerprint system_instruction task taskType task_type temperature text
text_offset text_tokens thinking thinkingBudget thinkingConfig thinkingLevel thinking_budget thinking_config thinking_level thought thoughtSignature
thought_signature thoughtsTokenCount threshold timeout_ms timestamp_granularities timezone title token tokenCount token_ids token_logprobs tokens
toolCall toolConfig toolResponse toolType toolUsePromptTokenCount toolUsePromptTokensDetails tool_call tool_call_id tool_calls tool_choice tool_config
tool_configuration tool_name tool_names tool_reference tool_references tool_response tool_type tool_usage tool_use_id tools topCandidates topK topP
top_k top_logprobs top_p totalTokenCount totalTokens total_lines total_tokens trafficType transcript truncation ttl tunnel_id type uniqueItems uri url
urlContext urlContextMetadata urlMetadata urlRetrievalStatus url_citation usage usageMetadata user user_id user_location value values variables
vector_store_ids verbosity version video videoMetadata video_metadata video_url violence violence/graphic voice voiceConfig voiceName voiceSampleAudio
voice_config voice_name voice_sample_audio web webSearchQueries web_search web_search_options widgetContextToken willContinue will_continue word words
working_directory x y
`
  .trim()
  .split(/\s+/)

// The factors were chosen to let few of the names above share a bucket; any would do.
const BUCKETS = 4096
const bucketOf = (length: number, first: number, middle: number, last: number): number =>
  (length * 215 + first * 3211 + middle * 2183 + last * 300) & (BUCKETS - 1)

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
