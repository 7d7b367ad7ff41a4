/** What callers say about their calls in headers, beside the body. It is theirs to write and ours to bound. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { ModelCall } from '../call.ts'
import { ENTRIES_MAX, TEXT_MAX } from '../dialects/bodies/metadata.ts'

const HEADER_BYTES_MAX = 4096

/** Whether what a caller gave as metadata is any. */
export function isReadable({ headers }: IncomingMessage): boolean {
  const given = headers['x-earthflow-metadata']
  return given === undefined || (typeof given === 'string' && given.length <= HEADER_BYTES_MAX && parse(given) !== null)
}

/** From the three headers. */
export function headerMetadata({ headers }: IncomingMessage): { user: string | null; metadata: ModelCall['metadata'] } {
  const metadata: Record<string, string | number | boolean> = {}
  const given = headers['x-earthflow-metadata']
  if (typeof given === 'string' && given.length <= HEADER_BYTES_MAX) {
    for (const [name, value] of Object.entries(parse(asUtf8(given)) ?? {}).slice(0, ENTRIES_MAX)) {
      if (typeof value === 'string') metadata[name.slice(0, TEXT_MAX)] = value.slice(0, TEXT_MAX)
      else if (typeof value === 'number' || typeof value === 'boolean') metadata[name.slice(0, TEXT_MAX)] = value
    }
  }
  const conversation = short(headers['x-earthflow-conversation'])
  if (conversation !== null) metadata.conversation = conversation
  return { user: short(headers['x-earthflow-user']), metadata }
}

/** All that the caller says about the call, in its body and in headers, of which the headers are the louder. */
export function metadataOf(call: Pick<ModelCall, 'metadata'>, incoming: IncomingMessage): ModelCall['metadata'] {
  const { user, metadata } = headerMetadata(incoming)
  return { ...call.metadata, ...metadata, ...(user !== null && { user }) }
}

/** On whose behalf the caller says it calls. */
export const userOf = ({ metadata }: Pick<ModelCall, 'metadata'>, incoming: IncomingMessage): string | null => headerMetadata(incoming).user ?? userIn(metadata)

/** The same as far as the body says it. An empty name is none, and hides no other. */
export const userIn = ({ user, user_id }: ModelCall['metadata']): string | null =>
  [user, user_id].find((name): name is string => typeof name === 'string' && name !== '') ?? null

/** Node reads headers as Latin-1. Who writes UTF-8 into one means the same as in a body. */
function asUtf8(header: string): string {
  const bytes = Buffer.from(header, 'latin1')
  return isUtf8(bytes) ? bytes.toString() : header
}

function parse(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

const short = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? asUtf8(value).slice(0, TEXT_MAX) : null)
