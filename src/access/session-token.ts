/** The token of a session: `ef_session_` and a signed statement of which session it is and how long it lives. */
import type { Keyring } from '../crypto/keyring.ts'
import { createSignedTokens } from './signed-token.ts'

const PREFIX = 'ef_session_'
const tokens = createSignedTokens({ prefix: PREFIX, audience: 'earthflow-session', names: { jti: 'ses' } })

/** Whether it is meant to be a session's token, right or wrong: it is ours, and nobody else's. */
export const looksLikeSession = (text: string): boolean => text.startsWith(PREFIX)

/** Whether the text has a token's shape. Everything else ends here, before any hash, signature or query. */
export const isTokenShaped = tokens.isShaped

/** Times are milliseconds since 1970, of which a token says whole seconds. */
export const signSession = (
  keyring: Pick<Keyring, 'sessionKey'>,
  { id, issuedAt, expiresAt }: { id: string; issuedAt: number; expiresAt: number },
): Promise<string> => tokens.sign(keyring.sessionKey, { jti: id }, { issuedAt, expiresAt })

/** The id of the session, or null for every token that was not signed here for this purpose, or has expired. Throws Failure('unavailable'). */
export const verifySession = async (keyring: Pick<Keyring, 'sessionKey'>, token: string, now: number): Promise<string | null> =>
  (await tokens.verify(keyring.sessionKey, token, now))?.jti ?? null
