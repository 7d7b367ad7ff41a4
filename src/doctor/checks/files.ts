/** Who may read what only Earthflow should. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { settings } from '../../settings.ts'
import { type Check, type Context, type Finding, fail, warn } from '../check.ts'

const GROUP = 0o070
const OTHERS = 0o007

export const fileChecks: readonly Check[] = [
  {
    name: 'files',
    about: 'folders, keys and secrets are open to nobody but the user that runs Earthflow',
    run: (context) => [...foldersOf(context).flatMap((path) => openFolder(path)), ...secretFilesOf(context).flatMap((path) => openFile(path))],
  },
]

const foldersOf = ({ config }: Context): string[] => [
  ...new Set([config.dataDir, join(config.dataDir, 'database'), join(config.dataDir, 'certs'), config.audit.spoolDir]),
]

const secretNames = Object.entries(settings).flatMap(([name, row]) => ('secret' in row ? [name] : []))

/** Every file with a secret in it that the settings name or the first run made. */
function secretFilesOf({ config, given, dotenv }: Context): string[] {
  const named = secretNames.flatMap((name) => given[`${name}_FILE`] || [])
  const holdsSecrets = dotenv !== null && secretNames.some((name) => new RegExp(`^\\s*(?:export\\s+)?${name}\\s*=\\s*\\S`, 'm').test(dotenv.text))
  const certs = join(config.dataDir, 'certs')
  const made = [
    join(config.dataDir, 'secrets'),
    join(config.dataDir, 'demo'),
    join(config.dataDir, 'owner'),
    ...namesIn(certs).flatMap((name) => (name === 'ca.pem' ? [] : join(certs, name))),
  ]
  return [...new Set([...made, ...named, ...(config.tls.keyPath === null ? [] : [config.tls.keyPath]), ...(holdsSecrets ? [dotenv.path] : [])])]
}

function openFolder(path: string): Finding[] {
  const who = whoElse(path, GROUP, OTHERS)
  if (typeof who === 'object') return who === null ? [] : [who]
  return [fail(`The folder ${path} is open to ${who}: chmod 700 ${path}.`)]
}

/** A secret that an orchestrator mounts for a group is common, and somebody's decision. */
function openFile(path: string): Finding[] {
  const who = whoElse(path, GROUP & 0o444, OTHERS & 0o444)
  if (typeof who === 'object') return who === null ? [] : [who]
  const sentence = `${path} can be read by ${who}: chmod 600 ${path}.`
  return [who === 'everybody' ? fail(sentence) : warn(sentence)]
}

/** A finding where the path cannot be looked at; null where nothing is there, or nobody else may. */
function whoElse(path: string, group: number, others: number): 'everybody' | 'its group' | Finding | null {
  let mode: number | undefined
  try {
    mode = statSync(path, { throwIfNoEntry: false })?.mode
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return warn(`${path} cannot be looked at (${code}): see where it leads, and that this user may.`)
  }
  if (mode === undefined) return null
  return mode & others ? 'everybody' : mode & group ? 'its group' : null
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
