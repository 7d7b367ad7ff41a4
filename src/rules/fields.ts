/** Who and where: the values of one field are searched once for all the rules that ask about it. */

import type { Texts } from '../call.ts'
import type { RuleBudget } from './budget.ts'
import { compares, lengthsOf, numberIn } from './counts.ts'
import type { TextOperand } from './matching/compile-matcher.ts'
import { textsOf } from './plain-texts.ts'
import { compileSearch, type Hits } from './search/search.ts'
import type { Subject, TargetReading } from './targets.ts'

type Holds = (subject: Subject) => boolean
type Reading = Extract<TargetReading, { reads: 'field' | 'number' }>

export interface Fields {
  /** A question about a field, to be asked once all are known. */
  ask(target: string, reading: Reading, operand: TextOperand): Holds
  /** Prepares the search of each field. Throws a RuleError beyond the budget. */
  compile(budget: RuleBudget): void
}

interface Field {
  of(subject: Subject): readonly string[]
  operands: TextOperand[]
  hits(values: readonly string[]): Hits | null
}

export function createFields(): Fields {
  const fields = new Map<string, Field>()
  return {
    ask(target, reading, operand) {
      if (reading.reads === 'number') {
        if (operand.kind !== 'number') throw new TypeError('A number was asked for a text.')
        return (subject) => {
          const number = reading.of(subject)
          return number !== null && compares(operand, number)
        }
      }
      const { of } = reading
      if (operand.kind === 'number') {
        if (operand.measure !== 'value') return (subject) => lengthsOf(textsOf(of(subject)), ALL)(operand)
        return (subject) =>
          of(subject).some((value) => {
            const number = numberIn(value)
            return number !== null && compares(operand, number)
          })
      }
      const field = fields.get(target) ?? { of, operands: [], hits: () => null }
      fields.set(target, field)
      const leaf = field.operands.push(operand) - 1
      return (subject) => field.hits(of(subject))?.[leaf] !== undefined
    },

    compile(budget) {
      for (const field of fields.values())
        field.hits = remembering(
          compileSearch(
            field.operands.map((operand) => ({ operand, role: null, last: false, cuts: false, placeholder: '' })),
            budget,
          ),
        )
    },
  }
}

const ALL = { role: null, last: false }

/** Values whose findings are remembered at once: as many as a call may name models, and some. */
const REMEMBERED_MAX = 128

/** Rules ask one after the other about the same values, and most calls have those of the call before. */
function remembering(search: (texts: Texts) => Hits | null): (values: readonly string[]) => Hits | null {
  const known = new Map<string, Hits | null>()
  return (values) => {
    const key = values.length === 1 ? `=${values[0]}` : JSON.stringify(values)
    const found = known.get(key)
    if (found !== undefined) return found
    const hits = search(textsOf(values))
    if (known.size >= REMEMBERED_MAX) known.clear()
    known.set(key, hits)
    return hits
  }
}
