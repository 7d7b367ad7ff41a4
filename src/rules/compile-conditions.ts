/** Conditions as trees whose leaves are looked for together, by one matcher per kind. */
import type { RuleBudget } from './budget.ts'
import { detectorNamed } from './detectors.ts'
import type { Node } from './evaluate.ts'
import { createFields } from './fields.ts'
import { operandOf, readingOf } from './leaves.ts'
import type { TextOperand } from './matching/compile-matcher.ts'
import type { Operand } from './operators.ts'
import { placeholderFor } from './placeholder.ts'
import type { PolicyLeaf } from './policy.ts'
import { type Condition, type Dictionaries, type Rule, severity } from './rule.ts'
import type { TextLeaf } from './search/search.ts'
import { DEFAULT_TARGET } from './targets.ts'

/** The most severe first; then by id, so that nothing depends on how rules are stored. */
export const bySeverity = (a: Rule, b: Rule): number => severity[b.action] - severity[a.action] || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

export interface Compiled {
  /** By rule. */
  nodes: readonly Node[]
  leaves: readonly PolicyLeaf[]
  textLeaves: readonly TextLeaf[]
}

export function compileConditions(rules: readonly Rule[], dictionaries: Dictionaries, budget: RuleBudget): Compiled {
  const names = new Set(Object.keys(dictionaries))
  const leaves: PolicyLeaf[] = []
  const textLeaves: TextLeaf[] = []
  const fields = createFields()
  const build = (condition: Condition, rule: Rule): Node => {
    if ('all' in condition) return { kind: 'all', nodes: condition.all.map((part) => build(part, rule)) }
    if ('any' in condition) return { kind: 'any', nodes: condition.any.map((part) => build(part, rule)) }
    if ('not' in condition) return { kind: 'not', node: build(condition.not, rule) }
    const reading = readingOf(condition)
    const operand = operandOf(condition, rule.id, names)
    const nodes = questionsOf(operand, dictionaries).map(({ asks, placeholder }): Node => {
      if (reading.reads === 'field' || reading.reads === 'number')
        return { kind: 'field', holds: fields.ask(condition.target ?? DEFAULT_TARGET, reading, asks) }
      leaves.push({ rule, placeholder })
      textLeaves.push({ operand: asks, role: reading.role, last: reading.reads === 'call' && reading.last, cuts: rule.action === 'REDACT', placeholder })
      return { kind: 'text', leaf: leaves.length - 1 }
    })
    const node: Node = nodes.length === 1 ? nodes[0] : { kind: 'any', nodes }
    return operand.kind === 'literal' && operand.absent ? { kind: 'not', node } : node
  }
  const nodes = rules.map((rule) => build(rule.condition, rule))
  fields.compile(budget)
  return { nodes, leaves, textLeaves }
}

/** Several detectors or dictionaries are several questions, because each has a placeholder of its own. */
function questionsOf(operand: Operand, dictionaries: Dictionaries): { asks: TextOperand; placeholder: string }[] {
  if (operand.kind !== 'detector') return [{ asks: operand, placeholder: placeholderFor(undefined) }]
  return operand.names.map((name) => {
    const placeholder = placeholderFor(name)
    if (detectorNamed(name)) return { asks: { kind: 'detector', name }, placeholder }
    const { terms, case_sensitive } = dictionaries[name]
    return { asks: { kind: 'literal', phrases: terms, at: 'anywhere', exact: case_sensitive, absent: false }, placeholder }
  })
}

export function textLeavesOf(node: Node): number[] {
  if (node.kind === 'text') return [node.leaf]
  if (node.kind === 'all' || node.kind === 'any') return node.nodes.flatMap(textLeavesOf)
  return node.kind === 'not' ? textLeavesOf(node.node) : []
}
