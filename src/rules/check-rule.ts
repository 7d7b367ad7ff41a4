/** Reads rules as administrators write them, and refuses what Earthflow could not keep its word about. */
import { checkBudget, countPattern, type RuleBudget } from './budget.ts'
import { operators } from './operators.ts'
import { checkPattern } from './patterns.ts'
import { type Action, actions, type Condition, type Leaf, type Rule, type Target, targets } from './rule.ts'
import { RuleError } from './rule-error.ts'
import { DEFAULT_TARGET, targetReadings } from './targets.ts'

/** A rule that has no id yet. */
export type RuleDraft = Omit<Rule, 'id'>

export const NAME_CHARACTERS_MAX = 200
export const METADATA_BYTES_MAX = 8192
export const CONDITION_DEPTH_MAX = 8
export const LEAVES_PER_RULE_MAX = 64
export const PRIORITY_MAX = 100
export const PRIORITY_DEFAULT = 50
export const RULES_PER_POLICY_MAX = 2000
export const PATTERNS_PER_POLICY_MAX = 2000
/** All phrases of a policy together: its automaton takes up to a kilobyte for each byte. */
export const PHRASE_BYTES_PER_POLICY_MAX = 1 << 16

const MEMBERS = ['name', 'condition', 'action', 'priority', 'mode', 'reversible', 'active', 'preset', 'metadata']
const modes = ['enforce', 'shadow'] as const
const LEAF_MEMBERS = ['operator', 'value', 'target', 'case_sensitive']

/**
 * A rule from what a client sent, with defaults for what it left out. Throws a RuleError: `invalid_request` for a wrong shape, type or member, `config`
 * for a rule that is well-formed but refused. Rules of one request share a budget.
 */
export function parseRule(input: unknown, budget: RuleBudget = checkBudget()): RuleDraft {
  const given = object(input, '', 'A rule')
  refuseUnknown(given, MEMBERS, '')
  const rule: RuleDraft = {
    name: parseName(given.name),
    condition: parseCondition(given.condition),
    action: oneOf(actions, given.action, 'action'),
    priority: given.priority === undefined ? PRIORITY_DEFAULT : parsePriority(given.priority),
    mode: given.mode === undefined ? 'enforce' : oneOf(modes, given.mode, 'mode'),
    reversible: given.reversible === undefined ? false : boolean(given.reversible, 'reversible'),
    active: given.active === undefined ? true : boolean(given.active, 'active'),
    preset: given.preset === undefined || given.preset === null ? null : parseName(given.preset, 'preset'),
    metadata: given.metadata === undefined ? {} : parseMetadata(given.metadata),
  }
  checkRule(rule, budget)
  return rule
}

/** A condition and all it nests. Throws a RuleError with the path of the member that is wrong. */
export function parseCondition(input: unknown, path = 'condition'): Condition {
  let leaves = 0
  const parse = (value: unknown, at: string, depth: number): Condition => {
    const given = object(value, at, 'A condition')
    if (depth > CONDITION_DEPTH_MAX) throw new RuleError('config', at, `The condition is nested deeper than ${CONDITION_DEPTH_MAX}.`)
    for (const member of ['all', 'any'] as const) {
      if (!(member in given)) continue
      refuseUnknown(given, [member], at)
      const items = given[member]
      const place = `${at}.${member}`
      if (!Array.isArray(items) || items.length === 0) throw new RuleError('invalid_request', place, `"${member}" must be a list of at least one condition.`)
      const children = items.map((item, i) => parse(item, `${place}[${i}]`, depth + 1))
      return member === 'all' ? { all: children } : { any: children }
    }
    if ('not' in given) {
      refuseUnknown(given, ['not'], at)
      return { not: parse(given.not, `${at}.not`, depth + 1) }
    }
    if (++leaves > LEAVES_PER_RULE_MAX) throw new RuleError('config', at, `The rule asks more than ${LEAVES_PER_RULE_MAX} questions; split it.`)
    return parseLeaf(given, at)
  }
  return parse(input, path, 1)
}

function parseLeaf(given: Record<string, unknown>, path: string): Leaf {
  refuseUnknown(given, LEAF_MEMBERS, path)
  const operator = oneOf(Object.keys(operators), given.operator, `${path}.operator`)
  const leaf: Leaf = { operator, value: given.value }
  if (given.target !== undefined) leaf.target = oneOf(targets, given.target, `${path}.target`)
  if (given.case_sensitive !== undefined) leaf.case_sensitive = boolean(given.case_sensitive, `${path}.case_sensitive`)
  operators[operator].parse(given.value, `${path}.value`, leaf.case_sensitive === true)
  return leaf
}

