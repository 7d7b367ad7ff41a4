/** `earthflow deploy`: what an operator does with a deployed Earthflow, in containers or as services. */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Terminal } from '../cli/apply.ts'
import { EXIT } from '../cli/exits.ts'
import { flag, json, readArguments, refuseWords, runVerb, text, wholeNumber } from '../cli/run-verb.ts'
import { runChecks } from '../cli/smoke.ts'
import { checks } from '../cli/smoke-checks.ts'
import { createSmokeServer } from '../cli/smoke-server.ts'
import { BadUsage, Told } from '../cli/told.ts'
import { createWire } from '../cli/wire.ts'
import type { Environment } from '../config.ts'
import { lockDirectory } from '../db/lock.ts'
import { version as ownVersion } from '../version.ts'
import { composeDriver } from './compose.ts'
import type { Driver } from './driver.ts'
import { BACKUPS_KEPT, type RollOutParts, rollOut } from './roll-out.ts'
import { systemdDriver } from './systemd.ts'
import { isVersion, readVersions, type Versions } from './versions.ts'

export const DEPLOY_USAGE = `earthflow deploy deploy [--to VERSION] [--build] [--no-backup]   this version, or the one that is said
earthflow deploy update --to VERSION [--build] [--no-backup]     another version than the one that runs
earthflow deploy rollback [--no-backup]                          the version before it
earthflow deploy status [--json]
earthflow deploy logs [--follow] [--lines N]
earthflow deploy stop
earthflow deploy backup
earthflow deploy restore NAME [--force]                          of a backup that \`status\` names; what is there is moved aside with --force

  deploy, update and rollback make a backup first and keep the last ${BACKUPS_KEPT}, wait until Earthflow takes calls, run the smoke test where there is a key, and go back to
  the version before where it does not work. A rollback changes the program, never the data: a version that cannot read what a later one has migrated needs restore.

  --mode M          compose (unless said) or systemd
  --dir DIR         with the compose file and .env; of systemd, with releases/VERSION and the link current (/opt/earthflow unless said)
  --file FILE       the compose file; docker-compose.prod.yml unless said
  --scale N         how many proxies; as the compose file says, unless said
  --unit U          its service of systemd; earthflow unless said. U-backup and U-restore@NAME are services beside it
  --env-file FILE   its settings; /etc/earthflow/earthflow.env unless said
  --backups DIR     where backups are; backups below --dir, or /var/lib/earthflow-backups
  --url URL         where Earthflow answers then; https://localhost unless said, of systemd https://localhost:8443
  --ca FILE         an authority to trust beside those of the machine; on this machine itself certificates are not looked at
  --ready-seconds N how long it may take to become ready; 180 unless said
  --key-file FILE   a key of a tenant for the smoke test; without it there is none
  --model M         the model that the smoke test calls; sandbox unless said

Two at once are refused. Ends with 0 where it was done, else with 1.
`

export interface DeployParts {
  environment: Environment
  now: () => number
  signal: AbortSignal
}

const READY_SECONDS = { least: 1, most: 3_600, otherwise: 180 }
const LINES = { least: 1, most: 100_000, otherwise: 200 }
const SCALE = { least: 1, most: 1_000, otherwise: 1 }
const options = {
  to: text,
  build: flag,
  'no-backup': flag,
  json: flag,
  follow: flag,
  lines: text,
  force: flag,
  mode: text,
  dir: text,
  file: text,
  scale: text,
  unit: text,
  'env-file': text,
  backups: text,
  url: text,
  ca: text,
  'ready-seconds': text,
  'key-file': text,
  model: text,
} as const
type Values = ReturnType<typeof readArguments<typeof options>>['values']

interface Doing {
  driver: Driver
  versions: Versions
  values: Values
  words: readonly string[]
  terminal: Pick<Terminal, 'out' | 'error'>
  parts: DeployParts
}

/** Returns the exit code. */
export function deploy(args: readonly string[], terminal: Pick<Terminal, 'out' | 'error'>, parts: DeployParts): Promise<number> {
  const sentence = (error: unknown): string | null =>
    error instanceof Error && error.name === 'AbortError' ? 'It was interrupted: see `deploy status`.' : null
  return runVerb({ usage: DEPLOY_USAGE, terminal, sentence }, async () => {
    const { values, words } = readArguments(args, options)
    const [name = '', ...rest] = words
    if (!Object.hasOwn(verbs, name)) throw new BadUsage(`Say ${Object.keys(verbs).join(', ')}.`)
    if (name !== 'restore') refuseWords(rest)
    if (values.json && name !== 'status') throw new BadUsage('--json is for status.')
    const { isChange, run } = verbs[name]
    const driver = driverFor(values, parts)
    const release = isChange ? lock(driver.dir) : () => {}
    try {
      await driver.check()
      const versions = await versionsOf(driver)
      await run({ driver, versions, values, words: rest, terminal, parts })
      return EXIT.done
    } finally {
      release()
    }
  })
}

