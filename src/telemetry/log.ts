/** JSON lines for operators. No level holds text of a call or a secret: what is logged is named field by field. */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'

export type Log = Logger

/** One line: timestamp, level, logger, message, and what the caller names. */
export function createLog(level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR', destination?: DestinationStream): Log {
  return pino(
    {
      level: level.toLowerCase(),
      base: null,
      messageKey: 'message',
      timestamp: () => `,"timestamp":${stdTimeFunctions.isoTime().slice(',"time":'.length)}`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
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

const FRAMES_MAX = 12
const CAUSES_MAX = 4

/**
 * What may be said about an error: its kind, its code, and where it was thrown. Messages are left out, because parsers and database drivers quote
 * what they were given in them.
 */
export function describeError(error: unknown): Record<string, unknown> {
  const kinds: string[] = []
  let code: string | undefined
  let frames: string[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < CAUSES_MAX; at = at.cause, depth++) {
    kinds.push(at.name === 'Error' ? at.constructor.name : at.name)
    if ('code' in at && typeof at.code === 'string') code ??= at.code
    frames = framesOf(at)
  }
  return { error: kinds.join(' < ') || typeof error, ...(code === undefined ? {} : { code }), stack: frames }
}

/** The lines after the message, which a stack begins with and which may itself look like one. */
function framesOf({ stack = '', message }: Error): string[] {
  const after = stack.slice(stack.indexOf(message) + message.length)
  const lines = after.split('\n').filter((line) => line.startsWith('    at '))
  return lines.slice(0, FRAMES_MAX).map((line) => line.trim())
}
