/** Values on their way into a statement, as JSON. */

/** JSON that PostgreSQL takes: jsonb knows neither NUL nor half a surrogate pair. */
export function toJson(values: readonly object[]): string {
  const json = JSON.stringify(values)
  // Both come out of JSON.stringify as escapes, so that the rare case is seen in the text and only then paid for.
  return /\\u(?:0000|d[89a-f])/.test(json) ? JSON.stringify(storable(values)) : json
}

/** Names of members too: a caller's metadata has whatever names it likes. A number that JSON does not have is null, as JSON.stringify writes it. */
export function storable(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value)
  if (typeof value === 'number' && !Number.isFinite(value)) return null
  if (Array.isArray(value)) return value.map(storable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [storableText(name), storable(member)]))
}

const storableText = (text: string): string => text.replaceAll('\0', '\uFFFD').toWellFormed()
