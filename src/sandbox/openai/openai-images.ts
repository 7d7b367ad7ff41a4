import type { Answer, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { member, string } from '../read-body.ts'
import { countTokens } from '../speak.ts'
import { openai } from './openai.ts'

const MODEL = 'sandbox'
/** As many pictures as the provider draws at once. */
const PICTURES_MAX = 10
/** One grey pixel. */
const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=='
const PICTURE_TOKENS = 1

export const openaiImages: PlayedDialect = {
  name: 'openai-images',
  vendor: openai,
  operations: [
    { path: /^\/v1\/images\/generations$/, read: (body) => ({ model: modelOf(body), answer: readPicture(body, 'image_generation') }) },
    { path: /^\/v1\/images\/edits$/, read: (body) => ({ model: modelOf(body), answer: readPicture(body, 'image_edit') }) },
    { path: /^\/v1\/images\/variations$/, read: (body) => ({ model: modelOf(body), answer: readVariation(body) }) },
  ],
}

const modelOf = (body: unknown): string => string(member(body, 'model')) || MODEL

function readPicture(body: unknown, kind: string): () => Answer {
  const prompt = string(member(body, 'prompt'))
  if (prompt === '') throw new UnreadableAsk('prompt: a string is required', 'prompt')
  const count = countOf(body)
  return () => {
    const usage = usageOf(prompt, count)
    if (isTrue(member(body, 'stream'))) return { kind: 'stream', frames: frames(kind, usage) }
    return {
      kind: 'document',
      body: { ...told(), data: Array.from({ length: count }, () => ({ b64_json: PICTURE, revised_prompt: `You said: ${prompt}` })), usage },
    }
  }
}

function readVariation(body: unknown): () => Answer {
  if (member(body, 'image') === undefined) throw new UnreadableAsk('image: a file is required', 'image')
  const count = countOf(body)
  return () => ({ kind: 'document', body: { created: now(), data: Array.from({ length: count }, () => ({ b64_json: PICTURE })) } })
}

function countOf(body: unknown): number {
  const count = Number(member(body, 'n') ?? 1)
  if (!Number.isInteger(count) || count < 1 || count > PICTURES_MAX) throw new UnreadableAsk(`n: must be a whole number from 1 to ${PICTURES_MAX}`, 'n')
  return count
}

/** In a form everything is text. */
const isTrue = (value: unknown): boolean => value === true || value === 'true'

const now = (): number => Math.floor(Date.now() / 1000)
const look = { background: 'opaque', output_format: 'png', quality: 'low', size: '1024x1024' }
const told = (): object => ({ created: now(), ...look })

function usageOf(prompt: string, count: number): object {
  const asked = countTokens([prompt])
  const drawn = count * PICTURE_TOKENS
  return { input_tokens: asked, input_tokens_details: { image_tokens: 0, text_tokens: asked }, output_tokens: drawn, total_tokens: asked + drawn }
}

function* frames(kind: string, usage: object): Generator<string> {
  const frame = (type: string, more: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, b64_json: PICTURE, created_at: now(), ...look, ...more })}\n\n`
  yield frame(`${kind}.partial_image`, { partial_image_index: 0 })
  yield frame(`${kind}.completed`, { usage })
}
