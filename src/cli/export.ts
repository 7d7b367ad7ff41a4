/** `earthflow export`: a tenant's rules and dictionaries as a file that `earthflow apply` takes. */
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { z } from 'zod'
import { type Api, ApiRefused, ApiUnreachable } from './api.ts'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { understood } from './understood.ts'

export const EXPORT_USAGE = `earthflow export [--tenant ID]

  --tenant ID   whose rules; a tenant's key means its own
`

const exported = z.looseObject({ rules: z.array(z.record(z.string(), z.unknown())), dictionaries: z.record(z.string(), z.unknown()) })
/** What a rule says only where it says something else. */
const defaults: Readonly<Record<string, unknown>> = { mode: 'enforce', reversible: false, active: true, preset: null }
const LINE_CHARACTERS = 120

/** Writes to standard output; returns the exit code. */
export async function exportPolicy(args: readonly string[], terminal: Terminal, { api }: { api: Api }): Promise<number> {
  const tenant = readArguments(args)
  if (tenant === null) {
    terminal.error(`${EXPORT_USAGE}\nA tenant is named by its id here (t_…).\n`)
    return EXIT.usage
  }
  try {
    const { rules, dictionaries } = understood(exported, await api.ask('GET', '/v1/rules/export', { tenant }))
    const document = { ...(tenant === undefined ? {} : { tenant }), mode: 'replace', rules: rules.map(brief), dictionaries }
    terminal.out(stringify(document, { lineWidth: LINE_CHARACTERS, aliasDuplicateObjects: false }))
    return EXIT.done
  } catch (error) {
    if (!(error instanceof ApiRefused || error instanceof ApiUnreachable)) throw error
    terminal.error(`${error.message}\n`)
    return EXIT.failed
  }
}

/** Without its id, by which it would be known to one tenant only, and without what goes without saying. */
const brief = ({ id: _id, ...rule }: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(rule).filter(([name, value]) => defaults[name] !== value && !(name === 'metadata' && JSON.stringify(value) === '{}')))

/** Undefined where no tenant is named; null where the arguments make no sense. */
function readArguments(args: readonly string[]): string | undefined | null {
  try {
    const { tenant } = parseArgs({ args: [...args], options: { tenant: { type: 'string' } } }).values
    return tenant === undefined || /^t_[0-9a-z]+$/.test(tenant) ? tenant : null
  } catch {
    return null
  }
}
