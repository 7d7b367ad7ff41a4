/** The smallest value that a JSON schema asks for, to show what a body looks like. */
import type { JsonSchema } from './openapi.ts'

const DEPTH_MAX = 6

/** What must be there, and nothing else; an example of the schema's own where it has one. */
export function exampleOf(schema: JsonSchema, depth = 0): unknown {
  const { examples, enum: words, const: only, anyOf, type, properties = {}, required = [], items, minItems, minimum, format } = schema
  if (Array.isArray(examples)) return examples[0]
  if (only !== undefined) return only
  if (Array.isArray(words)) return words[0]
  if (Array.isArray(anyOf)) return exampleOf(anyOf[0] as JsonSchema, depth + 1)
  if (depth > DEPTH_MAX) return null
  if (type === 'object') {
    const members = properties as Record<string, JsonSchema>
    return Object.fromEntries((required as string[]).map((name) => [name, exampleOf(members[name] ?? {}, depth + 1)]))
  }
  if (type === 'array') return typeof minItems === 'number' && minItems > 0 ? [exampleOf((items ?? {}) as JsonSchema, depth + 1)] : []
  if (type === 'string') return format === 'date-time' ? '2027-01-01T00:00:00Z' : '…'
  if (type === 'integer' || type === 'number') return typeof minimum === 'number' ? Math.max(minimum, 0) : 0
  return type === 'boolean' ? true : null
}
