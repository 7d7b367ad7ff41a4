/** What the sandbox says, and how its words are counted and cut into pieces; the same in every dialect. */
import { createHash } from 'node:crypto'
import { fillSchema } from './fill-schema.ts'

const BYTES_PER_TOKEN = 4
/** A long answer is streamed in longer pieces, so that a body of megabytes does not become millions of frames. */
const PIECES_MAX = 2000
const ARGUMENT_PIECE = /.{1,8}/gsu

/** The end of a conversation, as far as the sandbox cares. */
export interface Conversation {
  lastUserText: string
  /** The text of the tool result the conversation ends with; null when it ends otherwise. */
  toolResult: string | null
  /** The tool to call, if one may be called. */
  tool: { name: string; schema: unknown } | null
  /** The JSON schema the answer must follow, if the caller wants one. */
  schema: unknown
}

export type Speech = { kind: 'text'; text: string } | { kind: 'tool'; name: string; input: object }

/** Calls the first tool unless a tool has just answered, else echoes. */
export function speak({ lastUserText, toolResult, tool, schema }: Conversation): Speech {
  if (tool && toolResult === null) {
    const input = fillSchema(tool.schema)
    return { kind: 'tool', name: tool.name, input: typeof input === 'object' && input !== null ? input : {} }
  }
  if (schema !== undefined) return { kind: 'text', text: JSON.stringify(fillSchema(schema)) }
  return { kind: 'text', text: toolResult === null ? `You said: ${lastUserText}` : `The tool said: ${toolResult}` }
}

/** Bytes by four, rounded up, at least 1: no tokenizer, but in proportion and the same on every machine. */
export function countTokens(texts: Iterable<string>): number {
  let bytes = 0
  for (const text of texts) bytes += Buffer.byteLength(text)
  return Math.max(1, Math.ceil(bytes / BYTES_PER_TOKEN))
}

export const tokensOf = (speech: Speech): number => countTokens(speech.kind === 'text' ? [speech.text] : [speech.name, JSON.stringify(speech.input)])

/** A text word by word, each with the space before it. */
export const words = (text: string): string[] => atMost(PIECES_MAX, text.match(/\s*\S+|\s+$/g) ?? [])

/** The JSON of a tool's input in small pieces that break anywhere, as models write it; no character is split. */
export const argumentPieces = (json: string): string[] => atMost(PIECES_MAX, json.match(ARGUMENT_PIECE) ?? [])

function atMost(max: number, pieces: readonly string[]): string[] {
  const each = Math.ceil(pieces.length / max)
  if (each <= 1) return [...pieces]
  const joined: string[] = []
  for (let from = 0; from < pieces.length; from += each) joined.push(pieces.slice(from, from + each).join(''))
  return joined
}

/** A vector of length 1 that depends on the text alone: no meaning, but the same text is the same everywhere. */
export function embed(text: string, dimensions: number): number[] {
  const seed = createHash('sha256').update(text).digest()
  const values = Array.from({ length: dimensions }, (_, i) => (seed[i % seed.length]! - 127.5) * (1 + (i % 7)))
  const norm = Math.hypot(...values)
  return values.map((value) => value / norm)
}
