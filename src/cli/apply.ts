/** `earthflow apply`: makes what is be what a file says, and says what that changes. Applying it again changes nothing. */
import { parseArgs } from 'node:util'
import type { Api } from './api.ts'
import { ApiRefused, ApiUnreachable } from './api.ts'
import { EXIT } from './exits.ts'
import { createPlanner, guarded, type Plan } from './plan.ts'
import { BadFile, readPolicyFile } from './policy-file.ts'

export const APPLY_USAGE = `earthflow apply -f FILE [--dry-run] [--exit-code] [--credentials]

  -f, --file FILE   what shall be, as YAML; - reads standard input
  --dry-run         says what would change, and changes nothing
  --exit-code       with --dry-run: ends with 2 where something would change
  --credentials     sends the upstreams' credentials again, which cannot be compared
`

export interface Terminal {
  /** The file's text; '-' is standard input. Throws where it cannot be read or is too long. */
  read(path: string): Promise<string>
  out(text: string): void
  error(text: string): void
}

/** Plans everything before anything is changed, so that a mistake in the last line of a file changes nothing. Returns the exit code. */
export async function apply(
  args: readonly string[],
  terminal: Terminal,
  { api, secret }: { api: Api; secret(name: string): string | undefined },
): Promise<number> {
  const asked = readArguments(args)
  if (asked === null) {
    terminal.error(APPLY_USAGE)
    return EXIT.usage
  }
  const { file, dryRun, exitCode, credentials } = asked
  const name = file === '-' ? 'standard input' : file
  try {
    const plan = createPlanner({ api, secret, credentials })
    const plans: Plan[] = []
    for (const document of readPolicyFile(await terminal.read(file))) {
      const planned = await plan(document)
      // The plans stand side by side: the second would be made for what the first changes.
      if (plans.some(({ tenant }) => tenant === planned.tenant))
        throw new BadFile(document.lineOf('tenant'), 'tenant: An earlier document speaks of the same one; say everything of it there.')
      plans.push(planned)
    }
    const different = plans.filter(({ differences }) => differences.length > 0)
    for (const { title, differences } of different) terminal.out(`${title}\n${differences.map(({ sign, text }) => `  ${sign} ${text}\n`).join('')}`)
    if (different.length === 0) {
      terminal.out('nothing to change\n')
      return EXIT.done
    }
    if (dryRun) {
      terminal.out('nothing was changed: this was a dry run\n')
      return exitCode ? EXIT.different : EXIT.done
    }
    for (const { document, tenant, steps } of different) {
      for (const { method, path, body, from } of steps) await guarded(document, from, () => api.ask(method, path, { tenant, body }))
    }
    terminal.out('done\n')
    return EXIT.done
  } catch (error) {
    terminal.error(`${sentenceFor(error, name)}\n`)
    return EXIT.failed
  }
}

function readArguments(args: readonly string[]): { file: string; dryRun: boolean; exitCode: boolean; credentials: boolean } | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { file: { type: 'string', short: 'f' }, 'dry-run': { type: 'boolean' }, 'exit-code': { type: 'boolean' }, credentials: { type: 'boolean' } },
    })
    if (!values.file) return null
    return { file: values.file, dryRun: values['dry-run'] === true, exitCode: values['exit-code'] === true, credentials: values.credentials === true }
  } catch {
    return null
  }
}

function sentenceFor(error: unknown, name: string): string {
  if (error instanceof BadFile) return `${name}:${error.line}: ${error.message}`
  if (error instanceof ApiUnreachable || error instanceof ApiRefused) return error.message
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
  if (code !== null) return `${name} cannot be read (${code}).`
  throw error
}
