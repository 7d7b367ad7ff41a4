/** The bodies that are sent. No preset finds anything in them, and no two calls say the same: where it says CALLNUMBER, the load generator writes what no call had before. */
import { AGENT_LINES, SENTENCE } from './texts.ts'

export const CALL_NUMBER = 'CALLNUMBER'
/** What one rule of the configuration `redaction` cuts; to every other it is a word. */
export const CUT_TERM = 'Larkspur'

const BEGINNING = `Call ${CALL_NUMBER} of project ${CUT_TERM}: `
const SYSTEM = 'You are a helpful assistant that answers briefly.'
/** Of an agent's conversation: what a tool read, an answer, a question. */
const TURN_CHARACTERS = 4_096

interface Wanted {
  /** Of the whole body, which is ASCII. */
  bytes: number
  stream?: boolean
  /** Microseconds from chunk to chunk; the provider reads it from `seed`. */
  paceUs?: number | undefined
}

/** A chat of two messages. `"stream":true` stands as the fake provider looks for it, without spaces. */
export function chatBody({ bytes, stream = false, paceUs }: Wanted): string {
  const body = (text: string): string => bodyOf([system(), { role: 'user', content: BEGINNING + text }], { stream, paceUs })
  const room = bytes - body('').length
  return body(SENTENCE.repeat(Math.ceil(room / SENTENCE.length)).slice(0, room))
}

/** A long conversation of an agent. `first`: no text of it was ever seen. `repeated`: all of it but the last message was. */
export function agentBody(turn: 'first' | 'repeated', bytes: number): string {
  const lines = AGENT_LINES.join('\n')
  const turnOf = (i: number): Message => {
    const text = `Step ${i}. ${lines.repeat(Math.ceil(TURN_CHARACTERS / lines.length)).slice(i % lines.length)}`.slice(0, TURN_CHARACTERS)
    return { role: i % 2 === 0 ? 'user' : 'assistant', content: turn === 'first' ? `${CALL_NUMBER} ${text}` : text }
  }
  const turns: Message[] = [system()]
  const body = (text: string, more: readonly Message[] = []): string => bodyOf([...turns, ...more, { role: 'user', content: BEGINNING + text }], {})
  for (let i = 0; body('', [turnOf(i)]).length <= bytes; i++) turns.push(turnOf(i))
  const room = bytes - body('').length
  return body(SENTENCE.repeat(Math.ceil(room / SENTENCE.length)).slice(0, room))
}

interface Message {
  role: string
  content: string
}

const system = (): Message => ({ role: 'system', content: SYSTEM })

const bodyOf = (messages: readonly Message[], { stream = false, paceUs }: Partial<Wanted>): string =>
  JSON.stringify({
    model: 'gpt-4o-mini',
    messages,
    temperature: 0.7,
    max_tokens: 256,
    ...(paceUs === undefined ? {} : { seed: paceUs }),
    ...(stream ? { stream: true } : {}),
  })
