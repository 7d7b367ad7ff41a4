/** Verbs that ask a running Earthflow, run in this process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Api, createApi, type StreamingApi } from '../../src/cli/api.ts'
import type { Terminal } from '../../src/cli/apply.ts'
import { createSecretFile } from '../../src/cli/secret-file.ts'
import { ADMIN_KEY, type Flow } from '../harness/earthflow.ts'

export interface Ended {
  code: number
  out: string
  error: string
}

export const caOf = (flow: Flow): string => readFileSync(join(flow.dataDir, 'certs', 'ca.pem'), 'utf8')
export const apiOf = (flow: Flow, key = ADMIN_KEY): StreamingApi => createApi({ url: `https://localhost:${flow.port}`, key, ca: caOf(flow) })

/** A terminal that keeps what it is shown, and reads from `files`. */
export function keptTerminal(files: Readonly<Record<string, string>> = {}): { ended: Ended; terminal: Terminal } {
  const ended: Ended = { code: 0, out: '', error: '' }
  return {
    ended,
    terminal: { read: async (path) => files[path] ?? '', out: (text) => void (ended.out += text), error: (text) => void (ended.error += text) },
  }
}

export type SecretVerb = (
  args: readonly string[],
  terminal: Terminal,
  parts: { api(): Api; isTerminal: boolean; createFile: typeof createSecretFile },
) => Promise<number>

/** A verb that makes secrets. */
export const runSecretVerb =
  (flow: Flow, verb: SecretVerb) =>
  async (args: readonly string[], { isTerminal = true, key = ADMIN_KEY } = {}): Promise<Ended> => {
    const { ended, terminal } = keptTerminal()
    ended.code = await verb(args, terminal, { api: () => apiOf(flow, key), isTerminal, createFile: createSecretFile })
    return ended
  }
