/** What Earthflow says of the whole environment that a deployment gives it: settings that are right one by one may still contradict each other. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type Config, readConfig } from '../../src/config.ts'
import { canaryMasterKey, canarySecret } from '../harness/canary-word.ts'

const contents: Readonly<Record<string, () => string>> = { 'master-key': canaryMasterKey, 'admin-api-key': () => canarySecret('admin-key-') }

/** The configuration that comes of it, with files of our own in place of those it names. `${NAME:-default}` is the default. Throws ConfigError. */
export function wholeConfig(environment: Readonly<Record<string, string>>): Config {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-config-'))
  try {
    const given = Object.entries(environment).map(([name, value]) => {
      const text = value.replace(/^\$\{\w+:-([^}]*)\}$/, '$1')
      if (!/^\/(?:run\/secrets|etc\/earthflow)\//.test(text)) return [name, text]
      const path = join(folder, basename(text))
      writeFileSync(path, (contents[basename(text)] ?? (() => canarySecret('password-')))())
      return [name, path]
    })
    const unprovided = (): never => {
      throw new Error('nothing is made here')
    }
    return readConfig(Object.fromEntries(given) as Record<string, string>, { dotenv: null, provide: unprovided })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
