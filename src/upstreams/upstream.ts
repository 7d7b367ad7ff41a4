import type { Pool } from 'undici'
import type { Usage } from '../call.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import type { Standing } from './standing.ts'

/** The base URL of the built-in upstream. It is no address, so that no rule about addresses can ever apply to it, and the API cannot name it. */
export const SANDBOX_URL = 'sandbox:'

/** Where a provider lives, as a call needs it: made from a row of the table. */
export interface Upstream {
  name: string
  dialects: readonly string[]
  /** Higher comes first. */
  priority: number
  /** `https://host`, as the provider names itself in what it answers. */
  origin: string
  /** Of the base URL, without a trailing slash; null where paths are taken as they came. */
  basePath: string | null
  pool: Pool
  /** The credential of a `stored` upstream; null where none is needed. */
  credential: string | null
  /** The caller's own credential travels on, in exactly the headers its dialect uses. */
  passthrough: boolean
  /** Patterns of the models it serves. */
  serves: readonly string[]
  /** What a million tokens cost here now, in USD; null where nobody knows. Of several models the dearest counts. */
  priceOf(models: readonly string[]): { input: number; output: number } | null
  /** What a call for these models cost here in nano-dollars, at a time (milliseconds since 1970); null where one of them has no price, or none is named. */
  costOf(models: readonly string[], usage: Usage, at: number): number | null
  /** Calls that may wait for a connection; in the standing's gate; one more is passed on to the next candidate or refused. */
  queueMax: number
  /** Milliseconds that an attempt and its whole answer may take. */
  totalMs: number
  standing: Standing
  /** It still serves calls, as it was when it was found: nobody has changed it, moved it or switched it off. */
  isCurrent(): boolean
}

const AZURE_BASE = /\/(?:openai(?:\/v1)?|v1)$/

/** The path an SDK with this base URL would call for one of our endpoints. */
export function pathOn({ basePath }: Pick<Upstream, 'basePath'>, { path, dialect: { vendor } }: Endpoint): string {
  if (basePath === null) return path
  // Azure's base URL may be given with or without what all its paths begin with.
  if (vendor.name === 'azure') return basePath.replace(AZURE_BASE, '') + path
  return basePath + (vendor.basePath !== '' && path.startsWith(`${vendor.basePath}/`) ? path.slice(vendor.basePath.length) : path)
}

/** The other way about: which of our paths leads to this one of the provider. */
export function pathFrom({ basePath }: Pick<Upstream, 'basePath'>, { dialect: { vendor } }: Endpoint, pathname: string): string {
  if (basePath === null) return pathname
  const base = vendor.name === 'azure' ? basePath.replace(AZURE_BASE, '') : basePath
  if (!pathname.startsWith(`${base}/`)) return pathname
  return (vendor.name === 'azure' ? '' : vendor.basePath) + pathname.slice(base.length)
}
