/** A condition as rows of a form, where it is one question, or several that are joined by one word. Everything else is edited as JSON. */
import { comparisons } from '../../rules/operators.ts'

export interface Question {
  operator: string
  target: string
  /** As it is typed: of a list a line each, of a comparison `gt 100`. */
  value: string
  isCaseSensitive: boolean
}

export interface Questions {
  join: 'all' | 'any'
  questions: readonly Question[]
}

export const QUESTIONS_MAX = 12
const LISTS = new Set(['in', 'not_in', 'detects'])
const NUMBERS = new Set(['length_gt', 'length_lt', 'word_count_gt'])
const LEAF_MEMBERS = new Set(['operator', 'value', 'target', 'case_sensitive'])

/** Null where rows cannot show all of it. */
export function questionsOf(condition: unknown): Questions | null {
  if (typeof condition !== 'object' || condition === null) return null
  const [join, all] =
    'all' in condition ? (['all', condition.all] as const) : 'any' in condition ? (['any', condition.any] as const) : (['all', [condition]] as const)
  if (!Array.isArray(all) || all.length === 0 || all.length > QUESTIONS_MAX) return null
  const questions = all.map(questionOf)
  return questions.includes(null) ? null : { join, questions: questions as Question[] }
}

function questionOf(leaf: unknown): Question | null {
  if (typeof leaf !== 'object' || leaf === null || Object.keys(leaf).some((name) => !LEAF_MEMBERS.has(name))) return null
  const { operator, value, target, case_sensitive } = leaf as Record<string, unknown>
  const typed = typedOf(value)
  if (typeof operator !== 'string' || typed === null) return null
  return { operator, target: typeof target === 'string' ? target : 'prompt', value: typed, isCaseSensitive: case_sensitive === true }
}

function typedOf(value: unknown): string | null {
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  if (Array.isArray(value)) return value.every((one) => typeof one === 'string' && !one.includes('\n')) ? value.join('\n') : null
  if (typeof value === 'object' && value !== null && 'op' in value && 'value' in value) return `${String(value.op)} ${String(value.value)}`
  return null
}

/** What the rows say; rows without a value are none. What cannot be read is left for the API to complain of. */
export function conditionFrom(form: URLSearchParams): unknown {
  const rows = Array.from({ length: QUESTIONS_MAX }, (_, at) => at).flatMap((at): Question[] => {
    const value = form.get(`value-${at}`) ?? ''
    const [operator, target] = [form.get(`operator-${at}`) ?? '', form.get(`target-${at}`)?.trim() ?? '']
    return value.trim() === '' ? [] : [{ operator, target, value, isCaseSensitive: form.get(`case-${at}`) === 'true' }]
  })
  const leaves = rows.map(leafOf)
  return leaves.length === 1 ? leaves[0] : { [form.get('join') === 'any' ? 'any' : 'all']: leaves }
}

const leafOf = ({ operator, target, value, isCaseSensitive }: Question) => ({
  operator,
  value: readAs(operator, value),
  ...(target !== '' && target !== 'prompt' && { target }),
  ...(isCaseSensitive && { case_sensitive: true }),
})

function readAs(operator: string, typed: string): unknown {
  if (LISTS.has(operator)) {
    const all = typed
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
    return operator === 'detects' && all.length === 1 ? all[0] : all
  }
  if (NUMBERS.has(operator)) return numberIn(typed)
  if (operator === 'threshold') {
    const [, op, than] = /^\s*(\w+)\s+(\S+)\s*$/.exec(typed) ?? []
    return op !== undefined && Object.hasOwn(comparisons, op) ? { op, value: numberIn(than ?? '') } : typed
  }
  return typed
}

/** The text where it is no number: the API says so better. */
const numberIn = (typed: string): unknown => (/^\s*-?\d+(?:\.\d+)?\s*$/.test(typed) ? Number(typed) : typed)
