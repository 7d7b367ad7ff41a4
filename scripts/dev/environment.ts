/** The environment tests and proofs run in: the developer's, without Earthflow's settings, so that nobody's database, key or option decides a result. */
import { fileURLToPath } from 'node:url'

/** How the names of settings and of the providers' keys begin (see .env.example). */
const settings = new RegExp(
  `^(${['EARTHFLOW', 'POSTGRES', 'DATABASE', 'REDIS', 'TLS', 'RATE_LIMIT', 'BUDGET', 'UPSTREAM', 'WEBHOOK', 'AUDIT', 'OTEL', 'OIDC', 'EGRESS', 'ALLOWED', 'TRUSTED', 'OPENAI', 'ANTHROPIC', 'GEMINI'].join('|')})_`,
)

/** Every test file is a process and imports much the same: Node keeps here what it compiled, with the hash of the source it was made from. */
export const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/earthflow-test/compiled', import.meta.url))

export interface ServiceUrls {
  databaseUrl: string
  redisUrl: string | undefined
}

/** With the canary word of the run, where what it leaves behind is searched for it afterwards (find-leaks.ts). */
export function testEnvironment(env: NodeJS.ProcessEnv, services: ServiceUrls, canary?: string): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !settings.test(name) && name !== 'NODE_ENV')
  const added = { EARTHFLOW_TEST_RUN: '1', TEST_DATABASE_URL: services.databaseUrl, TEST_REDIS_URL: services.redisUrl, EARTHFLOW_TEST_CANARY: canary }
  const forced = { EARTHFLOW_TEST_SERVICES: env.EARTHFLOW_TEST_SERVICES }
  return { ...Object.fromEntries(kept), ...added, ...forced, NODE_COMPILE_CACHE: COMPILE_CACHE }
}
