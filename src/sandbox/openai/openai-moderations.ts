import { newId } from '../../ids.ts'
import type { Answer, PlayedDialect } from '../played-dialect.ts'
import { member, string } from '../read-body.ts'
import { readPrompts } from '../read-prompts.ts'
import { openai } from './openai.ts'

const MODEL = 'sandbox'
const categories = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
]

/** Finds nothing wrong with anything. */
export const openaiModerations: PlayedDialect = {
  name: 'openai-moderations',
  vendor: openai,
  operations: [{ path: /^\/v1\/moderations$/, read: (body) => ({ model: modelOf(body), answer: readModeration(body) }) }],
}

const modelOf = (body: unknown): string => string(member(body, 'model')) || MODEL

function readModeration(body: unknown): () => Answer {
  const input = member(body, 'input')
  const results = readPrompts(body, 'input')
  // Parts of messages are one thing to judge; texts are one each.
  const count = Array.isArray(input) && typeof input[0] === 'object' ? 1 : results.length
  return () => ({ kind: 'document', body: { id: newId('modr'), model: modelOf(body), results: Array.from({ length: count }, harmless) } })
}

const every = <T>(value: T): Record<string, T> => Object.fromEntries(categories.map((category) => [category, value]))
const harmless = (): object => ({ flagged: false, categories: every(false), category_scores: every(0), category_applied_input_types: every(['text']) })
