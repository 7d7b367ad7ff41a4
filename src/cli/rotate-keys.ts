/** `earthflow rotate-keys`: successors for API keys through the API, and rotation of master keys and data keys on the database itself. */
import { parseArgs } from 'node:util'
import { type Api, ApiRefused, ApiUnreachable } from './api.ts'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { rotateApiKeys, Unwritten } from './rotate-api-keys.ts'
import type { SecretFile } from './secret-file.ts'

export const ROTATE_USAGE = `earthflow rotate-keys [--tenant-id ID] [--revoke-after SECONDS] [--output FILE] [--dry-run]
  gives each active API key a successor with the same rights; asks a running Earthflow, with EARTHFLOW_ADMIN_API_KEY

  --tenant-id ID            only the keys of this tenant (t_…)
  --revoke-after SECONDS    how long the old keys still work: 0 to 604800; 3600 unless said
  --output FILE             where the new keys go, as JSON lines: a file that is not there yet, made for you alone (0600).
                            Without it they are shown once, on a terminal; where there is none nothing is rotated
  --dry-run                 says what would be done, and does nothing; so it does below

earthflow rotate-keys --rotate-master --new-key-file FILE [--dry-run]
  wraps every data key under a new master key too; on the database of the settings, beside whatever runs. Again it goes on

  --new-key-file FILE       the new master key; - reads standard input
  --new-key KEY             the same in the command, where other users of this machine may see it

earthflow rotate-keys --retire-old [--dry-run]
  takes away what other master keys than the first of EARTHFLOW_MASTER_KEY open; refuses while a process or a data key needs them

earthflow rotate-keys --data-keys [--dry-run]
  replaces data keys older than an hour, seals every stored secret again, and deletes what was replaced before and is not needed; for a scheduled job
`

export const ROTATE_EXIT = EXIT

/** What works on the database itself. */
export interface Rotation {
  rotateMaster(
    how: DryRun,
  ): Promise<{ masterKey: string; wrapped: number; dataKeys: number; lacking: number; old: Readonly<Record<string, number>>; tooOld: readonly string[] }>
  retireOld(how: DryRun): Promise<{ masterKey: string; dataKeys: number; old: Readonly<Record<string, number>>; refused: readonly string[] }>
  rotateDataKeys(how: DryRun): Promise<{ made: number; resealed: number; unopened: number; deleted: number }>
  close(): Promise<void>
}
interface DryRun {
  isDryRun: boolean
}

export interface RotateParts {
  /** Whether standard output is read by a person. */
  isTerminal: boolean
  /** Throws a sentence. */
  createFile(path: string): Promise<SecretFile>
  api(): Api
  /** `newKey`: the master key that shall be the current one; null: the first of the settings. */
  open(newKey: string | null): Promise<Rotation>
  /** For what `open` and the rotation throw. */
  sentenceFor(error: unknown): string
}

export type Asked = { isDryRun: boolean } & (
  | { what: 'keys'; tenantId: string | undefined; endAfterSeconds: number; output: string | undefined }
  | { what: 'master'; key: string | undefined; file: string | undefined }
  | { what: 'retire' | 'data-keys' }
)

/** Returns the exit code. */
export async function rotateKeys(args: readonly string[], terminal: Terminal, parts: RotateParts): Promise<number> {
  const asked = readArguments(args)
  if (asked === null) {
    terminal.error(ROTATE_USAGE)
    return ROTATE_EXIT.usage
  }
  if (asked === 'help') {
    terminal.out(ROTATE_USAGE)
    return ROTATE_EXIT.done
  }
  try {
    if (asked.what === 'keys') return (await rotateApiKeys(asked, terminal, parts)) ? ROTATE_EXIT.done : ROTATE_EXIT.failed
    const newKey = asked.what === 'master' ? (asked.key ?? (await readKey(asked.file ?? '-', terminal))) : null
    const rotation = await parts.open(newKey)
    try {
      const isDone = await steps[asked.what](rotation, terminal, asked.isDryRun)
      if (asked.isDryRun) terminal.out('nothing was changed: this was a dry run\n')
      return isDone ? ROTATE_EXIT.done : ROTATE_EXIT.failed
    } finally {
      await rotation.close()
    }
  } catch (error) {
    const isOurs = error instanceof ApiRefused || error instanceof ApiUnreachable || error instanceof Unwritten || error instanceof Unreadable
    terminal.error(`${isOurs ? error.message : parts.sentenceFor(error)}\n`)
    return ROTATE_EXIT.failed
  }
}

class Unreadable extends Error {}

async function readKey(path: string, terminal: Terminal): Promise<string> {
  try {
    return await terminal.read(path)
  } catch (error) {
    throw new Unreadable(`${path} cannot be read${error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''}.`)
  }
}

