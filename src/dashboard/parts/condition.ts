/** A rule's condition in words. */
import { type Content, html } from '../html.ts'

const NAMES: Readonly<Record<string, string>> = {
  contains: 'contains',
  not_contains: 'does not contain',
  equals: 'is',
  not_equals: 'is not',
  starts_with: 'begins with',
  ends_with: 'ends with',
  in: 'is one of',
  not_in: 'is none of',
  regex: 'matches',
  detects: 'holds',
  length_gt: 'is longer than',
  length_lt: 'is shorter than',
  word_count_gt: 'has more words than',
  threshold: 'compares',
}
const COMPARISONS: Readonly<Record<string, string>> = { gt: '>', gte: '≥', lt: '<', lte: '≤', eq: '=', ne: '≠' }
const LIST_SHOWN = 4
const CHARACTERS_SHOWN = 80

/** Anything that is no condition of this version is shown as JSON. */
export function conditionInWords(condition: unknown): Content {
  if (typeof condition !== 'object' || condition === null) return asJson(condition)
  if ('all' in condition && Array.isArray(condition.all)) return joined(condition.all, 'and')
  if ('any' in condition && Array.isArray(condition.any)) return joined(condition.any, 'or')
  if ('not' in condition) return html`not (${conditionInWords(condition.not)})`
  if (!('operator' in condition) || typeof condition.operator !== 'string') return asJson(condition)
  const { operator } = condition
  const target = 'target' in condition ? String(condition.target) : 'prompt'
  const value = 'value' in condition ? condition.value : null
  return html`<span class="quiet">${target}</span> ${NAMES[operator] ?? operator} ${valueInWords(operator, value)}`
}

const joined = (all: readonly unknown[], word: string): Content =>
  all.map((one, at) => [
    at === 0 ? null : html` <strong>${word}</strong> `,
    isGroup(one) && all.length > 1 ? html`(${conditionInWords(one)})` : conditionInWords(one),
  ])

const isGroup = (condition: unknown): boolean => typeof condition === 'object' && condition !== null && ('all' in condition || 'any' in condition)

function valueInWords(operator: string, value: unknown): Content {
  if (Array.isArray(value)) {
    const more = value.length - LIST_SHOWN
    return [
      value.slice(0, LIST_SHOWN).map((one, at) => [at === 0 ? null : ', ', html`<code>${cut(String(one))}</code>`]),
      more > 0 ? ` and ${more} more` : null,
    ]
  }
  if (operator === 'threshold' && typeof value === 'object' && value !== null && 'op' in value && 'value' in value) {
    return html`<code>${COMPARISONS[String(value.op)] ?? String(value.op)} ${String(value.value)}</code>`
  }
  return typeof value === 'object' ? asJson(value) : html`<code>${cut(String(value))}</code>`
}

const asJson = (value: unknown): Content => html`<code>${cut(JSON.stringify(value) ?? '')}</code>`
const cut = (text: string): string => (text.length <= CHARACTERS_SHOWN ? text : `${text.slice(0, CHARACTERS_SHOWN)}…`)
