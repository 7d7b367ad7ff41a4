/** What leaves the counts out of an answer, or has it written in a way in which nobody here finds them. */
import type { IncomingMessage } from 'node:http'
import type { Vendor } from './dialect.ts'

/** Of a query: which members of the answer are told, and the name of a function around it (cloud.google.com/apis/docs/system-parameters). */
const HIDING: ReadonlySet<string> = new Set(['fields', '$fields', 'callback', '$callback'])
const FORMATS: ReadonlySet<string> = new Set(['alt', '$alt'])
const READABLE_FORMAT = /^(?:json|sse)(?:;|$)/i

/** How a call asks its provider for an answer that does not tell what it cost; null where it does not. */
export function hiddenCountsIn({ url = '', headers }: Pick<IncomingMessage, 'url' | 'headers'>, { name }: Pick<Vendor, 'name'>): string | null {
  if (name !== 'gemini') return null
  if (headers['x-goog-fieldmask'] !== undefined) return 'x-goog-fieldmask'
  const query = new URLSearchParams(url.includes('?') ? url.slice(url.indexOf('?')) : '')
  return [...query].find(([member, value]) => HIDING.has(member) || (FORMATS.has(member) && !READABLE_FORMAT.test(value)))?.[0] ?? null
}
