/** The public keys of an identity provider: fetched when they are first needed, kept for a while, and never asked for by whoever invents key ids. */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { Failure } from '../errors.ts'

/** Answers, or rejects, within the signal's time. Follows no redirects. */
export type ProviderFetch = (url: string, signal: AbortSignal) => Promise<Response>

export interface ProviderKeysOptions {
  issuer: string
  /** Undefined where the provider's own description shall say it. */
  jwks_uri?: string | undefined
  fetch: ProviderFetch
  /** Milliseconds since 1970. */
  now: () => number
}

interface Kept {
  find: JWTVerifyGetKey
  fetchedAt: number
}

const ANSWER_BYTES_MAX = 256 << 10
const FETCH_MS = 5_000
const KEYS_KEPT_MS = 600_000
/** An unknown key id makes us look for new keys, but not more often than this. */
const UNKNOWN_KEY_PAUSE_MS = 60_000
/** A provider that failed is not asked again at once. */
const FAILED_PAUSE_MS = 5_000

/**
 * What jose verifies with. Throws Failure('unavailable') while the provider does not answer as it should, unless the keys that are kept do. Where the keys
 * lie is looked up each time they are fetched: a provider may move them.
 */
export function createProviderKeys({ issuer, jwks_uri, fetch: send, now }: ProviderKeysOptions): JWTVerifyGetKey {
  let kept: Kept | undefined
  let fetching: Promise<Kept> | undefined
  let failedAt = Number.NEGATIVE_INFINITY

  return async (header, token) => {
    const keys = kept !== undefined && now() - kept.fetchedAt < KEYS_KEPT_MS ? kept : await fetched()
    try {
      return await keys.find(header, token)
    } catch (error) {
      // A key that is no public one is the provider's fault, not the token's.
      if (error instanceof errors.JWKSInvalid) throw new Failure('unavailable', error)
      if (!(error instanceof errors.JWKSNoMatchingKey) || now() - keys.fetchedAt < UNKNOWN_KEY_PAUSE_MS) throw error
      return (await fetched()).find(header, token)
    }
  }

  /** All who want them at once share one answer. */
  function fetched(): Promise<Kept> {
    fetching ??= fetchKeys().finally(() => {
      fetching = undefined
    })
    return fetching
  }

  async function fetchKeys(): Promise<Kept> {
    const set = await ask(jwks_uri ?? (await discover()))
    try {
      kept = { find: createLocalJWKSet(set as JSONWebKeySet), fetchedAt: now() }
      return kept
    } catch (error) {
      throw away(error)
    }
  }

  /** OpenID Connect Discovery 1.0, section 4. */
  async function discover(): Promise<string> {
    const document = await ask(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    const { issuer: named, jwks_uri } = (document ?? {}) as { issuer?: unknown; jwks_uri?: unknown }
    if (named !== issuer) throw away(new Error('The description of the identity provider is that of another issuer.'))
    const isUrl = typeof jwks_uri === 'string' && URL.canParse(jwks_uri)
    const protocol = isUrl ? new URL(jwks_uri).protocol : null
    if (!isUrl || !(protocol === 'https:' || (protocol === 'http:' && issuer.startsWith('http:')))) {
      throw away(new Error('The description of the identity provider names no jwks_uri that may be used.'))
    }
    return jwks_uri
  }

  async function ask(url: string): Promise<unknown> {
    if (now() - failedAt < FAILED_PAUSE_MS) throw new Failure('unavailable', new Error('The identity provider failed a moment ago.'))
    const signal = AbortSignal.timeout(FETCH_MS)
    try {
      const response = await send(url, signal)
      if (response.status !== 200) throw new Error(`The identity provider answered ${response.status}.`)
      return JSON.parse(await textOf(response, signal))
    } catch (error) {
      throw away(error)
    }
  }

  function away(cause: unknown): Failure {
    failedAt = now()
    return new Failure('unavailable', cause)
  }
}

async function textOf(response: Response, signal: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    signal.throwIfAborted()
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) throw new Error(`The identity provider answered more than ${ANSWER_BYTES_MAX} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size).toString()
}
