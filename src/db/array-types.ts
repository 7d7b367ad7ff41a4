/** One-dimensional PostgreSQL arrays for postgres.js: `${['a', 'b']}::text[]`. */
import type postgres from 'postgres'

const element = (value: unknown) => (value === null || value === undefined ? 'NULL' : `"${String(value).replace(/[\\"]/g, '\\$&')}"`)

/** Quotes every element, so that nothing in it means anything. https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO */
export function serializeArray(values: readonly unknown[]): string {
  return `{${values.map(element).join()}}`
}

const ELEMENT = /[{,](?:"((?:[^"\\]|\\.)*)"|([^",{}]*))/gsy

export function parseArray(text: string): (string | null)[] {
  if (text === '{}') return []
  return Array.from(text.matchAll(ELEMENT), ([, quoted, bare]) => quoted?.replace(/\\(.)/gs, '$1') ?? (bare === 'NULL' ? null : bare!))
}

const numbers = (text: string) => parseArray(text).map((value) => (value === null ? null : Number(value)))

const arrayOf = (oid: number, parse: (text: string) => unknown): postgres.PostgresType => ({ to: oid, from: [oid], serialize: serializeArray, parse })

/**
 * What postgres.js would ask the server for when it connects. It is told, because it does not handle the failure of that question: a server that is shut
 * down just then would end the process. bigint[] comes as strings, as bigint does.
 */
export const arrayTypes = { textArray: arrayOf(1009, parseArray), integerArray: arrayOf(1007, numbers), bigintArray: arrayOf(1016, parseArray) }
