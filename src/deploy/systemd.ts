/** Earthflow as services of systemd. Each version is a folder below `releases`; the link `current` says which one runs. Backups are units too: they have the secrets. */
import { existsSync } from 'node:fs'
import { readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseEnv } from 'node:util'
import { BadUsage, Told } from '../cli/told.ts'
import { andBack, createRunner, type Driver, isBackup, MS_MAX, type Surroundings } from './driver.ts'

export interface SystemdOptions {
  /** With `releases` and `current`. */
  dir: string
  unit: string
  /** The settings, as the unit is given them. */
  envFile: string
  backupsDir: string
}

const JOURNAL_LINES = '40'

export function systemdDriver({ dir, unit, envFile, backupsDir }: SystemdOptions, surroundings: Surroundings): Driver {
  const run = createRunner(dir, surroundings)
  const link = join(dir, 'current')
  const systemctl = (verb: string, name = unit, { msMax = MS_MAX.change as number, isReturn = false } = {}): Promise<string> =>
    run(['systemctl', verb, name], msMax, { isReturn })
  const isRunning = async (): Promise<boolean> => (await run(['systemctl', 'show', '--property=ActiveState', '--value', unit], MS_MAX.ask)).trim() === 'active'

  async function backups(): Promise<string[]> {
    const names = await readdir(backupsDir).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? [] : Promise.reject(error)))
    return names.filter(isBackup).sort()
  }

  /** One process alone can open it, also to copy it. */
  async function isEmbedded(): Promise<boolean> {
    const text = await readFile(envFile, 'utf8').catch(() => {
      throw new Told(`${envFile} cannot be read: say with --env-file where the settings are.`)
    })
    const given = parseEnv(text)
    return !['DATABASE_URL', 'DATABASE_URL_FILE', 'POSTGRES_HOST'].some((name) => given[name])
  }

  return {
    dir,
    check: async () => void (await run(['systemctl', '--version'], MS_MAX.ask)),
    isRunning,
    current: () =>
      readlink(link).then(
        (target) => basename(target),
        () => null,
      ),
    async up(version) {
      const release = join(dir, 'releases', version)
      if (!existsSync(join(release, 'package.json')))
        throw new Told(`There is no version ${version} in ${join(dir, 'releases')}: unpack it there, and run npm ci --ignore-scripts --omit=dev in it.`)
      // A link cannot be changed, but replaced at once.
      const fresh = `${link}.new`
      await rm(fresh, { force: true })
      await symlink(join('releases', version), fresh)
      await rename(fresh, link)
      await systemctl('restart')
    },
    stop: async () => void (await systemctl('stop')),
    status: () => run(['systemctl', 'show', '--property=Id,ActiveState,SubState,MainPID,NRestarts,ActiveEnterTimestamp', unit], MS_MAX.ask),
    async logs({ isFollowed, lines }) {
      await run(['journalctl', '--no-pager', '--lines', String(lines), ...(isFollowed ? ['--follow'] : []), '--unit', unit], MS_MAX.logs, { isShown: true })
    },
    backups,
    async backup() {
      const known = await backups()
      const stops = (await isEmbedded()) && (await isRunning())
      const copy = (): Promise<string> => systemctl('start', `${unit}-backup`, { msMax: MS_MAX.backup })
      if (!stops) await copy()
      else
        await andBack(
          async () => {
            await systemctl('stop')
            await copy()
          },
          async (isDone) => {
            // Whoever waits for a unit may leave, and it goes on.
            if (!isDone) await systemctl('stop', `${unit}-backup`, { isReturn: true })
            await systemctl('start', unit, { isReturn: true })
          },
        )
      const made = (await backups()).filter((name) => !known.includes(name)).at(-1)
      if (made === undefined) throw new Told(`${unit}-backup ended, and there is no new backup in ${backupsDir}: see journalctl --unit ${unit}-backup.`)
      return made
    },
    async restore(_version, name, { isForced }) {
      if (!isForced) throw new BadUsage('What is there is moved aside, and nothing of it is deleted: say --force.')
      const restoring = `${unit}-restore@${name}.service`
      await andBack(
        async () => {
          await systemctl('stop')
          await systemctl('start', restoring, { msMax: MS_MAX.backup })
        },
        async (isDone) => {
          // One that failed, or ends in the middle, has changed nothing.
          if (!isDone) await systemctl('stop', restoring, { isReturn: true })
          await systemctl('start', unit, { isReturn: true })
        },
      )
      return run(['journalctl', '--no-pager', '--lines', JOURNAL_LINES, '--output', 'cat', '--unit', restoring], MS_MAX.ask)
    },
  }
}
