/** Reads rules as clients send them, one or many at once. */
import { setImmediate as othersFirst } from 'node:timers/promises'
import { Refusal } from '../../errors.ts'
import { checkBudget, type RuleBudget } from '../../rules/budget.ts'
import { parseRule, type RuleDraft } from '../../rules/check-rule.ts'
import type { Dictionaries } from '../../rules/rule.ts'
import { RuleError } from '../../rules/rule-error.ts'
import { withoutReadOnly } from '../read-only.ts'

export const PROBLEMS_MAX = 20

interface Reading {
  /** What a rule may look for by name beside the detectors. */
  dictionaries: Dictionaries
  budget?: RuleBudget
  /** What the rule came from; a client cannot choose it unless it brings a whole policy. */
  preset?: unknown
}

/** One rule; what only answers say is not looked at. Throws a RuleError. */
export const draftOf = (given: object, { dictionaries, budget = checkBudget(), preset }: Reading): RuleDraft =>
  parseRule({ ...withoutReadOnly(given), ...(preset !== undefined && { preset }) }, budget, new Set(Object.keys(dictionaries)))

/** The same, and what is wrong with it is named by its place in the body, such as `rules.3.condition`. */
export function placedDraftOf(given: object, place: string, reading: Reading): RuleDraft {
  try {
    return draftOf(given, reading)
  } catch (error) {
    if (error instanceof RuleError) throw new RuleError(error.reason, error.path === '' ? place : `${place}.${error.path}`, error.message)
    throw error
  }
}

/**
 * Reads rule after rule, between which other requests get their turn, because checking the patterns of many takes seconds. Throws a Refusal that lists
 * what is wrong with each, in `context.problems`, where anything is.
 */
export async function readEach<Given, Result>(list: readonly Given[], read: (given: Given, index: number) => Result): Promise<Result[]> {
  const results: Result[] = []
  const problems: { index: number; field: string; message: string }[] = []
  let isMalformed = false
  for (const [index, given] of list.entries()) {
    try {
      results.push(read(given, index))
    } catch (error) {
      if (!(error instanceof RuleError)) throw error
      isMalformed ||= error.reason === 'invalid_request'
      problems.push({ index, field: error.path, message: error.message })
      if (problems.length >= PROBLEMS_MAX) break
    }
    await othersFirst()
  }
  if (problems.length === 0) return results
  const [first] = problems
  throw new Refusal(isMalformed ? 'invalid_request' : 'config', `${first.field}: ${first.message}`, { context: { field: first.field, problems } })
}
