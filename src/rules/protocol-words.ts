/**
 * Values that providers' formats prescribe, such as a message's role. Where a string of the protocol is exactly such a word it tells nothing about the
 * caller, so a rule about the word "user" or "text" is not a rule about every call.
 */
const words = new Set(
  `
assistant developer function model system tool user
audio code custom document file grammar image image_url input_audio input_image input_text json_object json_schema output_text redacted_thinking refusal
server_tool_use text thinking tool_reference tool_result tool_use video_url web_search_tool_result
adaptive allowed any auto base64 content default disabled enabled ephemeral high low max medium message minimal none parallel required standard url
array boolean integer null number object string
alloy echo mp3 opus pcm16 wav flac aac jpeg png gif webp application/pdf image/gif image/jpeg image/png image/webp text/plain
1h 5m 24h flex priority standard_only summarized concise detailed
`
    .trim()
    .split(/\s+/),
)

/** The longest of them, so that longer strings need not be read. */
const WORD_BYTES_MAX = 32

export const isProtocolWord = (text: Buffer, from: number, to: number): boolean => to - from <= WORD_BYTES_MAX && words.has(text.toString('latin1', from, to))
