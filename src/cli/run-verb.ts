/** What all verbs have in common: arguments, and how they end. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { BadUsage, sentenceFor } from './told.ts'

export const text = { type: 'string' } as const
export const texts = { type: 'string', multiple: true } as const
export const flag = { type: 'boolean' } as const

/** Options, and words without a dash. Throws BadUsage. */
export function readArguments<Options extends ParseArgsOptionsConfig>(args: readonly string[], options: Options) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    return { values, words: positionals }
  } catch (error) {
    throw new BadUsage(error instanceof Error ? error.message : 'The arguments are not understood.')
  }
}

/** Throws BadUsage where there are words that nobody asked for. */
export function refuseWords(words: readonly string[]): void {
  if (words.length > 0) throw new BadUsage(`There is no place for ${JSON.stringify(words[0])}.`)
}

/** The id of a tenant as it was given. Throws BadUsage. */
export function tenantId(word: string | undefined): string {
  if (word !== undefined && /^t_[0-9a-z]+$/.test(word)) return word
  throw new BadUsage('Name the tenant by its id (t_…); `earthflow tenants list` tells it.')
}

/** A whole number within bounds. Throws BadUsage. */
export function wholeNumber(name: string, word: string | undefined, { least, most, otherwise }: { least: number; most: number; otherwise: number }): number {
  if (word === undefined) return otherwise
  const number = /^\d{1,9}$/.test(word) ? Number(word) : Number.NaN
  if (number >= least && number <= most) return number
  throw new BadUsage(`--${name} must be a whole number from ${least} to ${most}.`)
}

export interface VerbOptions {
  usage: string
  terminal: Pick<Terminal, 'error'>
  /** For errors that the verbs do not know. */
  sentence?: (error: unknown) => string | null
}

/** The exit code of what `work` did; what it throws is said. Throws only what is a mistake of ours. */
export async function runVerb({ usage, terminal, sentence = () => null }: VerbOptions, work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BadUsage) {
      terminal.error(`${error.message}\n\n${usage}`)
      return EXIT.usage
    }
    const said = sentenceFor(error) ?? sentence(error)
    if (said === null) throw error
    terminal.error(`${said}\n`)
    return EXIT.failed
  }
}

/** Lines of which the cells stand below each other. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), [])
  return rows.map((row) => `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  ')}\n`).join('')
}

export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