type Step = (rotation: Rotation, terminal: Terminal, isDryRun: boolean) => Promise<boolean>

const steps: Readonly<Record<Exclude<Asked['what'], 'keys'>, Step>> = {
  async master(rotation, terminal, isDryRun) {
    const { masterKey, wrapped, dataKeys, lacking, old, tooOld } = await rotation.rotateMaster({ isDryRun })
    const others = Object.keys(old).join(', ')
    terminal.out(`master key ${masterKey}: ${dataKeys} data keys, ${wrapped} wrapped now, ${lacking} ${isDryRun ? 'would be wrapped' : 'lack it'}\n`)
    for (const reason of tooOld) terminal.error(`${reason}\n`)
    if (tooOld.length > 0) terminal.error('Then run it again: it says what comes next.\n')
    if (isDryRun || lacking > 0 || tooOld.length > 0) return isDryRun
    terminal.out(`\nNext:
  1. Put the new key first in EARTHFLOW_MASTER_KEY, the old one after it: NEW,OLD. Restart every process, one after the other.
  2. With that setting: earthflow rotate-keys --retire-old${others === '' ? '' : ` (of ${others})`}
  3. Leave NEW alone in EARTHFLOW_MASTER_KEY, and restart every process again.
  4. Keep the old key for as long as there are backups that it opens, then destroy it.
`)
    return true
  },

  async retire(rotation, terminal, isDryRun) {
    const { masterKey, dataKeys, old, refused } = await rotation.retireOld({ isDryRun })
    for (const reason of refused) terminal.error(`${reason}\n`)
    if (refused.length > 0) {
      terminal.error('Nothing was retired.\n')
      return false
    }
    const others = Object.entries(old).map(([id, count]) => `master key ${id} ${isDryRun ? 'would open' : 'opens'} none of ${count} data keys any more\n`)
    terminal.out(others.length === 0 ? 'nothing to retire\n' : others.join(''))
    terminal.out(`master key ${masterKey} opens all ${dataKeys} data keys\n`)
    return true
  },

  async 'data-keys'(rotation, terminal, isDryRun) {
    const { made, resealed, unopened, deleted } = await rotation.rotateDataKeys({ isDryRun })
    const would = isDryRun ? ' would be' : ''
    terminal.out(`${made} data keys${would} replaced, ${resealed} secrets${would} sealed again, ${deleted} old data keys${would} deleted\n`)
    if (unopened > 0) terminal.error(`${unopened} stored secrets cannot be opened, and stay as they are; set them again.\n`)
    return unopened === 0
  },
}

const END_AFTER_SECONDS = 3_600
const END_AFTER_SECONDS_MAX = 604_800

const options = {
  'tenant-id': { type: 'string' },
  'revoke-after': { type: 'string' },
  output: { type: 'string' },
  'dry-run': { type: 'boolean' },
  'rotate-master': { type: 'boolean' },
  'new-key': { type: 'string' },
  'new-key-file': { type: 'string' },
  'retire-old': { type: 'boolean' },
  'data-keys': { type: 'boolean' },
  help: { type: 'boolean' },
} as const

/** Null where the arguments make no sense. */
function readArguments(args: readonly string[]): Asked | 'help' | null {
  const values = parse(args)
  if (values === null) return null
  const { help, 'dry-run': isDryRun = false, 'rotate-master': master, 'retire-old': retire, 'data-keys': data, ...rest } = values
  const { 'new-key': key, 'new-key-file': file, 'tenant-id': tenantId, 'revoke-after': after, output } = rest
  if (help) return 'help'
  const modes = [master, retire, data].filter(Boolean).length
  if (modes > 1) return null
  if (modes === 1 && (tenantId !== undefined || after !== undefined || output !== undefined)) return null
  if (master) return (key === undefined) === (file === undefined) || key === '' || file === '' ? null : { what: 'master', key, file, isDryRun }
  if (key !== undefined || file !== undefined) return null
  if (retire) return { what: 'retire', isDryRun }
  if (data) return { what: 'data-keys', isDryRun }
  const endAfterSeconds = after === undefined ? END_AFTER_SECONDS : /^\d{1,6}$/.test(after) ? Number(after) : Number.NaN
  if (!(endAfterSeconds <= END_AFTER_SECONDS_MAX)) return null
  if (tenantId !== undefined && !/^t_[0-9a-z]+$/.test(tenantId)) return null
  if (output === '' || (isDryRun && output !== undefined)) return null
  return { what: 'keys', tenantId, endAfterSeconds, output, isDryRun }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options }).values
  } catch {
    return null
  }
}
