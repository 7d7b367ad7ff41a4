/** Canonical JSON (RFC 8785). */
import canonicalize from 'canonicalize'
import { storable } from '../db/to-json.ts'

/**
 * Of an object of plain data. What no text in the database can hold, NUL and half a surrogate pair, is written as what stands there in its place. Throws where
 * it holds what JSON cannot.
 */
export function canonical(value: object): string {
  // JSON.stringify writes numbers and texts as RFC 8785 wants them, so that only the order of members is left to see to.
  try {
    const text = JSON.stringify(inOrder(value))
    // An escape by number may be one of those that the database cannot hold.
    if (text !== undefined && !text.includes('\\u')) return text
  } catch {
    // No plain data, or nested too deeply.
  }
  return slowly(value)
}

function slowly(value: object): string {
  try {
    const text = canonicalize(value)
    if (text !== undefined && !text.includes('\\u0000')) return text
  } catch {
    // Half a surrogate pair: rare, and only then looked for.
  }
  return canonicalize(storable(value)) as string
}

/** The value with the members of its objects in order, as far as they can be: a part of what canonical is given that was seen to costs no copy of the whole. */
export function ordered<Value extends object | null>(value: Value): Value {
  try {
    return value === null ? value : (inOrder(value) as Value)
  } catch {
    return value
  }
}

/** The value itself where the members of all its objects are in order already; else a copy that has them so. Throws for what is no plain data, or cannot be in order. */
function inOrder(value: object): object {
  if (Array.isArray(value)) return elementsInOrder(value)
  if (Object.getPrototypeOf(value) !== Object.prototype) throw NOT_PLAIN
  const members = value as Readonly<Record<string, unknown>>
  let before = ''
  let isInOrder = true
  /** Members that are not themselves in order. Each is put in order once: twice would be twice as often at each depth. */
  let changed: Map<string, unknown> | undefined
  for (const name in members) {
    if (name < before) isInOrder = false
    before = name
    const member = members[name]
    const ordered = elementInOrder(member)
    if (ordered === member) continue
    changed ??= new Map()
    changed.set(name, ordered)
  }
  return isInOrder && !changed ? members : sorted(members, changed)
}

function elementsInOrder(values: readonly unknown[]): readonly unknown[] {
  let copy: unknown[] | undefined
  for (const [i, value] of values.entries()) {
    const ordered = elementInOrder(value)
    if (!copy && ordered !== value) copy = values.slice()
    if (copy) copy[i] = ordered
  }
  return copy ?? values
}
const elementInOrder = (value: unknown): unknown => (typeof value === 'object' && value !== null ? inOrder(value) : value)

function sorted(members: Readonly<Record<string, unknown>>, changed: ReadonlyMap<string, unknown> | undefined): object {
  const copy: Record<string, unknown> = {}
  let before = ''
  for (const name of Object.keys(members).sort()) {
    // Of two names that the database can only hold as the same one the last counts, as they were given.
    if (name === '__proto__' || name.includes('\0') || !name.isWellFormed()) throw NOT_PLAIN
    copy[name] = changed?.get(name) ?? members[name]
  }
  // Names that are numbers come first, whatever is put in first.
  for (const name in copy) {
    if (name < before) throw NOT_PLAIN
    before = name
  }
  return copy
}

const NOT_PLAIN = new Error('Not plain data in an order that can be had.')
