/** The events of a streamed response: pieces of texts, and the same texts whole once they are complete. */
import type { Role } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { markBase64 } from '../bodies/media.ts'
import { CHANNELS_PER_CHOICE, type Mark, type MarkPiece, NOTHING_CLOSED, WHOLE_TEXT } from '../dialect.ts'
import { indexOf } from '../events/channels.ts'
import { readAnnotation, readContent, readItem, readPart } from './openai-items.ts'

/** The kinds of text an item has. Each text is closed by an event of its own, so each is numbered like a choice: by item, by part, by kind. */
const kinds = { text: 0, refusal: 1, thought: 2, summary: 3, called: 4, shell: 5, transcript: 6, unknown: 7 } as const
const KINDS = Object.keys(kinds).length
type Kind = keyof typeof kinds
/** As many as `indexOf` lets through. */
const PARTS_MAX = 1 << 16
/** Within a shell's output. */
const STDOUT = 0
const STDERR = 1

interface Streamed {
  kind: Kind
  role: Role
  /** Where an event says which part of its item it tells; none where there is only one. */
  part?: 'content_index' | 'summary_index' | 'command_index'
}
const said: Streamed = { kind: 'text', role: 'assistant', part: 'content_index' }
const refused: Streamed = { ...said, kind: 'refusal' }
const called: Streamed = { kind: 'called', role: 'tool_arguments' }
const thought: Streamed = { kind: 'thought', role: 'thinking', part: 'content_index' }
const summary: Streamed = { kind: 'summary', role: 'thinking', part: 'summary_index' }
const transcript: Streamed = { kind: 'transcript', role: 'assistant' }
/** Texts that come in pieces, by the type of their events without the last word (`delta`, `added` or `done`). */
const streamed: ReadonlyMap<string, Streamed> = new Map(
  Object.entries({
    'response.output_text': said,
    'response.refusal': refused,
    'response.reasoning_text': thought,
    'response.reasoning': thought,
    'response.reasoning_summary_text': summary,
    'response.reasoning_summary': summary,
    'response.function_call_arguments': called,
    'response.custom_tool_call_input': called,
    'response.mcp_call_arguments': called,
    'response.mcp_call.arguments': called,
    'response.code_interpreter_call_code': called,
    'response.code_interpreter_call.code': called,
    'response.apply_patch_call_operation_diff': called,
    'response.shell_call_command': { ...called, part: 'command_index' },
    'response.audio.transcript': transcript,
    'response.audio_transcript': transcript,
  } satisfies Record<string, Streamed>),
)
/** A text that comes in pieces and of which nothing is known. */
const unknown: Streamed = { ...said, kind: 'unknown' }
/** Where an event tells a text whole. */
const wholes = ['text', 'refusal', 'arguments', 'input', 'code', 'command', 'diff', 'transcript'] as const

/** Reads an event; `readResponse` reads the whole response that some events carry. */
export const readResponseEvent =
  (readResponse: (json: Json, response: number, mark: Mark) => void) =>
  (json: Json, mark: MarkPiece): number => {
    for (const name of ['type', 'item_id', 'response_id', 'obfuscation']) mark(json.get(0, name), WHOLE_TEXT, 'protocol')
    const whole: Mark = (node, role) => mark(node, WHOLE_TEXT, role)
    const type = json.text(json.get(0, 'type'))
    const dot = type.lastIndexOf('.')
    const stem = type.slice(0, Math.max(0, dot))
    const ends = type.endsWith('.done')
    switch (stem) {
      case 'response': {
        readResponse(json, json.get(0, 'response'), whole)
        return NOTHING_CLOSED
      }
      case 'response.output_item':
        readItem(json, json.get(0, 'item'), 'assistant', ends ? whole : begunBy(json, mark))
        return NOTHING_CLOSED
      case 'response.content_part':
      case 'response.reasoning_summary_part': {
        const part = json.get(0, 'part')
        const place = stem !== 'response.content_part' ? summary : json.is(json.get(part, 'type'), 'reasoning_text') ? thought : said
        readPart(json, part, place.role, ends ? whole : begunPart(json, part, place, mark))
        return NOTHING_CLOSED
      }
      case 'response.shell_call_output_content':
        return readShell(json, ends, mark)
      case 'response.output_text.annotation':
        readAnnotation(json, json.get(0, 'annotation'), whole)
        return NOTHING_CLOSED
      case 'response.audio':
        markBase64(json, json.get(0, 'delta'), whole)
        return NOTHING_CLOSED
      case 'response.image_generation_call':
        markBase64(json, json.get(0, 'partial_image_b64'), whole)
        return NOTHING_CLOSED
    }
    const text = streamed.get(stem) ?? unknown
    const number = numberOf(json, text)
    mark(json.get(0, 'delta'), number * CHANNELS_PER_CHOICE, text.role)
    for (const name of wholes) whole(json.get(0, name), text.role)
    return ends ? number : NOTHING_CLOSED
  }

