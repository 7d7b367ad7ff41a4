import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../../test/services/server-process.ts'
import type { FreshDatabase } from '../fresh-database.ts'
import type { Ground } from '../ground.ts'
import type { Setup } from './configurations.ts'

/** The most a tenant may be given: 16,667 calls a second on top of a bucket of 1.5 million. */
export const NO_LIMIT_RPM = 1_000_000

/** What several starts have in common: secrets, port, data folder, database. */
export interface Installation {
  env: NodeJS.ProcessEnv
  port: number
  origin: string
  adminKey: string
  /** Null where it is embedded. */
  database: FreshDatabase | null
  remove(): Promise<void>
}

export async function prepareInstallation(ground: Ground, setup: Setup): Promise<Installation> {
  if (setup.hasRedis && ground.redisUrl === null) throw new Error('there is no Redis on this machine')
  const port = await freePort()
  const adminKey = secret()
  const dataDir = mkdtempSync(join(ground.folder, 'data-'))
  const database = setup.database === 'postgres' ? await ground.newDatabase() : null
  const { certPath, keyPath } = ground.certificate
  return {
    port,
    origin: `${setup.isTls ? 'https' : 'http'}://127.0.0.1:${port}`,
    adminKey,
    database,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      // Production in everything but one: its providers speak https, and the fake one does not.
      EARTHFLOW_ENV: 'production',
      ...(setup.isTls
        ? { EARTHFLOW_TLS: 'on', TLS_CERT_PATH: certPath, TLS_KEY_PATH: keyPath, EARTHFLOW_MAX_CONNECTIONS_PER_SOURCE: '5000' }
        : { EARTHFLOW_TLS: 'terminated', TRUSTED_PROXIES: '127.0.0.1' }),
      EARTHFLOW_HOST: '127.0.0.1',
      EARTHFLOW_PORT: String(port),
      EARTHFLOW_SERVICES: 'proxy',
      EARTHFLOW_MASTER_KEY: secret(),
      EARTHFLOW_ADMIN_API_KEY: adminKey,
      EARTHFLOW_DATA_DIR: dataDir,
      EGRESS_ALLOW: 'loopback',
      RATE_LIMIT_DEFAULT_RPM: String(NO_LIMIT_RPM),
      ...(database === null ? { EARTHFLOW_EMBEDDED_DB: 'true' } : { DATABASE_URL: database.url }),
      ...(setup.hasRedis && ground.redisUrl !== null ? { REDIS_URL: ground.redisUrl } : {}),
      ...setup.env,
    },
    async remove() {
      await database?.close()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

const secret = (): string => randomBytes(32).toString('base64url')
