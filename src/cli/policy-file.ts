/** Reads the YAML of a policy file. Checks only its outline; what rules and settings may say, the management API knows. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml'
import { z } from 'zod'

/** What one document of the file says of one tenant, or of the whole installation. */
export interface PolicyDocument extends z.output<typeof outline> {
  /** Where it begins. */
  line: number
  /** Where the member with this path (`rules.0.condition.value`) stands, or as much of the path as there is. */
  lineOf(field: string): number
}

/** What is wrong with a file, and in which line. */
export class BadFile extends Error {
  readonly line: number
  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

const DOCUMENTS_MAX = 1_000
/** How often aliases may multiply what they stand for. */
const ALIASES_MAX = 100

const members = z.record(z.string(), z.unknown())
const outline = z.strictObject({
  tenant: z.string().min(1).optional(),
  mode: z.enum(['merge', 'replace']).default('merge'),
  settings: members.optional(),
  rules: z.array(members).optional(),
  dictionaries: members.optional(),
  upstreams: z.array(z.looseObject({ name: z.string().min(1), credential_env: z.string().min(1).optional() })).optional(),
})

/** Every document of the file that is not empty. Throws BadFile. */
export function readPolicyFile(text: string): PolicyDocument[] {
  const lines = new LineCounter()
  const lineAt = (offset: number): number => lines.linePos(offset).line
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, schema: 'core', uniqueKeys: true })
  const found = Array.isArray(parsed) ? (parsed as Document[]) : []
  for (const { errors, warnings } of found) for (const { pos, message } of [...errors, ...warnings]) throw new BadFile(lineAt(pos[0]), message)
  const filled = found.filter(({ contents }) => contents !== null && !(isScalar(contents) && contents.value === null))
  if (filled.length === 0) throw new BadFile(1, 'There is nothing in the file.')
  if (filled.length > DOCUMENTS_MAX) throw new BadFile(1, `A file has at most ${DOCUMENTS_MAX} documents.`)
  return filled.map((document) => {
    const lineOf = (field: string): number =>
      lineAt(
        placeOf(
          document,
          field.split(/[.[\]]+/).filter((part) => part !== ''),
        ),
      )
    const result = outline.safeParse(plainly(document, lineOf('')))
    if (result.success) return { ...result.data, line: lineOf(''), lineOf }
    const [issue] = result.error.issues
    const path = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])].map(String).join('.')
    throw new BadFile(lineOf(path), `${path === '' ? '' : `${path}: `}${issue.code === 'unrecognized_keys' ? 'Unknown field.' : issue.message}`)
  })
}

function plainly(document: Document, line: number): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX })
  } catch {
    throw new BadFile(line, 'Aliases stand for too much, or for themselves.')
  }
}

/** The offset of a member's name or an item; of the deepest there is. */
function placeOf(document: Document, path: readonly string[]): number {
  let node = document.contents as Node | null | undefined
  let place = node?.range?.[0] ?? 0
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part)
      if (!pair) break
      place = (pair.key as Node).range?.[0] ?? place
      node = pair.value as Node | null
    } else if (isSeq(node)) {
      const item = node.items[Number(part)] as Node | undefined
      if (!item) break
      place = item.range?.[0] ?? place
      node = item
    } else break
  }
  return place
}
