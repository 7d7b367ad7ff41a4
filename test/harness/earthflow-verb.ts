/** Runs a verb of Earthflow as its users do. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Installation } from './process.ts'

const run = promisify(execFile)

export async function runVerb({ environment }: Pick<Installation, 'environment'>, args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'main.ts'), ...args], { env: environment, maxBuffer: 64 << 20 })
  return stdout.trim()
}

/** What `earthflow audit verify` says of an installation. Throws where it finds anything. */
export const verifyOnline = (installation: Pick<Installation, 'environment'>): Promise<string> => runVerb(installation, ['audit', 'verify'])
