/** What all refusals share, whatever the format of their body. */
import type { Refusal } from '../errors.ts'
import type { Page } from './dialect.ts'

/**
 * Beyond it, client libraries either sleep the whole time or ignore it and come back three times in a second, so they are told not to try again
 * (seconds; measured with the libraries).
 */
const WAIT_SECONDS_MAX = 60

/** The page of a refusal. The header with the request's id is not among its headers: every answer carries it, refused or not. */
export function pageOf(refusal: Refusal, body: object): Page {
  const headers = ['content-type', 'application/json', ...refusal.headers]
  const wait = Number(headerOf(refusal.headers, 'retry-after') ?? 0)
  if ((!refusal.retry || wait > WAIT_SECONDS_MAX) && headerOf(refusal.headers, 'x-should-retry') === undefined) headers.push('x-should-retry', 'false')
  return { status: refusal.status, headers, body: JSON.stringify(body) }
}

function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i].toLowerCase() === name) return headers[i + 1]
  return undefined
}
