import { items, member, string } from './read-body.ts'

/** Schemas that refer to themselves end here. */
const DEPTH_MAX = 24
/** References let a small schema describe a huge value. */
const VALUES_MAX = 2000
const TEXT_CHARACTERS_MAX = 10_000
const ITEMS_MAX = 100

/** Harmless wherever it lands: an agent may well run the argument it is given. */
const WORD = 'sandbox'
const formats: Record<string, string> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  duration: 'PT1S',
  email: 'sandbox@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
}

/**
 * A small value that satisfies a JSON schema: what it demands and nothing more. Knows the keywords tools are described with; `pattern` and `not`
 * are not read. Never throws.
 */
export function fillSchema(schema: unknown): unknown {
  let valuesLeft = VALUES_MAX
  return fill(schema, 0)

  function fill(schema: unknown, depth: number): unknown {
    if (depth > DEPTH_MAX || valuesLeft-- <= 0) return null
    const fixed = given(schema)
    if (fixed !== undefined) return fixed
    const reference = member(schema, '$ref')
    if (typeof reference === 'string') return fill(resolve(reference), depth + 1)
    const choice = items(member(schema, 'anyOf'))[0] ?? items(member(schema, 'oneOf'))[0]
    if (choice !== undefined) return fill(choice, depth + 1)
    const parts = items(member(schema, 'allOf'))
    if (parts.length > 0) return fillAll(parts, depth)
    return fillType(schema, depth)
  }

  function fillType(schema: unknown, depth: number): unknown {
    switch (typeOf(schema)) {
      case 'string':
        return fillText(schema)
      case 'integer':
        return fillNumber(schema, true)
      case 'number':
        return fillNumber(schema, false)
      case 'boolean':
        return false
      case 'array':
        return Array.from({ length: bounded(member(schema, 'minItems'), ITEMS_MAX) }, () => fill(member(schema, 'items'), depth + 1))
      case 'object':
        return fillObject(schema, depth)
      default:
        return null
    }
  }

  function fillObject(schema: unknown, depth: number): object {
    const properties = member(schema, 'properties')
    // Built from entries, so that a property called __proto__ is a property.
    return Object.fromEntries(items(member(schema, 'required')).map((name) => [String(name), fill(member(properties, String(name)), depth + 1)]))
  }

  function fillAll(parts: readonly unknown[], depth: number): unknown {
    const values = parts.map((part) => fill(part, depth + 1))
    return values.every((value) => typeof value === 'object' && value !== null) ? Object.assign({}, ...values) : values[0]
  }

  /** References inside the document: `#/$defs/Place`. */
  function resolve(reference: string): unknown {
    if (!reference.startsWith('#')) return undefined
    const steps = reference.split('/').slice(1)
    return steps.reduce<unknown>((at, step) => member(at, step.replaceAll('~1', '/').replaceAll('~0', '~')), schema)
  }
}

/** A value the schema itself names. */
function given(schema: unknown): unknown {
  return member(schema, 'const') ?? items(member(schema, 'enum'))[0] ?? member(schema, 'default') ?? items(member(schema, 'examples'))[0]
}

function typeOf(schema: unknown): string {
  const type = member(schema, 'type')
  if (Array.isArray(type)) return string(type.find((one) => one !== 'null') ?? 'null')
  if (typeof type === 'string') return type
  if (member(schema, 'properties') !== undefined) return 'object'
  return member(schema, 'items') === undefined ? 'string' : 'array'
}

function fillText(schema: unknown): string {
  const text = formats[string(member(schema, 'format'))] ?? WORD
  const shortest = bounded(member(schema, 'minLength'), TEXT_CHARACTERS_MAX)
  const longest = member(schema, 'maxLength')
  return text.padEnd(shortest, WORD).slice(0, typeof longest === 'number' ? Math.max(0, longest) : undefined)
}

function fillNumber(schema: unknown, whole: boolean): number {
  const step = numberOr(member(schema, 'multipleOf'), 1)
  const low = numberOr(member(schema, 'minimum'), numberOr(member(schema, 'exclusiveMinimum'), Number.NEGATIVE_INFINITY) + step)
  const high = numberOr(member(schema, 'maximum'), numberOr(member(schema, 'exclusiveMaximum'), Number.POSITIVE_INFINITY) - step)
  const value = Math.min(Math.max(step, low), high)
  return whole ? Math.round(value) : value
}

const numberOr = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise)
const bounded = (value: unknown, max: number): number => Math.min(Math.max(0, Math.trunc(numberOr(value, 0))), max)
