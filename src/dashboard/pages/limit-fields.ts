/** The limits that tenants, keys and agents have alike. */
import type { FormField, FormRows } from '../parts/form-fields.ts'

const names = [
  ['max_requests_per_minute', 'Requests a minute'],
  ['max_requests_per_day', 'Requests a day'],
  ['max_tokens_per_minute', 'Tokens a minute'],
  ['max_tokens_per_day', 'Tokens a day'],
  ['max_concurrency', 'Calls at once'],
] as const

const hints: Readonly<Record<string, string>> = {
  max_requests_per_day: 'A day is the calendar’s, in UTC.',
  max_tokens_per_minute: 'Of calls and replies together.',
  max_tokens_per_day: 'Of calls and replies together, in a day of UTC.',
}

/** `prefix` with its full stop, or empty. What is left empty is not limited. */
export const limitFields = (prefix = '', own: Readonly<Record<string, string>> = {}): FormField[] =>
  names.map(([name, label]) => {
    const hint = own[name] ?? (prefix === '' ? hints[name] : undefined)
    return { name: `${prefix}${name}`, label, kind: 'number', min: 1, empty: 'null', ...(hint !== undefined && { hint }) }
  })

export const modelLimitRows: FormRows = {
  kind: 'rows',
  name: 'limits.models',
  label: 'Limit for models',
  hint: 'What all calls for the models of a pattern, such as gpt-4*, may use together. Save for more rows.',
  columns: [{ name: 'model', label: 'Model pattern', kind: 'text' }, ...limitFields().map(({ hint: _, ...field }) => field)],
}

type Limits = Readonly<Record<string, unknown>> | null | undefined

/** In words: `60 requests a minute, 4 calls at once`; empty where nothing is limited. */
export const limitsInWords = (limits: Limits): string =>
  names.flatMap(([name, label]) => (typeof limits?.[name] === 'number' ? [`${limits[name].toLocaleString('en')} ${label.toLowerCase()}`] : [])).join(', ')
