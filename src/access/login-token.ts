/** The tokens of people who have logged in: `ef_login_` and a signed statement of which login it is and whose. */
import type { Keyring } from '../crypto/keyring.ts'
import type { NewLogin } from './logins.ts'
import { createSignedTokens } from './signed-token.ts'

export interface LoginTokens {
  /** Call it outside any transaction: the key may have to be read. */
  mint(login: NewLogin): Promise<string>
  /** Whose it is, if its signature is right and it has not expired; whether the login has ended is for its row to say. Throws Failure('unavailable'). */
  verify(token: string): Promise<{ loginId: string; userId: string } | null>
}

const tokens = createSignedTokens({ prefix: 'ef_login_', audience: 'earthflow-login', names: { jti: 'login', sub: 'usr' } })

export const isLoginToken = tokens.isShaped

export function createLoginTokens({ keyring, now }: { keyring: Pick<Keyring, 'loginKey'>; now: () => number }): LoginTokens {
  return {
    mint: ({ id, userId, createdAt, expiresAt }) =>
      tokens.sign(keyring.loginKey, { jti: id, sub: userId }, { issuedAt: createdAt.getTime(), expiresAt: expiresAt.getTime() }),

    async verify(token) {
      const named = await tokens.verify(keyring.loginKey, token, now())
      return named && { loginId: named.jti, userId: named.sub }
    },
  }
}
