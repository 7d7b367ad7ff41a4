/** Bodies as tables: every string in them says what a dialect should take it for, so that each place can be visited by a test. */
import type { Role, Texts } from '../../src/call.ts'
import { NONE } from '../../src/dialects/bodies/json.ts'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { BASE64_BYTES_MIN } from '../../src/dialects/bodies/media.ts'
import { collect } from '../../src/dialects/bodies/texts.ts'
import type { CallHead, Dialect } from '../../src/dialects/dialect.ts'

class Place {
  readonly role: Role
  readonly text: string
  constructor(role: Role, text: string) {
    this.role = role
    this.text = text
  }
}
const as =
  (role: Role) =>
  (text: string): Place =>
    new Place(role, text)

/** What a text of a table is. A string that stands alone in a table is `protocol`, and so is a member's name that begins with `x_`. */
export const system = as('system')
export const user = as('user')
export const assistant = as('assistant')
export const toolResult = as('tool_result')
export const args = as('tool_arguments')
export const thinking = as('thinking')
export const toolName = as('tool_name')
export const other = as('other')
/** Base64 that is long enough to count as media. */
export const lengthened = (base64: string): string => base64.replace(/=*$/, (padding) => `${'A'.repeat(BASE64_BYTES_MIN)}${padding}`)
export const opaque = (text: string): Place => new Place('opaque', lengthened(text))
/** The same for what only its provider can read. */
export const sealed = (text: string): Place => new Place('sealed', lengthened(text))

interface Member {
  holder: Record<string, unknown>
  key: string
}
export interface Visited extends Member {
  role: Role
  text: string
  /** False for a string that says how its neighbours are to be read, so that a test may not put anything else there. */
  free: boolean
}

/** The body as a client would send it, and its places. Each call builds a new one, so that a test may change it. */
export function plain(table: object): { body: Record<string, unknown>; places: Visited[]; objects: Record<string, unknown>[] } {
  const places: Visited[] = []
  const objects: Record<string, unknown>[] = []
  const copy = (value: unknown, member: Member): unknown => {
    if (value instanceof Place) {
      places.push({ ...member, role: value.role, text: value.text, free: true })
      return value.text
    }
    if (typeof value === 'string') {
      places.push({ ...member, role: 'protocol', text: value, free: false })
      return value
    }
    if (typeof value !== 'object' || value === null) return value
    const holder = (Array.isArray(value) ? [] : {}) as Record<string, unknown>
    if (!Array.isArray(value)) objects.push(holder)
    for (const [key, item] of Object.entries(value)) {
      if (key.startsWith('x_')) places.push({ holder, key, role: 'protocol', text: key, free: false })
      holder[key] = copy(item, { holder, key })
    }
    return holder
  }
  const body = copy(table, { holder: {}, key: '' }) as Record<string, unknown>
  return { body, places, objects }
}

/** The same JSON, written in several ways. */
export const spellings: Readonly<Record<string, (value: unknown) => string>> = {
  tight: (value) => JSON.stringify(value),
  spaced: (value) => ` ${JSON.stringify(value, null, '\t')}\r\n`,
  escaped: (value) =>
    JSON.stringify(value).replace(/[\u007f-\uffff/]/g, (char) => (char === '/' ? '\\/' : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)),
}

const read = createJsonReader()

export interface Read extends Texts {
  models: readonly string[]
  streaming: boolean
  found: { role: Role; text: string }[]
  prompt: string
}

export function readCall(dialect: Dialect, body: string | Buffer, path = dialect.paths[0], pathModel: string | null = null): Read {
  const json = read(Buffer.from(body))
  let head: CallHead = { models: [], streaming: false, lastMessage: NONE, maxOutputTokens: null }
  const texts = collect(json, (mark) => {
    head = dialect.readCall(json, mark, path, pathModel)
  })
  return { models: head.models, streaming: head.streaming, ...unfold(texts) }
}

export function readReply(dialect: Dialect, body: string): Omit<Read, 'models' | 'streaming'> {
  const json = read(Buffer.from(body))
  return unfold(collect(json, (mark) => dialect.readReply(json, mark)))
}

const unfold = (texts: Texts) => ({
  ...texts,
  found: texts.slots.map(({ role, from, to }) => ({ role, text: texts.text.toString('utf8', from, to) })),
  prompt: texts.text.toString('utf8', 0, texts.promptEnd),
})

/** What an event holds, by channel, and the choice it closes. */
export function readEvent(dialect: Dialect, event: unknown): { pieces: [channel: number, role: Role, text: string][]; closed: number } {
  const json = read(Buffer.from(JSON.stringify(event)))
  const pieces: [number, Role, string][] = []
  const closed = dialect.readEvent(json, (node, channel, role) => {
    if (json.isString(node)) pieces.push([channel, role, json.text(node)])
  })
  return { pieces, closed }
}
