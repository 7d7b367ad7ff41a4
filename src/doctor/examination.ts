/** The production checklist of a running Earthflow: on the settings it runs with, and with the database it has open. */
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import type { Config, Environment } from '../config.ts'
import type { Database } from '../db/connect.ts'
import { createLookup } from '../egress/lookup.ts'
import { checks } from './checks.ts'
import { volumeOf } from './volume.ts'
import { type Told, walkDatabase, walkWithout } from './walk.ts'

export interface Examination {
  checks: { name: string; about: string }[]
  findings: Told[]
}

export interface ExaminedParts {
  config: Config
  /** The environment of the process, and the text of its `.env`; null where there is none. */
  environment: Environment
  dotenv: string | null
  database: Database
}

/** One examination at a time: whoever asks while one is made is told what it finds. Changes nothing. */
export function createExamination({ config, environment, dotenv, database }: ExaminedParts): () => Promise<Examination> {
  const lookup = createLookup()
  let present: Promise<Examination> | null = null
  return () => {
    present ??= examine().finally(() => {
      present = null
    })
    return present
  }

  async function examine(): Promise<Examination> {
    const context = {
      config,
      given: { ...(dotenv === null ? {} : parseEnv(dotenv)), ...environment },
      dotenv: dotenv === null ? null : { path: resolve('.env'), text: dotenv },
      volumeOf,
      lookup,
      nodeVersion: process.version,
      now: Date.now,
    }
    const findings = [...(await walkWithout(context)), ...(await walkDatabase(database, context))]
    return { checks: checks.map(({ name, about }) => ({ name, about })), findings }
  }
}
