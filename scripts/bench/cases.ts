/** The calls that are measured. */
export interface BenchCase {
  name: string
  about: string
  byDefault: boolean
  connections: number
  /** Chunks of one answer; 0 when it is plain JSON. */
  chunks: number
  body: string
}

/** What the fake provider streams, and how large its plain answer is. */
export const PROVIDER_CHUNKS = 50
export const PROVIDER_BODY_BYTES = 1024

const CONNECTIONS = 64
const CHAT_BYTES = 1476

export const benchCases: readonly BenchCase[] = [
  { name: 'plain', about: '1.5 KB chat body, 1 KB JSON answer', byDefault: true, connections: CONNECTIONS, chunks: 0, body: chatBody(false) },
  {
    name: 'stream',
    about: `1.5 KB chat body, ${PROVIDER_CHUNKS} chunks`,
    byDefault: true,
    connections: CONNECTIONS,
    chunks: PROVIDER_CHUNKS,
    body: chatBody(true),
  },
]

/** A chat that no preset finds anything in. `"stream":true` stands as the fake provider looks for it, without spaces. */
function chatBody(stream: boolean): string {
  const body = (text: string) =>
    JSON.stringify({
      model: 'gpt-4o-mini',
      messages: [
        { role: 'system', content: 'You are a helpful assistant that answers briefly.' },
        { role: 'user', content: text },
      ],
      temperature: 0.7,
      max_tokens: 256,
      ...(stream ? { stream: true } : {}),
    })
  const sentence = 'The quick brown fox jumps over the lazy dog while the river runs slowly towards the sea. '
  const room = CHAT_BYTES - body('').length
  return body(sentence.repeat(Math.ceil(room / sentence.length)).slice(0, room))
}
