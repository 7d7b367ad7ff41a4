/** Lines of JSON, such as the calls of a batch or the examples of a training file: each line is read like a body of its own. */
import { type Dialect, type Mark, UnreadableCall } from '../dialect.ts'
import { dialectAt } from '../endpoint.ts'
import { markStrings } from '../generic-json.ts'
import { type Gathering, within } from './gathering.ts'
import { type Json, NONE } from './json.ts'
import { createJsonReader } from './json-reader.ts'
import { collect, pathAt } from './texts.ts'

/** OpenAI takes 50,000 calls in one batch. */
const LINES_MAX = 100_000
const NEWLINE = 0x0a

export interface Range {
  start: number
  end: number
}
export type LinesReader = (bytes: Buffer, range: Range, gathering: Gathering, place?: string) => void

/**
 * Makes a reader that gathers the texts and models of all lines; `place` goes before the line's number where something is wrong with it. It throws
 * UnreadableCall for a line that is no JSON, or no call of the format it claims to be; empty lines are passed over.
 */
export function createLinesReader(): LinesReader {
  const readJson = createJsonReader()
  const readInner = createJsonReader()

  /** Returns the model that the line itself names. */
  const readLine = (bytes: Buffer, { start, end }: Range, gathering: Gathering): string => {
    const json = readJson(bytes, start, end)
    const batched = batchedCall(json)
    let models: readonly string[] = []
    const texts = collect(json, (mark) => {
      if (batched) models = markBatched(json, batched, mark)
      else markStrings(json, mark)
    })
    gathering.add(texts)
    for (const one of models) gathering.addModel(one)
    const model = json.text(json.get(0, 'model'))
    if (json.isArray(json.get(0, 'messages'))) gathering.addModel(model)
    for (const member of CALLS) gathering.addModel(json.text(json.get(json.get(0, member), 'model')).replace(/^models\//, ''))
    return model
  }

  /**
   * The call within the line is read as if it were a body. Its nodes lie one after the other on the line's own tape, in the same order. Returns the models
   * that it names.
   */
  const markBatched = (json: Json, { node, dialect, path, model }: Batched, mark: Mark): readonly string[] => {
    const { start, end } = json.rangeOf(node)
    const { models } = dialect.readCall(readInner(json.bytes, start, end), (inner, role) => inner !== NONE && mark(node + inner, role), path, model)
    for (const name of ['custom_id', 'key', 'method', 'url']) mark(json.get(0, name), 'protocol')
    return models
  }

  return (bytes, range, gathering, place = '') => {
    let count = 0
    let model = ''
    for (const line of linesIn(bytes, range)) {
      count++
      within(`${place}line ${line.number}`, () => {
        if (line.number > LINES_MAX) throw new UnreadableCall(`There are more than ${LINES_MAX} lines; send them in parts.`, '')
        model = readLine(bytes, line, gathering)
      })
    }
    // A body of one line may be read as one call. In a file, and among other lines, the member may be a column of somebody's table.
    if (count === 1 && place === '') gathering.addModel(model)
  }
}

/** Where in lines of JSON the string that holds this byte stands, such as `line 12: body.messages[0].content`. */
export function pathInLines(bytes: Buffer, range: Range, offset: number): string {
  for (const line of linesIn(bytes, range)) {
    if (offset < line.end) return `line ${line.number}: ${pathAt(createJsonReader()(bytes, line.start, line.end), offset)}`
  }
  return ''
}

/** The lines that are not empty, numbered from 1 with the empty ones. */
function* linesIn(bytes: Buffer, { start, end }: Range): Generator<Range & { number: number }> {
  for (let from = start, number = 1; from < end; number++) {
    const newline = bytes.indexOf(NEWLINE, from)
    const to = newline < 0 || newline > end ? end : newline
    if (!isBlank(bytes, from, to)) yield { number, start: from, end: to }
    from = to + 1
  }
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end && (bytes[at] === 0x20 || bytes[at] === 0x09 || bytes[at] === 0x0d)) at++
  return at === end
}

/** Where the lines of batches keep their calls: OpenAI's, Anthropic's, Gemini's. */
const CALLS = ['body', 'params', 'request'] as const

interface Batched {
  node: number
  dialect: Dialect
  path: string
  model: string | null
}

/** The call that a line of a batch holds, where it is one of a known format. */
function batchedCall(json: Json): Batched | null {
  const body = json.get(0, 'body')
  const url = json.text(json.get(0, 'url'))
  if (url !== '' && json.isObject(body)) return callAt(body, url) ?? callAt(body, `/v1${url}`)
  const params = json.get(0, 'params')
  if (json.isArray(json.get(params, 'messages'))) return callAt(params, '/v1/messages')
  const request = json.get(0, 'request')
  const generated = json.isArray(json.get(request, 'contents')) ? callAt(request, '/v1beta/models/batch:generateContent') : null
  return generated && { ...generated, model: null } // which model it is, the batch says
}

function callAt(node: number, path: string): Batched | null {
  const found = dialectAt(path)
  return found && { node, ...found }
}
