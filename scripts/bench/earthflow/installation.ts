import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createServerFolder, freePort, startServer } from '../../../test/services/server-process.ts'
import { answers } from '../ask.ts'
import type { FreshDatabase } from '../fresh-database.ts'
import type { Ground } from '../ground.ts'
import { onCore } from '../processes.ts'
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
  /** Null where nobody is told of anything. */
  webhookUrl: string | null
  remove(): Promise<void>
}

export async function prepareInstallation(ground: Ground, setup: Setup): Promise<Installation> {
  if (setup.hasRedis && ground.redisUrl === null) throw new Error('there is no Redis on this machine')
  const port = await freePort()
  const adminKey = secret()
  const dataDir = mkdtempSync(join(ground.folder, 'data-'))
  const database = setup.database === 'postgres' ? await ground.newDatabase() : null
  const receiver = setup.hasWebhook ? await startReceiver(ground) : null
  const { certPath, keyPath, authorityPath } = ground.certificate
  return {
    port,
    origin: `${setup.isTls ? 'https' : 'http'}://127.0.0.1:${port}`,
    adminKey,
    database,
    webhookUrl: receiver?.url ?? null,
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
      ...(receiver === null ? {} : { NODE_EXTRA_CA_CERTS: authorityPath }),
      ...setup.env,
    },
    async remove() {
      await receiver?.stop()
      await database?.close()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

const secret = (): string => randomBytes(32).toString('base64url')

/** Beside the load: what webhooks cost their receiver is not Earthflow's. */
async function startReceiver({ cores, certificate: { certPath, keyPath } }: Ground): Promise<{ url: string; stop(): Promise<void> }> {
  const port = await freePort()
  const url = `https://127.0.0.1:${port}/`
  const server = await startServer({
    name: 'the receiver of webhooks',
    command: 'taskset',
    args: onCore(cores.load, process.execPath, [join(import.meta.dirname, 'receiver.ts'), port, certPath, keyPath]),
    env: { PATH: process.env.PATH },
    account: {},
    folder: createServerFolder({}),
    stopSignal: 'TERM',
    ready: () => answers(url, { method: 'POST', body: '{}' }),
  })
  return { url, stop: server.stop }
}
