import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServerFolder, type ServerProcess, startServer } from '../../../test/services/server-process.ts'
import { answers } from '../ask.ts'
import type { Ground } from '../ground.ts'
import { family, onCore } from '../processes.ts'
import type { Running } from '../running.ts'
import type { Setup } from './configurations.ts'
import { furnish } from './furnish.ts'
import { type Installation, prepareInstallation } from './installation.ts'
import { rowCounter } from './row-counter.ts'

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts')
const preload = (file: string): string[] => ['--import', join(import.meta.dirname, file)]
const LOG_SHOWN_CHARACTERS_MAX = 4_000

/** Production settings, one tenant, one upstream: the fake provider. */
export async function startEarthflow(ground: Ground, setup: Setup, inside: { socketPath: string } | null = null): Promise<Running> {
  const installation = await prepareInstallation(ground, setup)
  try {
    const { server, folder } = await launch(ground, setup, installation, inside)
    try {
      const tenant = await furnish(ground, setup, installation)
      const { database } = installation
      return {
        port: installation.port,
        key: tenant.key,
        headers: [],
        isTls: setup.isTls,
        pids: await family(server.pid),
        folder,
        databaseCpuSeconds: async () => database?.cpuSeconds() ?? null,
        countRows: database && setup.stages === null ? await rowCounter(database.url, tenant.id, installation.origin, tenant.key) : null,
        async stop() {
          await server.stop()
          await installation.remove()
        },
      }
    } catch (error) {
      const log = await readFile(join(folder, 'log'), 'utf8')
      await server.stop()
      throw new Error(`${error instanceof Error ? error.message : error}\nIts log says:\n${log.slice(-LOG_SHOWN_CHARACTERS_MAX)}`, { cause: error })
    }
  } catch (error) {
    await installation.remove()
    throw error
  }
}

/** Resolves when it is ready. Its working directory is a new folder too, so that no .env has a say. */
export async function launch(
  { cores }: Ground,
  setup: Setup,
  { env, origin }: Installation,
  inside: { socketPath: string } | null = null,
): Promise<{ server: ServerProcess; folder: string }> {
  const folder = createServerFolder({})
  const args = [
    '--max-semi-space-size=16', // as `earthflow start` has it
    ...(setup.stages === null ? [] : preload('shorten.ts')),
    ...(inside === null ? [] : preload('inside.ts')),
    main,
    'start',
  ]
  const server = await startServer({
    name: 'earthflow',
    command: setup.isUnpinned ? process.execPath : 'taskset',
    args: setup.isUnpinned ? args : onCore(cores.server, process.execPath, args),
    env: {
      ...env,
      ...(setup.stages === null ? {} : { BENCH_STAGES: setup.stages.join(',') }),
      ...(inside === null ? {} : { BENCH_INSIDE: inside.socketPath }),
    },
    account: {},
    folder,
    stopSignal: 'TERM',
    ready: () => answers(`${origin}/health/ready`),
  })
  return { server, folder }
}
