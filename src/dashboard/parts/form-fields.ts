/** What a form asks, member by member of the body that the API is sent: how a field is read, and how it shows what is. */
import { fieldsIn } from '../form.ts'

export interface Option {
  value: string
  label: string
  hint?: string
}

export interface FormField {
  /** The path of the member, as the API's problems name it: `limits.key.max_concurrency`. */
  name: string
  label: string
  hint?: string
  /**
   * `lines`: a list, one a line. `choice`: one of the options; `choices`: any of them. `flag`: a box to tick. `secret`: never shown again. `moment`: a date
   * and time in UTC.
   */
  kind: 'text' | 'email' | 'url' | 'number' | 'lines' | 'choice' | 'choices' | 'flag' | 'secret' | 'moment'
  options?: readonly Option[]
  required?: boolean
  /** What the API is told where nothing is written: null, the empty text or list (as of what is required), or, where nothing is said here, nothing. */
  empty?: 'null' | 'empty'
  min?: number
  max?: number
  step?: 'any'
  placeholder?: string
}

/** A list whose members have several fields. */
export interface FormRows {
  kind: 'rows'
  name: string
  label: string
  hint?: string
  columns: readonly FormField[]
}

export interface FieldGroup {
  legend: string
  hint?: string
  fields: readonly (FormField | FormRows)[]
  /** Shown when it is asked for: what few need. */
  folded?: boolean
}

/** What the form has beside the rows that are filled. */
export const SPARE_ROWS = 2
/** No form of ours has more, whatever is sent. */
const ROWS_MAX = 1_000

type Body = Record<string, unknown>

/** The body that a form says. What is not understood is sent as it was written: the API says what is wrong with it. */
export function readForm(groups: readonly FieldGroup[], form: URLSearchParams): Body {
  const body: Body = {}
  for (const field of groups.flatMap(({ fields }) => fields)) put(body, field.name, field.kind === 'rows' ? readRows(field, form) : readField(field, form))
  return body
}

function readField({ name, kind, empty, required }: FormField, form: URLSearchParams): unknown {
  const nothing = (none: unknown): unknown => (empty === 'null' ? null : empty === 'empty' || required ? none : undefined)
  if (kind === 'flag') return form.has(name)
  if (kind === 'choices') {
    const all = form.getAll(name).filter((one) => one !== '')
    return all.length === 0 ? nothing([]) : all
  }
  const text = (form.get(name) ?? '').trim()
  if (kind === 'lines') {
    const all = linesOf(text)
    return all.length === 0 ? nothing([]) : all
  }
  if (text === '') return nothing('')
  if (kind === 'number') return Number.isFinite(Number(text)) ? Number(text) : text
  return kind === 'moment' ? momentOf(text) : text
}

const linesOf = (text: string): string[] =>
  text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '')

/** Browsers send `2026-11-30T18:00`, with seconds where there are some. */
const momentOf = (text: string): string =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?$/.test(text) ? `${text.length === 16 ? `${text}:00` : text}Z` : text

function readRows({ name, columns }: FormRows, form: URLSearchParams): Body[] {
  const rows: Body[] = []
  for (let i = 0; i < ROWS_MAX && columns.some((column) => form.has(`${name}.${i}.${column.name}`)); i++) {
    const row: Body = {}
    for (const column of columns) put(row, column.name, readField({ ...column, name: `${name}.${i}.${column.name}` }, form))
    if (Object.values(row).some((value) => value !== null && value !== undefined)) rows.push(row)
  }
  return rows
}

/** What is undefined is left out. */
function put(body: Body, path: string, value: unknown): void {
  const names = path.split('.')
  const last = names.pop() ?? path
  let at = body
  for (const name of names) {
    at[name] ??= {}
    at = at[name] as Body
  }
  if (value !== undefined) at[last] = value
}

/** What a form shows of something that the API has answered. Secrets are never among it. */
export function shownIn(groups: readonly FieldGroup[], thing: unknown): URLSearchParams {
  const shown = new URLSearchParams()
  for (const field of groups.flatMap(({ fields }) => fields)) {
    const value = memberOf(thing, field.name)
    if (field.kind !== 'rows') show(shown, field, value)
    else if (Array.isArray(value))
      value.forEach((row, i) => {
        for (const column of field.columns) show(shown, { ...column, name: `${field.name}.${i}.${column.name}` }, memberOf(row, column.name))
      })
  }
  return shown
}

function show(shown: URLSearchParams, { name, kind, options = [] }: FormField, value: unknown): void {
  if (kind === 'secret' || value === null || value === undefined || (kind === 'flag' && value !== true)) return
  // In the order of the boxes, in which a browser sends them.
  const places = new Map(options.map((option, i) => [option.value, i]))
  const place = (one: string): number => places.get(one) ?? options.length
  if (kind === 'choices') for (const one of (value as string[]).toSorted((a, b) => place(a) - place(b))) shown.append(name, one)
  else shown.set(name, textOf(kind, value))
}

const textOf = (kind: FormField['kind'], value: unknown): string =>
  kind === 'flag' ? 'true' : kind === 'lines' ? (value as unknown[]).join('\n') : kind === 'moment' ? String(value).slice(0, 16) : String(value)

const memberOf = (thing: unknown, path: string): unknown => path.split('.').reduce<unknown>((at, name) => (at as Body | null | undefined)?.[name], thing)

/** The text under which a form remembers what it showed, so that only what somebody changed is sent. */
export const WAS = 'was'
/** What the form showed; nothing where nobody of ours remembers it so. */
export const wasIn = (form: URLSearchParams): URLSearchParams => fieldsIn(form.get(WAS) ?? '') ?? new URLSearchParams()

/**
 * What of a body was changed against what the form showed, by its outermost members: of an object the API wants all or nothing. What somebody else changed
 * meanwhile stays.
 */
export function changesIn(groups: readonly FieldGroup[], form: URLSearchParams): Body {
  const sent = readForm(groups, form)
  const was = readForm(groups, wasIn(form))
  const isSecret = (name: string): boolean => groups.some(({ fields }) => fields.some((field) => field.name === name && field.kind === 'secret'))
  return Object.fromEntries(
    Object.entries(sent).filter(([name, value]) => (isSecret(name) ? value !== undefined : JSON.stringify(value) !== JSON.stringify(was[name]))),
  )
}

/** What is said again in a form that was refused: all but secrets. */
export function withoutSecrets(groups: readonly FieldGroup[], form: URLSearchParams): URLSearchParams {
  const kept = new URLSearchParams(form)
  for (const field of groups.flatMap(({ fields }) => fields)) if (field.kind === 'secret') kept.delete(field.name)
  return kept
}

/** How many rows of a list have something in them, those between them too. */
export function filledRows({ name, columns }: FormRows, values: URLSearchParams): number {
  let filled = 0
  for (let i = 0; i < ROWS_MAX && columns.some((column) => values.has(`${name}.${i}.${column.name}`)); i++)
    if (columns.some((column) => (values.get(`${name}.${i}.${column.name}`) ?? '') !== '')) filled = i + 1
  return filled
}
