/** `earthflow doctor`: walks the production checklist. */
import { join, resolve } from 'node:path'
import { parseArgs, parseEnv } from 'node:util'
import { type Config, ConfigError, type Environment, type Provide, readConfig, readOrNull } from '../config.ts'
import { createLookup } from '../egress/lookup.ts'
import type { Context, Finding } from './check.ts'
import { checks } from './checks.ts'
import { openDatabase } from './open-database.ts'
import { volumeOf } from './volume.ts'
import { askingDatabase, type Told, walkDatabase, walkWithout, withoutDatabase } from './walk.ts'

const NAME_CHARACTERS = Math.max(...checks.map(({ name }) => name.length))

export const USAGE = `earthflow doctor [--json]

  Looks at the settings, the files and the database of this installation, and tells what should not be so where real calls are made. Changes nothing.
  Exits with 0 where nothing was found, 1 where something was, 78 where the settings cannot be used.

  --json   prints the findings as JSON
  --help   prints this

What is looked at:
${checks.map(({ name, about }) => `  ${name.padEnd(NAME_CHARACTERS)}  ${about}\n`).join('')}`

export const exits = { clean: 0, findings: 1, usage: 64, settings: 78 } as const

export interface Surroundings {
  environment: Environment
  /** The text of `.env`; null where there is none. */
  dotenv: string | null
  out(text: string): void
  error(text: string): void
  now?: Context['now']
  volumeOf?: Context['volumeOf']
  lookup?: Context['lookup']
  nodeVersion?: string
}

/** `args`: what follows `doctor`. Returns the exit code. */
export async function doctor(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { out, error } = surroundings
  const options = readOptions(args)
  if (options === null) {
    error(`The arguments are not understood.\n\n${USAGE}`)
    return exits.usage
  }
  if (options.help) {
    out(USAGE)
    return exits.clean
  }
  const { made, found, code } = await examine(surroundings)
  out(options.json ? `${JSON.stringify({ checks: made, findings: found }, null, 2)}\n` : tell(made, found))
  return code
}

function readOptions(args: readonly string[]): { json?: boolean; help?: boolean } | null {
  try {
    const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean' }, help: { type: 'boolean' } } })
    return values
  } catch {
    return null
  }
}

interface Examined {
  /** How many checks were made. */
  made: number
  found: Told[]
  code: number
}

async function examine(surroundings: Surroundings): Promise<Examined> {
  const { environment, dotenv } = surroundings
  let config: Config
  try {
    config = readConfig(environment, { dotenv, provide: madeByFirstRun })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { made: 0, found: error.problems.map((sentence) => ({ level: 'fail', check: 'settings', sentence })), code: exits.settings }
  }
  const context: Context = {
    config,
    given: { ...(dotenv === null ? {} : parseEnv(dotenv)), ...environment },
    dotenv: dotenv === null ? null : { path: resolve('.env'), text: dotenv },
    volumeOf: surroundings.volumeOf ?? volumeOf,
    lookup: surroundings.lookup ?? createLookup(),
    nodeVersion: surroundings.nodeVersion ?? process.version,
    now: surroundings.now ?? Date.now,
  }
  // Before the database is opened: that sets the modes of an embedded one right.
  const found = await walkWithout(context)
  const opened = await openDatabase(config)
  if (opened.database === null) {
    const { level, sentence } = opened.finding
    found.push({ level, check: 'database', sentence: `${sentence} Not checked: ${askingDatabase.map(({ name }) => name).join(', ')}.` })
    return { made: withoutDatabase.length, found, code: exits.findings }
  }
  const { database } = opened
  try {
    found.push(...(await walkDatabase(database, context)))
  } finally {
    await database.close()
  }
  return { made: checks.length, found, code: found.length > 0 ? exits.findings : exits.clean }
}

/** What a development start made; nothing is made here. */
const madeByFirstRun: Provide = (name, dataDir) => {
  const made = parseEnv(readOrNull(join(dataDir, 'secrets')) ?? '')[name]
  if (made) return made
  throw new Error('nothing was started there yet')
}

function tell(made: number, found: readonly Told[]): string {
  const width = Math.max(0, ...found.map(({ check }) => check.length))
  const lines = found.map(({ level, check, sentence }) => `${level}  ${check.padEnd(width)}  ${sentence}\n`)
  const counted = (level: Finding['level'], noun: string): string => {
    const count = found.filter((one) => one.level === level).length
    return `${count} ${noun}${count === 1 ? '' : 's'}`
  }
  const sum = found.length === 0 ? 'nothing was found' : `${counted('fail', 'failure')}, ${counted('warn', 'warning')}`
  return `${lines.join('')}${made === 0 ? 'Without settings nothing else was looked at' : `${made} checks`}: ${sum}.\n`
}
