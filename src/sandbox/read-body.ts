/** Reading a body, and a path, that may be anything: what is missing or of another type is empty. */
import { UnreadableAsk } from './played-dialect.ts'

/** The member of an object or the field of a form; undefined where the value is neither or has no such member of its own. */
export function member(value: unknown, name: string): unknown {
  if (value instanceof FormData) return value.get(name) ?? undefined
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

export const items = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

export const string = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The model a body names. Throws UnreadableAsk when there is none. */
export function modelOf(body: unknown): string {
  const model = string(member(body, 'model'))
  if (model === '') throw new UnreadableAsk('model: a string is required', 'model')
  return model
}

/** The messages of a body. Throws UnreadableAsk unless they are a list of at least one object. */
export function messagesOf(body: unknown): readonly unknown[] {
  const messages = items(member(body, 'messages'))
  if (messages.length === 0) throw new UnreadableAsk('messages: a list of at least one message is required', 'messages')
  const odd = messages.findIndex((message) => typeof message !== 'object' || message === null)
  if (odd >= 0) throw new UnreadableAsk(`messages.${odd}: must be an object`, `messages[${odd}]`)
  return messages
}

/** The texts of a content: itself when it is a string, else those of its parts, also inside tool results. */
export function textsOf(content: unknown): string[] {
  if (typeof content === 'string') return [content]
  return items(content).flatMap((part) => {
    const text = member(part, 'text')
    return typeof text === 'string' ? [text] : textsOf(member(part, 'content'))
  })
}

/** A segment of a path without its percent-encoding; what is not valid UTF-8 stays as it is, and is no name of anything here. */
export function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
