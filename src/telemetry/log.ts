/** JSON lines for operators. No level holds text of a call or a secret: what is logged is named field by field. */
import { type DestinationStream, type Logger, pino, symbols } from 'pino'
import { createScrub } from './scrub.ts'

export type Log = Logger

/**
 * One line: timestamp, level, logger, message, and what the caller names. What looks like a secret, or is one of these `secrets` of the installation, is
 * taken out of every line before it is written.
 */
export function createLog(level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR', destination?: DestinationStream, secrets: readonly string[] = []): Log {
  return pino(
    {
      level: level.toLowerCase(),
      base: null,
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${isoTime(Date.now())}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
      hooks: { streamWrite: createScrub(secrets) },
      // A belt beside the braces: nothing with these names is ever passed on purpose.
      redact: [
        'authorization',
        '*.authorization',
        'api_key',
        '*.api_key',
        'credential',
        '*.credential',
        'password',
        '*.password',
        'secret',
        '*.secret',
        'token',
        '*.token',
      ],
    },
    ...(destination ? [destination] : []),
  )
}

/** What is known to hold no secret, of names that come again and again. */
const CLEAN_MAX = 1_000

/**
 * The same log for lines that are written often: in one go, where pino looks at each field, and puts the line together in small pieces. Their fields are named
 * one by one, and none by a name that is redacted. Of these `foreign` ones somebody else may have written the text, so that they are looked at for secrets;
 * all others are ids, numbers and words of ours.
 */
export function createFrequentLog(log: Log, logger: string, foreign: readonly string[]): Log {
  const lines = log.child({ logger }, { redact: [] })
  const bindings = Reflect.get(lines, symbols.chindingsSym) as string
  const hooks = Reflect.get(lines, symbols.hooksSym) as { streamWrite: (line: string) => string }
  const begins = Object.entries(log.levels.labels).map(([level, label]) => [Number(level), `{"level":"${label.toUpperCase()}"`] as const)
  const beginOf: ReadonlyMap<number, string> = new Map(begins)
  const clean = new Set<string>()
  const isClean = (value: unknown): boolean => {
    if (value === undefined || (typeof value === 'string' && clean.has(value))) return true
    const said = JSON.stringify({ value })
    if (hooks.streamWrite(said) !== said) return false
    if (typeof value === 'string' && clean.size < CLEAN_MAX) clean.add(value)
    return true
  }
  const write = (fields: Readonly<Record<string, unknown>>, message: string, level: number, time: string): string => {
    const said = JSON.stringify(fields).slice(1, -1)
    const line = `${beginOf.get(level)}${time}${bindings}${said === '' ? '' : `,${said}`},"message":${JSON.stringify(message)}}\n`
    for (const name of foreign) if (!isClean(fields[name])) return hooks.streamWrite(line)
    return line
  }
  return Object.assign(lines, { [symbols.asJsonSym]: write, [symbols.hooksSym]: { ...hooks, streamWrite: undefined } })
}

const SECOND = 1_000
let second = Number.NaN
let begun = ''
/** As `toISOString` has it, of which most is the same for a whole second. */
function isoTime(at: number): string {
  const now = Math.floor(at / SECOND)
  if (now !== second) {
    second = now
    begun = new Date(now * SECOND).toISOString().slice(0, -'000Z'.length)
  }
  return `${begun}${String(at % SECOND).padStart(3, '0')}Z`
}

const FRAMES_MAX = 12
const CAUSES_MAX = 4
/** What names and codes of errors look like; anything else may be text of a call. */
const WORD = /^[\w.:-]{1,64}$/

/**
 * What may be said about an error: its kind, its code, and where it was thrown. Messages are left out, because parsers and database drivers quote
 * what they were given in them.
 */
export function describeError(error: unknown): Record<string, unknown> {
  const kinds: string[] = []
  let code: string | undefined
  let frames: string[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < CAUSES_MAX; at = at.cause, depth++) {
    const kind = at.name === 'Error' ? at.constructor.name : at.name
    kinds.push(WORD.test(kind) ? kind : 'Error')
    if ('code' in at && typeof at.code === 'string' && WORD.test(at.code)) code ??= at.code
    frames = framesOf(at)
  }
  return { error: kinds.join(' < ') || typeof error, ...(code === undefined ? {} : { code }), stack: frames }
}

/** The lines after the message, which a stack begins with and which may itself look like one. Of a message that was changed later nobody knows the end. */
function framesOf({ stack = '', message }: Error): string[] {
  const begins = stack.indexOf(message)
  if (begins < 0) return []
  const after = stack.slice(begins + message.length)
  const lines = after.split('\n').filter((line) => line.startsWith('    at '))
  return lines.slice(0, FRAMES_MAX).map((line) => line.trim())
}
