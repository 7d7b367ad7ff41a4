/** Who may do what: keys, sessions and people, put together and kept fresh. */
import { createKeys } from './access/keys.ts'
import { createLoginThrottle } from './access/login-throttle.ts'
import { createLoginTokens } from './access/login-token.ts'
import { createOidc } from './access/oidc.ts'
import { createPasswords } from './access/passwords.ts'
import { createPeople } from './access/people.ts'
import { looksLikeSession } from './access/session-token.ts'
import { createSessions } from './access/sessions.ts'
import type { Config } from './config.ts'
import type { Keyring } from './crypto/keyring.ts'
import type { Change } from './db/changes.ts'
import type { Db } from './db/connect.ts'
import type { RedisConnection } from './db/redis.ts'
import type { Egress } from './egress/dispatcher.ts'
import { createFetch } from './egress/fetch.ts'
import { Failure } from './errors.ts'

export interface IdentityOptions {
  config: Pick<Config, 'env' | 'limits' | 'oidcIssuers'>
  db: Db
  keyring: Keyring
  egress: Egress
  redis: RedisConnection | null
  /** What is loaded is older than may be believed. */
  isStale(): boolean
}

export function createIdentity({ config, db, keyring, egress, redis, isStale }: IdentityOptions) {
  const now = Date.now
  const defaultRequestsPerMinute = config.limits.defaultRpm
  const keys = createKeys({ db, keyring, now, defaultRequestsPerMinute, kind: config.env === 'development' ? 'test' : 'live' })
  const sessions = createSessions({ db, keyring, now, defaultRequestsPerMinute })
  const oidc = config.oidcIssuers.length === 0 ? null : createOidc({ issuers: config.oidcIssuers, fetch: createFetch(egress), db, now })
  const people = createPeople({ db, keyring, oidc, now })
  const refuseStale = (): void => {
    if (isStale()) throw new Failure('unavailable', new Error('What is loaded is older than EARTHFLOW_STALE_SECONDS.'))
  }

  return {
    keys,
    sessions,
    people,
    passwords: createPasswords(),
    loginTokens: createLoginTokens({ keyring, now }),
    throttle: createLoginThrottle({ redis, now }),
    /** Of a call: a session's token is as good as the key it was made with. */
    callers: {
      find: (key: string) => {
        refuseStale()
        return looksLikeSession(key) ? sessions.find(key) : keys.find(key)
      },
      findByCertificate: (names: readonly string[]) => {
        refuseStale()
        return keys.findByCertificate(names)
      },
    },
    /** What changed is read again when it is next needed. */
    hear(changes: readonly Change[]): void {
      for (const { kind, tenantId } of changes) {
        if (kind === 'keys' || kind === 'tenants') keys.forget(tenantId)
        if (kind === 'keys' || kind === 'tenants' || kind === 'sessions') sessions.forget(tenantId)
        if (kind === 'users' || kind === 'tenants') people.forget(tenantId)
      }
    },
  }
}
