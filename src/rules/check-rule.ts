/** Reads rules as administrators write them, and refuses what Earthflow could not keep its word about. */
import { checkBudget, countPattern, type RuleBudget } from './budget.ts'
import { alwaysFinds, leavesOf, operandOf, readingOf } from './leaves.ts'
import { checkPattern } from './matching/patterns.ts'
import { type Operand, operators } from './operators.ts'
import { checkReplyRule } from './replies/check-reply.ts'
import { actions, type Condition, type Dictionaries, type Leaf, namedTargets, type Rule, type Target, targets } from './rule.ts'
import { RuleError } from './rule-error.ts'
import { beginningOf, type TargetReading, targetTable } from './targets.ts'

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
/** All phrases and dictionaries of a policy together: its automaton takes some 40 bytes for each byte. */
export const PHRASE_BYTES_PER_POLICY_MAX = 1 << 20
export const FIELD_NAME_CHARACTERS_MAX = 64

const MEMBERS = ['name', 'condition', 'action', 'priority', 'mode', 'reversible', 'active', 'preset', 'metadata']
const modes = ['enforce', 'shadow'] as const
const LEAF_MEMBERS = ['operator', 'value', 'target', 'case_sensitive']
const NO_NAMES: ReadonlySet<string> = new Set()

/**
 * A rule from what a client sent, with defaults for what it left out. Throws a RuleError: `invalid_request` for a wrong shape, type or member, `config`
 * for a rule that is well-formed but refused. Rules of one request share a budget. `dictionaries` are the names of those the tenant has.
 */
export function parseRule(input: unknown, budget: RuleBudget = checkBudget(), dictionaries: ReadonlySet<string> = NO_NAMES): RuleDraft {
  const given = object(input, '', 'A rule')
  refuseUnknown(given, MEMBERS, '')
  const rule: RuleDraft = {
    name: parseName(given.name),
    condition: parseCondition(given.condition, dictionaries),
    action: oneOf(actions, given.action, 'action'),
    priority: given.priority === undefined ? PRIORITY_DEFAULT : parsePriority(given.priority),
    mode: given.mode === undefined ? 'enforce' : oneOf(modes, given.mode, 'mode'),
    reversible: given.reversible === undefined ? false : boolean(given.reversible, 'reversible'),
    active: given.active === undefined ? true : boolean(given.active, 'active'),
    preset: given.preset === undefined || given.preset === null ? null : parseName(given.preset, 'preset'),
    metadata: given.metadata === undefined ? {} : parseMetadata(given.metadata),
  }
  checkRule(rule, budget, dictionaries)
  return rule
}

/** A condition and all it nests. Throws a RuleError with the path of the member that is wrong. */
function parseCondition(input: unknown, dictionaries: ReadonlySet<string> = NO_NAMES, path = 'condition'): Condition {
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
    return parseLeaf(given, at, dictionaries)
  }
  return parse(input, path, 1)
}

function parseLeaf(given: Record<string, unknown>, path: string, dictionaries: ReadonlySet<string>): Leaf {
  refuseUnknown(given, LEAF_MEMBERS, path)
  const operator = oneOf(Object.keys(operators), given.operator, `${path}.operator`)
  const leaf: Leaf = { operator, value: given.value }
  if (given.target !== undefined) leaf.target = parseTarget(given.target, `${path}.target`)
  if (given.case_sensitive !== undefined) leaf.case_sensitive = boolean(given.case_sensitive, `${path}.case_sensitive`)
  checkFit(operandOf(leaf, path, dictionaries), readingOf(leaf), { leaf, path })
  return leaf
}

/** RFC 9110, 5.6.2: what a header's name may consist of. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/
/** What carries a secret is no target: a rule about it would hold the secret, or let it be guessed letter by letter. */
const CREDENTIAL_HEADER = /authorization|authenticat|cookie|api-?key|token|secret|password|^x-earthflow-key$/i

function parseTarget(value: unknown, path: string): Target {
  const named = typeof value === 'string' ? namedTargets.find((one) => value.startsWith(beginningOf(one))) : undefined
  if (typeof value !== 'string' || !named) return oneOf([...targets, ...namedTargets] as unknown as readonly Target[], value, path)
  const name = value.slice(beginningOf(named).length)
  if (name === '' || name.length > FIELD_NAME_CHARACTERS_MAX || !name.isWellFormed() || /[\0-\x1f\x7f]/.test(name))
    throw new RuleError('invalid_request', path, `The name must have 1 to ${FIELD_NAME_CHARACTERS_MAX} characters.`)
  if (named === 'header.<name>') {
    if (!HEADER_NAME.test(name)) throw new RuleError('invalid_request', path, 'No header can have this name.')
    if (CREDENTIAL_HEADER.test(name)) throw new RuleError('config', path, 'This header carries a credential, which no rule may read.')
  }
  return value as Target
}