const verbs: Readonly<Record<string, { isChange: boolean; run(doing: Doing): Promise<void> }>> = {
  deploy: { isChange: true, run: (doing) => bring(wanted(doing) ?? ownVersion, doing) },
  update: {
    isChange: true,
    async run(doing) {
      const to = wanted(doing)
      if (to === null) throw new BadUsage('Say with --to which version.')
      if (doing.versions.current === null) throw new Told('Nothing was deployed from here yet: say deploy, not update.')
      await bring(to, doing)
    },
  },
  rollback: {
    isChange: true,
    async run(doing) {
      const { current, previous, next } = doing.versions
      const to = next === null ? previous : current
      if (to === null) throw new Told('No version before this one was deployed from here.')
      await bring(to, doing)
    },
  },
  status: { isChange: false, run: status },
  logs: {
    isChange: false,
    run: ({ driver, values }) => driver.logs({ isFollowed: values.follow === true, lines: wholeNumber('lines', values.lines, LINES) }),
  },
  stop: {
    isChange: true,
    async run({ driver, terminal }) {
      await driver.stop()
      terminal.out('stopped\n')
    },
  },
  backup: {
    isChange: true,
    async run({ driver, versions, terminal }) {
      terminal.out(`backup ${await driver.backup(versions.current ?? ownVersion, BACKUPS_KEPT)}\n`)
    },
  },
  restore: {
    isChange: true,
    async run({ driver, versions, values, words, terminal }) {
      const [name, ...more] = words
      refuseWords(more)
      const known = await driver.backups()
      if (name === undefined || !known.includes(name)) throw new BadUsage(`Say which backup: ${known.join(', ') || 'there is none'}.`)
      terminal.out(await driver.restore(versions.current ?? ownVersion, name, { isForced: values.force === true }))
    },
  },
}

/** What is begun and not known to work is not what is deployed, even where it runs. */
async function versionsOf(driver: Driver): Promise<Versions> {
  const written = await readVersions(driver.dir)
  const runs = await driver.current()
  return runs === null || runs === written.next ? written : { ...written, current: runs }
}

async function bring(version: string, doing: Doing): Promise<void> {
  const { driver, versions, values, terminal, parts } = doing
  const url = addressOf(values)
  const ca = values.ca === undefined ? null : await readFile(values.ca, 'utf8')
  const isUnverified = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)
  const key = values['key-file'] === undefined ? null : (await readFile(values['key-file'], 'utf8')).trim()
  const smoke = async (key: string): Promise<string[]> => {
    const done = await runChecks(createSmokeServer({ url, key, adminKey: null, ca, isUnverified, model: values.model ?? 'sandbox' }), checks)
    return done.filter(({ state }) => state === 'fail').map(({ check, why }) => `${check}: ${why}`)
  }
  const rollOutParts: RollOutParts = {
    driver,
    wire: createWire({ url, ca, isUnverified }),
    readyMsMax: wholeNumber('ready-seconds', values['ready-seconds'], READY_SECONDS) * 1_000,
    smoke: key === null ? null : () => smoke(key),
    backsUp: values['no-backup'] !== true,
    isBuilt: values.build === true,
    say: (sentence) => terminal.error(`${sentence}\n`),
    signal: parts.signal,
  }
  const { current } = await rollOut(version, versions, rollOutParts)
  terminal.out(`version ${current} is deployed\n`)
}

async function status({ driver, versions, values, terminal }: Doing): Promise<void> {
  const [state, backups, isRunning] = [await driver.status(), await driver.backups(), await driver.isRunning()]
  const last = backups.slice(-BACKUPS_KEPT)
  const begun = versions.next === null ? '' : `version ${versions.next} was begun, and not seen to work: deploy it again, or roll back\n`
  if (values.json) terminal.out(json({ ...versions, running: isRunning, backups: last, state }))
  else
    terminal.out(
      `version ${versions.current ?? 'unknown'}, before it ${versions.previous ?? 'none'}; ${isRunning ? 'running' : 'not running'}\n${begun}${state.trimEnd()}\nbackups: ${last.join(', ') || 'none'}\n`,
    )
}

function wanted({ values }: Doing): string | null {
  if (values.to !== undefined && !isVersion(values.to)) throw new BadUsage('--to must be a version, as an image or a folder is called.')
  return values.to ?? null
}

function addressOf({ mode, url = mode === 'systemd' ? 'https://localhost:8443' : 'https://localhost' }: Values): string {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new BadUsage('--url must be where Earthflow answers, such as https://localhost:8443.')
  return url
}

function driverFor(values: Values, { environment, signal }: DeployParts): Driver {
  const { mode = 'compose', file = 'docker-compose.prod.yml', backups } = values
  if (mode === 'compose') {
    const dir = resolve(values.dir ?? '.')
    const scale = values.scale === undefined ? null : wholeNumber('scale', values.scale, SCALE)
    return composeDriver({ dir, file, backupsDir: resolve(dir, backups ?? 'backups'), scale }, { environment, signal })
  }
  if (mode !== 'systemd') throw new BadUsage('--mode must be compose or systemd.')
  const { unit = 'earthflow', dir = '/opt/earthflow', 'env-file': envFile = '/etc/earthflow/earthflow.env' } = values
  if (!/^[\w.-]+$/.test(unit)) throw new BadUsage('--unit must be the name of a service, without .service.')
  return systemdDriver({ dir: resolve(dir), unit, envFile, backupsDir: resolve(backups ?? '/var/lib/earthflow-backups') }, { environment, signal })
}

function lock(dir: string): () => void {
  try {
    const held = lockDirectory(join(dir, '.earthflow-deploy'))
    return () => held.release()
  } catch (error) {
    if (!(error instanceof Error && 'holder' in error)) throw error
    const { pid, host } = error.holder as { pid: number; host: string }
    throw new Told(`Another deployment is under way (process ${pid} on ${host}): wait for its end.`)
  }
}
