/** What a check of the production checklist is. */
import type { Config, Environment } from '../config.ts'
import type { Database } from '../db/connect.ts'
import type { Lookup } from '../egress/lookup.ts'

export interface Finding {
  /** `fail`: somebody could misuse it, or something will break. `warn`: somebody should decide that it is meant to be so. */
  level: 'fail' | 'warn'
  /** What is so, and what to do. Never a secret. */
  sentence: string
}

export const fail = (sentence: string): Finding => ({ level: 'fail', sentence })
export const warn = (sentence: string): Finding => ({ level: 'warn', sentence })

/** What the checks look at beside the database. */
export interface Context {
  config: Config
  /** The environment, with what `.env` adds. */
  given: Environment
  /** Null where there is none. */
  dotenv: { path: string; text: string } | null
  volumeOf(path: string): Volume | null
  lookup: Lookup
  nodeVersion: string
  /** Milliseconds since 1970. */
  now(): number
}

/** The volume on which a path lies, or will lie. */
export interface Volume {
  /** `memory` is gone when the machine restarts, `container` when the container is replaced. */
  kind: 'disk' | 'memory' | 'container'
  freeBytes: number
}

type Findings = Finding[] | Promise<Finding[]>

export type Check = {
  name: string
  /** What is looked at. */
  about: string
} & ({ run(context: Context): Findings } | { ask(database: Database, context: Context): Findings })

const NAMED_MAX = 5

/** A few of them by name. */
export const named = (names: readonly string[]): string =>
  names.length <= NAMED_MAX ? names.join(', ') : `${names.slice(0, NAMED_MAX).join(', ')} and ${names.length - NAMED_MAX} more`

/** `1 tenant`, `2 tenants`. */
export const many = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