/** Refuses well-formed rules that could not do what they say, or whose patterns cost too much. Throws a RuleError of reason `config`. */
export function checkRule(rule: RuleDraft, budget: RuleBudget = checkBudget()): void {
  checkMeaning(rule)
  for (const { leaf, path } of leavesOf(rule.condition)) {
    const operand = operandOf(leaf, path)
    if (operand.kind !== 'pattern') continue
    countPattern(budget, path)
    checkPattern(operand, `${path}.value`, budget)
  }
}

/**
 * Refuses a stored rule that this version cannot judge by, because another one wrote it or somebody's hand did. Its patterns were probed when it was
 * saved. Throws a RuleError.
 */
export function checkStored(rule: Rule): void {
  object(rule, '', 'A rule')
  if (typeof rule.id !== 'string') throw new RuleError('invalid_request', 'id', '"id" must be a string.')
  oneOf(actions, rule.action, 'action')
  oneOf(modes, rule.mode, 'mode')
  parsePriority(rule.priority)
  boolean(rule.active, 'active')
  boolean(rule.reversible, 'reversible')
  parseCondition(rule.condition)
  checkMeaning(rule)
}

function checkMeaning({ condition, action, reversible }: RuleDraft): void {
  const refuse = (path: string, message: string): never => {
    throw new RuleError('config', path, message)
  }
  const leaves = leavesOf(condition)
  const reads = (what: 'call' | 'reply'): boolean => leaves.some(({ leaf }) => readingOf(leaf).reads === what)

  if (reversible) refuse('reversible', 'Reversible redaction is not available in this version.')
  if (action === 'ALLOW' && (reads('call') || reads('reply')))
    refuse('condition', `An ALLOW rule may ask who and where only (${namesOf('field')}): text that allows itself would be a way around every other rule.`)
  if (reads('call') && reads('reply'))
    refuse('condition', 'A rule reads either the call or the response, because the two are judged apart; make two rules of it.')
  if (action === 'REDACT' && !alwaysFinds(condition))
    refuse('condition', `A REDACT rule must always find something to cut: ${namesOf('field')} and what stands under "not" have no text.`)
  if (reads('reply')) checkReplyCondition(condition, action)
}

/** A reply is relayed while it is read, so what decides about it must be found in one place, and within a bound. */
function checkReplyCondition(condition: Condition, action: Action): void {
  const refuse = (path: string, message: string): never => {
    throw new RuleError('config', path, message)
  }
  if (action === 'ESCALATE') refuse('action', 'A response cannot be escalated: it is already on its way. Use BLOCK, REDACT or WARN.')
  const readsReply = (part: Condition): boolean => leavesOf(part).some(({ leaf }) => readingOf(leaf).reads === 'reply')
  const visit = (part: Condition, path: string): void => {
    if ('not' in part) {
      if (readsReply(part)) refuse(path, 'A response rule cannot ask what is absent, because a response is relayed before its end is known.')
    } else if ('all' in part) {
      if (part.all.filter(readsReply).length > 1)
        refuse(path, 'A response rule cannot ask for several findings at once, because the first would be relayed before the last is known.')
      part.all.forEach((child, i) => {
        visit(child, `${path}.all[${i}]`)
      })
    } else if ('any' in part) {
      part.any.forEach((child, i) => {
        visit(child, `${path}.any[${i}]`)
      })
    } else if (readingOf(part).reads === 'reply' && !operators[part.operator].streams)
      refuse(
        `${path}.operator`,
        `"${part.operator}" cannot read a response in this version, because it would have to be held back whole; use contains or detects.`,
      )
  }
  visit(condition, 'condition')
  if (!alwaysFinds(condition)) refuse('condition', 'A response rule must always find something in the response.')
}

