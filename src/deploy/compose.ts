/** Earthflow in containers of Docker Compose. Which version runs is one variable of its file, EARTHFLOW_VERSION. */
import { chown, mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Told } from '../cli/told.ts'
import { andBack, createRunner, type Driver, isBackup, MS_MAX, type Surroundings } from './driver.ts'

export interface ComposeOptions {
  /** With the compose file and .env. */
  dir: string
  file: string
  /** On this machine; the service `tools` has it as /backups. */
  backupsDir: string
  /** How many proxies; null: as the file says. */
  scale: number | null
}

/** What takes calls or shows pages. The database stays up where these stop. */
const SERVING = ['proxy', 'dashboard'] as const
const CONTAINER_USER = 1000

export function composeDriver({ dir, file, backupsDir, scale }: ComposeOptions, surroundings: Surroundings): Driver {
  const run = createRunner(dir, surroundings)
  const compose = (args: readonly string[], msMax: number, { version, ...how }: { version?: string; isShown?: boolean; isReturn?: boolean } = {}) =>
    run(['docker', 'compose', '--file', file, ...args], msMax, { ...how, ...(version === undefined ? {} : { more: { EARTHFLOW_VERSION: version } }) })
  const tools = (version: string, args: readonly string[]): Promise<string> => compose(['run', '--rm', '-T', 'tools', ...args], MS_MAX.backup, { version })
  const up = (version: string, isReturn = false): Promise<string> =>
    compose(['up', '--detach', '--remove-orphans', ...(scale === null ? [] : ['--scale', `proxy=${scale}`])], MS_MAX.change, { version, isReturn })

  async function backups(): Promise<string[]> {
    const names = await readdir(backupsDir).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? [] : Promise.reject(error)))
    return names.filter(isBackup).sort()
  }

  return {
    dir,
    async check() {
      await run(['docker', 'compose', 'version'], MS_MAX.ask)
      await compose(['config', '--quiet'], MS_MAX.ask)
    },
    isRunning: async () => (await compose(['ps', '--status', 'running', '--quiet', 'proxy'], MS_MAX.ask)).trim() !== '',
    current: async () => null,
    async up(version, { isBuilt }) {
      if (isBuilt) await compose(['--profile', 'tools', 'build'], MS_MAX.change, { version })
      await up(version)
    },
    stop: async () => void (await compose(['stop'], MS_MAX.change)),
    status: () => compose(['ps', '--all'], MS_MAX.ask),
    logs: async ({ isFollowed, lines }) =>
      void (await compose(['logs', '--no-color', '--tail', String(lines), ...(isFollowed ? ['--follow'] : []), ...SERVING], MS_MAX.logs, { isShown: true })),
    backups,
    async backup(version, keep) {
      // The container's user writes there.
      if ((await mkdir(backupsDir, { recursive: true, mode: 0o700 })) !== undefined && process.getuid?.() === 0)
        await chown(backupsDir, CONTAINER_USER, CONTAINER_USER)
      const said = await tools(version, ['backup', '--output', '/backups', '--keep', String(keep), '--json'])
      return nameIn(said)
    },
    async restore(version, name, { isForced }) {
      return andBack(
        async () => {
          await compose(['stop', ...SERVING], MS_MAX.change)
          return tools(version, ['restore', join('/backups', name), ...(isForced ? ['--force'] : [])])
        },
        // One that failed has changed nothing.
        () => up(version, true),
      )
    },
  }
}

/** From what `backup --json` prints. Throws Told. */
export function nameIn(said: string): string {
  try {
    const { path } = JSON.parse(said.slice(said.indexOf('{'))) as { path?: unknown }
    if (typeof path === 'string') return basename(path)
  } catch {
    // said below
  }
  throw new Told('The backup did not say where it is: it cannot be counted on.')
}
