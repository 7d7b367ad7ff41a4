/** Runs `migrate-logs` in this process, in a folder of its own, with what it says. */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { StoreConfig } from '../../src/config.ts'
import { migrateLogs, type Surroundings } from '../../src/migrate-logs/migrate-logs.ts'

export const NOW = Date.UTC(2026, 10, 20, 12)

export interface Ended {
  code: number
  out: string
  error: string
}

const settings: StoreConfig = { dataDir: '.earthflow', masterKeys: [], database: { kind: 'embedded' }, hashPrompts: true, hashMode: 'sha256' }

export function createFolder() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'earthflow-migrate-')))
  const path = (name: string): string => join(folder, name)
  return {
    folder,
    path,
    read: (name: string): string => readFileSync(path(name), 'utf8'),
    write: (name: string, text: string | Uint8Array): void => writeFileSync(path(name), text),
    names: (): string[] => readdirSync(folder).sort(),
    remove: (): void => rmSync(folder, { recursive: true, force: true }),
    async run(
      args: readonly string[],
      more: Partial<Omit<Surroundings, 'settings'>> & { settings?: Partial<StoreConfig>; stdin?: Readable } = {},
    ): Promise<Ended> {
      const ended: Ended = { code: 0, out: '', error: '' }
      ended.code = await migrateLogs(args, {
        stdin: Readable.from([]),
        out: (text) => void (ended.out += text),
        screen: { write: (text) => void (ended.error += text), isTerminal: false },
        now: () => NOW,
        signal: new AbortController().signal,
        openStore: () => Promise.reject(new Error('No database is opened in this test.')),
        ...more,
        settings: () => ({ ...settings, ...more.settings }),
      })
      return ended
    },
  }
}