/** Refuses an operator that cannot ask anything of its target. */
function checkFit({ kind, ...operand }: Operand, reading: TargetReading, { leaf, path }: { leaf: Leaf; path: string }): void {
  const isValue = 'measure' in operand && operand.measure === 'value'
  if (reading.reads === 'number' && !isValue) throw new RuleError('config', `${path}.operator`, `"${leaf.target}" is a number; ask for it with threshold.`)
  if (isValue && reading.reads === 'field' && !reading.numeric)
    throw new RuleError('config', `${path}.target`, `"${leaf.target}" is no number; threshold reads ${namesOf(isNumeric)} and the length of texts.`)
}
const isNumeric = (reading: TargetReading): boolean => reading.reads === 'number' || (reading.reads === 'field' && reading.numeric)

/** Refuses well-formed rules that could not do what they say, or whose patterns cost too much. Throws a RuleError of reason `config`. */
function checkRule(rule: RuleDraft, budget: RuleBudget = checkBudget(), dictionaries: ReadonlySet<string> = NO_NAMES): void {
  checkMeaning(rule)
  for (const { leaf, path } of leavesOf(rule.condition)) {
    const operand = operandOf(leaf, path, dictionaries)
    if (operand.kind !== 'pattern') continue
    countPattern(budget, path)
    checkPattern(operand, `${path}.value`, budget)
  }
}

/**
 * Refuses a stored rule that this version cannot judge by, because another one wrote it or somebody's hand did. Its patterns were probed when it was
 * saved. Throws a RuleError.
 */
export function checkStored(rule: Rule, dictionaries: ReadonlySet<string> = NO_NAMES): void {
  object(rule, '', 'A rule')
  if (typeof rule.id !== 'string') throw new RuleError('invalid_request', 'id', '"id" must be a string.')
  oneOf(actions, rule.action, 'action')
  oneOf(modes, rule.mode, 'mode')
  parsePriority(rule.priority)
  boolean(rule.active, 'active')
  boolean(rule.reversible, 'reversible')
  parseCondition(rule.condition, dictionaries)
  checkMeaning(rule)
}

function checkMeaning({ condition, action, reversible }: RuleDraft): void {
  const refuse = (path: string, message: string): never => {
    throw new RuleError('config', path, message)
  }
  const leaves = leavesOf(condition)
  const reads = (what: TargetReading['reads']): boolean => leaves.some(({ leaf }) => readingOf(leaf).reads === what)

  if (reversible && action !== 'REDACT') refuse('reversible', 'Only what a REDACT rule cuts can be put back.')
  if (action === 'ALLOW' && (reads('call') || reads('reply') || reads('number')))
    refuse('condition', `An ALLOW rule may ask who and where only (${namesOf(isField)}): text that allows itself would be a way around every other rule.`)
  if (reads('call') && reads('reply'))
    refuse('condition', 'A rule reads either the call or the response, because the two are judged apart; make two rules of it.')
  if (action === 'REDACT' && !alwaysFinds(condition))
    refuse(
      'condition',
      `A REDACT rule must always find something to cut: who and where, numbers and lengths, what is absent, and what stands under "not" have no text.`,
    )
  if (reads('reply')) checkReplyRule({ action, reversible })
}

/** Refuses what is too much for one policy. Throws a RuleError of reason `config`. */
export function checkPolicy(rules: readonly RuleDraft[], dictionaries: Dictionaries = {}): void {
  const active = rules.filter((rule) => rule.active)
  if (active.length > RULES_PER_POLICY_MAX) throw new RuleError('config', '', `A policy holds at most ${RULES_PER_POLICY_MAX} active rules.`)
  const names = new Set(Object.keys(dictionaries))
  const used = new Set<string>()
  let phraseBytes = 0
  let patterns = 0
  for (const { condition } of active)
    for (const { leaf, path } of leavesOf(condition)) {
      const operand = operandOf(leaf, path, names)
      if (operand.kind === 'literal') phraseBytes += bytesOf(operand.phrases)
      if (operand.kind === 'pattern') patterns++
      if (operand.kind === 'detector') for (const name of operand.names) used.add(name)
    }
  for (const [name, { terms }] of Object.entries(dictionaries)) if (used.has(name)) phraseBytes += bytesOf(terms)
  if (phraseBytes > PHRASE_BYTES_PER_POLICY_MAX)
    throw new RuleError('config', '', `The phrases and dictionaries of all active rules together are longer than ${PHRASE_BYTES_PER_POLICY_MAX} bytes.`)
  if (patterns > PATTERNS_PER_POLICY_MAX) throw new RuleError('config', '', `The active rules hold more than ${PATTERNS_PER_POLICY_MAX} patterns.`)
}

const bytesOf = (phrases: readonly string[]): number => phrases.reduce((sum, phrase) => sum + Buffer.byteLength(phrase), 0)

const isField = (reading: TargetReading): boolean => reading.reads === 'field'
const namesOf = (fits: (reading: TargetReading) => boolean): string =>
  Object.entries(targetTable)
    .flatMap(([name, { reading }]) => (fits(reading('')) ? [name] : []))
    .join(', ')

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
