/** From the bytes of a form to what its fields and files say. */
import type { ModelCall, Role, Texts } from '../../call.ts'
import { type CallHead, type FormField, UnreadableCall } from '../dialect.ts'
import type { Endpoint } from '../endpoint.ts'
import { createContentReader, pathInContent, saidOf } from './content.ts'
import { createGathering } from './gathering.ts'
import { NONE } from './json.ts'
import { formMetadata } from './metadata.ts'
import { type Part, splitForm } from './multipart.ts'
import { nameOf, UNKNOWN_NAME } from './names.ts'
import { isText } from './text-bytes.ts'
import { joinTexts, rawText, retoldText } from './texts.ts'

export interface ReadForm {
  texts: Texts
  head: CallHead
  metadata: ModelCall['metadata']
  /** Where the last field stands that somebody says to the model. */
  lastMessage: ModelCall['lastMessage']
}

/** Makes a reader of forms. It throws UnreadableCall for what is no form, or no call of the endpoint's dialect. */
export function createFormReader(): (body: Buffer, contentType: string, endpoint: Endpoint) => ReadForm {
  const content = createContentReader()

  return (body, contentType, { kind, dialect, path, model }) => {
    const parts = splitForm(body, contentType)
    const gathering = createGathering()
    if (model !== null) gathering.addModel(model)
    const fields = parts.map((part) => fieldOf(body, part))
    const said = new Map<FormField, Role>()
    const mark = (field: FormField, role: Role): void => void (said.has(field) || said.set(field, role))
    const head = kind === 'call' && dialect.readForm ? dialect.readForm(fields, mark, path, model) : NO_HEAD
    // Whatever its dialect made of it: a second field of that name, or a file, may be what the provider reads.
    for (const field of fields) if (MODEL.test(field.name)) gathering.addModel(field.text ?? '')
    for (const one of head.models) gathering.addModel(one)

    for (const part of parts) gathering.add(headerTexts(part))
    let lastMessage: ReadForm['lastMessage'] = null
    for (const [{ start, end, filename }, role] of said) {
      if (filename !== null) continue
      gathering.add(rawText(body, start, end, role === 'opaque' || role === 'sealed' ? 'other' : role))
      if (role === 'user') lastMessage = { start, end }
    }
    for (const [index, part] of parts.entries()) {
      if (part.filename === null && said.has(fields[index])) continue
      content.read(body, contentOf(body, part), saidOf(part.type, part.filename), gathering, placeOf(part))
    }
    return { texts: gathering.texts(), head: { ...head, models: gathering.models() }, metadata: formMetadata(fields), lastMessage }
  }
}

const MODEL = /^model(?:\[\d*\])?$/
const NO_HEAD: CallHead = { models: [], streaming: false, lastMessage: NONE, maxOutputTokens: null }

/** What a part says is made into a string only when somebody asks: a file may be long. */
function fieldOf(body: Buffer, { number, name, filename, type, start, end }: Part): FormField {
  const bytes = body.subarray(start, end)
  if (filename === null && !isText(bytes)) throw new UnreadableCall(`Field ${number} is not text in UTF-8.`, `field ${number}`)
  return {
    name,
    filename,
    type,
    start,
    end,
    get text() {
      return filename === null || isText(bytes) ? bytes.toString() : null
    },
  }
}

/** Names of fields and files, and types, which a placeholder would break. */
const headerTexts = ({ headers }: Part): Texts => joinTexts(headers.says.map((text) => retoldText(text, headers)))

/** Files of some systems begin with a byte order mark; what follows it is what they say. */
function contentOf(body: Buffer, { start, end }: Part): { start: number; end: number } {
  const isMarked = end - start >= MARK.length && body.compare(MARK, 0, MARK.length, start, start + MARK.length) === 0
  return { start: isMarked ? start + MARK.length : start, end }
}
const MARK = Buffer.from('\ufeff')

/** Where in a form the text that holds this byte stands, such as `field prompt` or `file data.jsonl line 3: messages[0].content`. */
export function pathInForm(body: Buffer, contentType: string): (offset: number) => string {
  const parts = splitForm(body, contentType)
  return (offset) => {
    const part = parts.find(({ end }) => offset <= end)
    if (!part) return ''
    const place = placeOf(part)
    return offset < part.start ? `headers of ${place}` : pathInContent(body, contentOf(body, part), saidOf(part.type, part.filename), place, offset)
  }
}

/** What files are customarily called: it says nothing about the caller. Any other name is text that somebody chose. */
const USUAL_FILENAME =
  /^(?:blob|(?:audio|batch|data|dataset|document|file|image|input|mask|messages|output|requests|speech|test|train|training|upload|valid|validation)\.[a-z0-9]{1,5})$/

function placeOf({ number, name, filename }: Part): string {
  if (filename !== null) return `file ${USUAL_FILENAME.test(filename) ? filename : number}`
  return `field ${nameOf(name) === UNKNOWN_NAME ? number : name}`
}
