import { createHash } from 'node:crypto'
import type { Answer, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { member, modelOf } from '../read-body.ts'
import { readPrompts } from '../read-prompts.ts'
import { countTokens } from '../speak.ts'
import { openai } from './openai.ts'

const DIMENSIONS = 16
/** As many as the provider's largest model has. */
const DIMENSIONS_MAX = 3072

export const openaiEmbeddings: PlayedDialect = {
  name: 'openai-embeddings',
  vendor: openai,
  operations: [{ path: /^\/v1\/embeddings$/, read: (body) => ({ model: modelOf(body), answer: readEmbeddings(body) }) }],
}

function readEmbeddings(body: unknown): () => Answer {
  const inputs = readPrompts(body, 'input')
  const dimensions = member(body, 'dimensions') ?? DIMENSIONS
  if (typeof dimensions !== 'number' || !Number.isInteger(dimensions) || dimensions < 1 || dimensions > DIMENSIONS_MAX) {
    throw new UnreadableAsk(`dimensions: must be a whole number from 1 to ${DIMENSIONS_MAX}`, 'dimensions')
  }
  return () => {
    const asBase64 = member(body, 'encoding_format') === 'base64'
    const data = inputs.map((input, index) => {
      const vector = vectorOf(input, dimensions)
      return { object: 'embedding', index, embedding: asBase64 ? Buffer.from(vector.buffer).toString('base64') : [...vector] }
    })
    const tokens = countTokens(inputs)
    return { kind: 'document', body: { object: 'list', data, model: modelOf(body), usage: { prompt_tokens: tokens, total_tokens: tokens } } }
  }
}

/** A direction of length 1 that depends on the text alone: the same text lies in the same place, and means nothing. */
function vectorOf(text: string, dimensions: number): Float32Array {
  const steps = Array.from(createHash('shake256', { outputLength: dimensions }).update(text).digest(), (byte) => byte - 127.5)
  const length = Math.hypot(...steps)
  return Float32Array.from(steps, (step) => step / length)
}
