/** What is measured: nobody in between, others, and Earthflow. */
import { startEarthflow } from './start-earthflow.ts'
import { startNginx } from './start-nginx.ts'

/** What a server may use to start. */
export interface Ground {
  /** The core it is to run on. */
  core: number
  providerPort: number
  /** A fresh, empty database. */
  databaseUrl: string
}

export interface Running {
  port: number
  /** The bearer key the load generator sends. */
  key: string
  /** The processes whose CPU time is the server's cost. */
  pids: readonly number[]
  /** How many calls it has recorded since it was started, for servers that record. */
  countRows: (() => Promise<number>) | null
  stop(): Promise<void>
}

export interface BenchServer {
  name: string
  about: string
  byDefault: boolean
  /** Throws a sentence, with the end of the server's log, when it does not start. */
  start(ground: Ground): Promise<Running>
}

/** For servers that do not look at it. */
const ANY_KEY = 'sk-bench'

export const benchServers: readonly BenchServer[] = [
  {
    name: 'direct',
    about: 'the load generator at the provider, nothing in between',
    byDefault: true,
    start: async ({ providerPort }) => ({ port: providerPort, key: ANY_KEY, pids: [], countRows: null, stop: async () => {} }),
  },
  {
    name: 'nginx',
    about: 'proxy_pass, buffering off, kept-alive upstream, one worker',
    byDefault: true,
    start: async (ground) => ({ ...(await startNginx(ground)), key: ANY_KEY, countRows: null }),
  },
  {
    name: 'earthflow',
    about: 'key, limits, default rules, hash, strict audit to PostgreSQL',
    byDefault: true,
    start: (ground) => startEarthflow(ground, ground.databaseUrl),
  },
  {
    name: 'earthflow-embedded',
    about: 'the same with the embedded database',
    byDefault: false,
    start: (ground) => startEarthflow(ground, null),
  },
]