/** Refuses what is too much for one policy. Throws a RuleError of reason `config`. */
export function checkPolicy(rules: readonly RuleDraft[]): void {
  const active = rules.filter((rule) => rule.active)
  if (active.length > RULES_PER_POLICY_MAX) throw new RuleError('config', '', `A policy holds at most ${RULES_PER_POLICY_MAX} active rules.`)
  let phraseBytes = 0
  let patterns = 0
  for (const { condition } of active)
    for (const { leaf, path } of leavesOf(condition)) {
      const operand = operandOf(leaf, path)
      if (operand.kind === 'literal') phraseBytes += Buffer.byteLength(operand.text)
      if (operand.kind === 'pattern') patterns++
    }
  if (phraseBytes > PHRASE_BYTES_PER_POLICY_MAX)
    throw new RuleError('config', '', `The phrases of all active rules together are longer than ${PHRASE_BYTES_PER_POLICY_MAX} bytes.`)
  if (patterns > PATTERNS_PER_POLICY_MAX) throw new RuleError('config', '', `The active rules hold more than ${PATTERNS_PER_POLICY_MAX} patterns.`)
}

/** Every leaf of a condition with its place, in the order it is written. */
export function leavesOf(condition: Condition, path = 'condition'): { leaf: Leaf; path: string }[] {
  if ('all' in condition) return condition.all.flatMap((part, i) => leavesOf(part, `${path}.all[${i}]`))
  if ('any' in condition) return condition.any.flatMap((part, i) => leavesOf(part, `${path}.any[${i}]`))
  if ('not' in condition) return leavesOf(condition.not, `${path}.not`)
  return [{ leaf: condition, path }]
}

export const readingOf = (leaf: Leaf) => targetReadings[leaf.target ?? DEFAULT_TARGET]

export function operandOf(leaf: Leaf, path: string) {
  const operator = Object.hasOwn(operators, leaf.operator) ? operators[leaf.operator] : undefined
  if (!operator) throw new RuleError('invalid_request', `${path}.operator`, 'There is no such operator.')
  return operator.parse(leaf.value, `${path}.value`, leaf.case_sensitive === true)
}

/** Whether the condition cannot hold without a finding in a text. */
function alwaysFinds(condition: Condition): boolean {
  if ('all' in condition) return condition.all.some(alwaysFinds)
  if ('any' in condition) return condition.any.every(alwaysFinds)
  if ('not' in condition) return false
  return readingOf(condition).reads !== 'field'
}

const namesOf = (reads: string): string => targets.filter((target: Target) => targetReadings[target].reads === reads).join(', ')

function object(value: unknown, path: string, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RuleError('invalid_request', path, `${what} must be an object.`)
  return value as Record<string, unknown>
}

function refuseUnknown(given: Record<string, unknown>, known: readonly string[], path: string): void {
  const unknown = Object.keys(given).find((member) => !known.includes(member))
  if (unknown === undefined) return
  const place = path === '' ? unknown : `${path}.${unknown}`
  throw new RuleError('invalid_request', place, `There is no member of this name here; there are ${known.join(', ')}.`)
}

function oneOf<const T extends string>(allowed: readonly T[], value: unknown, path: string): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw new RuleError('invalid_request', path, `"${path.split('.').at(-1)}" must be one of ${allowed.join(', ')}.`)
  return found
}

function boolean(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') throw new RuleError('invalid_request', path, `"${path.split('.').at(-1)}" must be true or false.`)
  return value
}

function parseName(value: unknown, path = 'name'): string {
  if (typeof value !== 'string' || value.trim() === '' || value.length > NAME_CHARACTERS_MAX || /[\u0000-\u001f\u007f]/.test(value) || !value.isWellFormed())
    throw new RuleError('invalid_request', path, `"${path}" must be 1 to ${NAME_CHARACTERS_MAX} characters on one line.`)
  return value
}

function parsePriority(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > PRIORITY_MAX)
    throw new RuleError('invalid_request', 'priority', `"priority" must be a whole number from 0 to ${PRIORITY_MAX}.`)
  return value
}

/** NUL and lone surrogates, as JSON.stringify spells them: PostgreSQL's jsonb takes neither. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/

function parseMetadata(value: unknown): Record<string, unknown> {
  const metadata = object(value, 'metadata', '"metadata"')
  const json = JSON.stringify(metadata)
  if (UNSTORABLE.test(json)) throw new RuleError('invalid_request', 'metadata', '"metadata" must be valid Unicode without U+0000.')
  if (Buffer.byteLength(json) > METADATA_BYTES_MAX)
    throw new RuleError('invalid_request', 'metadata', `"metadata" must be at most ${METADATA_BYTES_MAX} bytes of JSON.`)
  return metadata
}
