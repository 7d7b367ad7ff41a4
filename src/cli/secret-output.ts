/** Where a secret goes that is shown once: to a person at a terminal, or into a new file for its owner alone. Never where it may be kept by accident. */
import type { Terminal } from './apply.ts'
import type { SecretFile } from './secret-file.ts'
import { BadUsage, Told } from './told.ts'

export interface SecretParts {
  /** Whether standard output is looked at, and not kept. */
  isTerminal: boolean
  createFile(path: string): Promise<SecretFile>
}

export interface SecretOutput {
  /** Whether it may stand among what is printed. */
  isShown: boolean
  /** Writes the secret of `subject` where it goes. Throws Told where it is lost. */
  tell(secret: string, subject: string): Promise<void>
  close(): Promise<void>
}

/** Before anything is made: a secret that cannot be written down would be lost. Throws BadUsage and Told. */
export async function openSecretOutput(
  what: string,
  output: string | undefined,
  terminal: Terminal,
  { isTerminal, createFile }: SecretParts,
): Promise<SecretOutput> {
  if (output === undefined) {
    if (!isTerminal) throw new BadUsage(`Standard output is no terminal, and ${what} is not written where it may be kept: say --output FILE.`)
    return { isShown: true, tell: async (secret) => terminal.out(`${what}, shown only now: ${secret}\n`), close: async () => {} }
  }
  const file = await createFile(output).catch((error: unknown) => Promise.reject(error instanceof Error ? new Told(error.message) : error))
  return {
    isShown: false,
    tell: (secret, subject) =>
      file.append(`${secret}\n`).catch((error: unknown) => {
        const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
        throw new Told(`${subject} was made, but ${what} could not be written to ${output}${code}, and nobody knows it: revoke it and issue another.`)
      }),
    close: () => file.close(),
  }
}
