/** What OpenAI's chat completions and its older completions share: a list of choices, in one piece or streamed, that ends with `[DONE]`. */
import type { Usage } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import type { Stop } from '../dialect.ts'
import { frameData, isDone } from '../events/event-stream.ts'
import { choiceTokensIn, lastOf, usagesIn } from '../usage.ts'
import { errorEvent } from './openai.ts'

/** `data: [DONE]` and its line ends are 16 bytes; a little may stand around it. */
const LAST_EVENT_BYTES_MAX = 64

/** Whether an event says that the stream is over. */
export function isDoneEvent(event: Buffer): boolean {
  if (event.length > LAST_EVENT_BYTES_MAX) return false
  const data = frameData(event)
  return data !== null && data !== 'several' && isDone(event, data.start, data.end)
}

/** Visits the members of choices that spell their text in tokens. */
export function eachChoiceRepeat(json: Json, visit: (node: number) => void): void {
  const choices = json.get(0, 'choices')
  for (let choice = json.firstItem(choices); choice !== NONE; choice = json.next(choice))
    for (let key = json.firstMember(choice); key !== NONE; key = json.next(key))
      if (isRepeat(json.name(key)) && !json.isNull(json.value(key))) visit(json.value(key))
}

/** The second and third are additions of vLLM's. */
const isRepeat = (name: string): boolean => name === 'logprobs' || name === 'token_ids' || name === 'prompt_logprobs'

export const readChoicesUsage = (ends: string): Usage | null => lastOf(usagesIn(ends).map(choiceTokensIn))

/** Ends a stream of choices; `emptied` is what a choice's last chunk holds beside its index and its reason to stop. */
export const stopChoices =
  (object: string, emptied: object) =>
  ({ refusal, soft, open, ends = '' }: Stop): string => {
    if (!soft) return errorEvent(refusal)
    const head = {
      id: sayingOf('id', ends) ?? 'chatcmpl-stopped',
      object,
      created: Number(sayingOf('created', ends) ?? 0),
      model: sayingOf('model', ends) ?? '',
    }
    const last = (index: number): string =>
      `data: ${JSON.stringify({ ...head, choices: [{ index, ...emptied, logprobs: null, finish_reason: 'content_filter' }] })}\n\n`
    return `${(open.length === 0 ? [0] : open).map(last).join('')}data: [DONE]\n\n`
  }

/** How far into a stream its first chunk names itself (characters). */
const FIRST_CHUNK_CHARACTERS = 2048

/**
 * What the first chunk of a stream says of itself: its id, its time or its model, as far as that is plainly written. A quote within a text has a
 * backslash before it, so that no text can pose as a member.
 */
export const sayingOf = (member: 'id' | 'created' | 'created_at' | 'model', ends: string): string | undefined =>
  new RegExp(`[{,]\\s*"${member}"\\s*:\\s*"?([\\w.:/@-]{1,128})"?\\s*[,}]`).exec(ends.slice(0, FIRST_CHUNK_CHARACTERS))?.[1]
