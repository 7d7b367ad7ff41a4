/** The leaves of a condition: where they stand, what they read and what they ask. */
import { type Operand, operators } from './operators.ts'
import type { Condition, Leaf } from './rule.ts'
import { RuleError } from './rule-error.ts'
import { DEFAULT_TARGET, readingOfTarget, type TargetReading } from './targets.ts'

/** Every leaf of a condition with its place, in the order it is written. */
export function leavesOf(condition: Condition, path = 'condition'): { leaf: Leaf; path: string }[] {
  if ('all' in condition) return condition.all.flatMap((part, i) => leavesOf(part, `${path}.all[${i}]`))
  if ('any' in condition) return condition.any.flatMap((part, i) => leavesOf(part, `${path}.any[${i}]`))
  if ('not' in condition) return leavesOf(condition.not, `${path}.not`)
  return [{ leaf: condition, path }]
}

export function readingOf({ target = DEFAULT_TARGET }: Leaf): TargetReading {
  const reading = readingOfTarget(target)
  if (!reading) throw new RuleError('invalid_request', 'condition', 'There is no such target.')
  return reading
}

export function operandOf(leaf: Leaf, path: string, dictionaries: ReadonlySet<string>): Operand {
  const operator = Object.hasOwn(operators, leaf.operator) ? operators[leaf.operator] : undefined
  if (!operator) throw new RuleError('invalid_request', `${path}.operator`, 'There is no such operator.')
  return operator.parse(leaf.value, `${path}.value`, { exact: leaf.case_sensitive === true, dictionaries })
}

/** Whether the condition cannot hold without a finding in a text: something that stands there, and not what is absent or how much there is. */
export function alwaysFinds(condition: Condition): boolean {
  if ('all' in condition) return condition.all.some(alwaysFinds)
  if ('any' in condition) return condition.any.every(alwaysFinds)
  if ('not' in condition) return false
  const { reads } = readingOf(condition)
  return (reads === 'call' || reads === 'reply') && operators[condition.operator].finds
}