const numberOf = (json: Json, { kind, part }: Streamed): number =>
  numbered(indexOf(json, json.get(0, 'output_index')), part === undefined ? 0 : indexOf(json, json.get(0, part)), kind)
const numbered = (item: number, part: number, kind: Kind): number => (item * PARTS_MAX + part) * KINDS + kinds[kind]

/** An item begins: its texts, empty or not, are the beginnings of what its deltas go on with. */
function begunBy(json: Json, mark: MarkPiece): Mark {
  const item = json.get(0, 'item')
  const index = indexOf(json, json.get(0, 'output_index'))
  const beginnings = new Map<number, number>()
  const begin = (node: number, part: number, kind: Kind): void => {
    if (node !== NONE) beginnings.set(node, numbered(index, part, kind))
  }
  for (const name of ['arguments', 'input', 'code']) begin(json.get(item, name), 0, 'called')
  const isThought = json.is(json.get(item, 'type'), 'reasoning')
  eachPart(json, json.get(item, 'content'), (part, at) => {
    begin(json.get(part, 'text'), at, isThought ? 'thought' : 'text')
    begin(json.get(part, 'refusal'), at, 'refusal')
  })
  eachPart(json, json.get(item, 'summary'), (part, at) => begin(json.get(part, 'text'), at, 'summary'))
  return pieces(beginnings, mark)
}

/** The same for a part. */
function begunPart(json: Json, part: number, place: Streamed, mark: MarkPiece): Mark {
  const beginnings = new Map([
    [json.get(part, 'text'), numberOf(json, place)],
    [json.get(part, 'refusal'), numberOf(json, refused)],
  ])
  return pieces(beginnings, mark)
}

const pieces =
  (beginnings: ReadonlyMap<number, number>, mark: MarkPiece): Mark =>
  (node, role) => {
    const number = beginnings.get(node)
    mark(node, number === undefined ? WHOLE_TEXT : number * CHANNELS_PER_CHOICE, role)
  }

function eachPart(json: Json, parts: number, visit: (part: number, at: number) => void): void {
  let at = 0
  for (let part = json.firstItem(parts); part !== NONE; part = json.next(part)) visit(part, at++)
}

/** What a command prints comes in two texts at once, and is closed by one event. */
function readShell(json: Json, ends: boolean, mark: MarkPiece): number {
  const number = numberOf(json, { kind: 'shell', role: 'tool_result', part: 'command_index' })
  const delta = json.get(0, 'delta')
  mark(json.get(delta, 'stdout'), number * CHANNELS_PER_CHOICE + STDOUT, 'tool_result')
  mark(json.get(delta, 'stderr'), number * CHANNELS_PER_CHOICE + STDERR, 'tool_result')
  readContent(json, json.get(0, 'output'), 'tool_result', (node, role) => mark(node, WHOLE_TEXT, role))
  return ends ? number : NOTHING_CLOSED
}
