/** The command line of `migrate-logs`. */
import { parseArgs } from 'node:util'

export const USAGE = `scripts/migrate-logs --input FILE --output FILE [options]

  --input FILE         a version 1 audit log, one JSON object a line; - reads standard input
  --output FILE        where the entries go, as GET /v1/audit/export writes them; what is rejected goes to FILE.rejected
  --from-version 1     the version of the input; there is no other
  --to-version 2       the version of the output; there is no other
  --dry-run            writes nothing and says what would be
  --backup             copies the input, and what would be replaced, beside themselves first; without it nothing is replaced
  --import             writes the entries into the database of this installation too; --output may then be left out
  --tenant-map V1=ID   the tenant that version 1 called V1; may be said again for others; =ID is for lines that name none
  --verbose            names every line that is rejected, not only the first
  --help               prints this
`

export interface Options {
  /** '-' is standard input. */
  input: string
  output: string | null
  isDryRun: boolean
  backsUp: boolean
  imports: boolean
  isVerbose: boolean
  /** What version 1 called a tenant ('' where a line names none) → what it is called here. */
  tenants: ReadonlyMap<string, string>
}

/** The arguments make no sense; the message says what to write instead. */
export class BadUsage extends Error {}

/** Null where only help is asked for. Throws BadUsage. */
export function readOptions(args: readonly string[]): Options | null {
  const values = parse(args)
  if (values.help) return null
  const { input, output = null, import: imports = false, 'dry-run': isDryRun = false, backup: backsUp = false, verbose: isVerbose = false } = values
  if (!input) throw new BadUsage('Say with --input which log shall be read.')
  if (output === null && !imports) throw new BadUsage('Say with --output where the entries shall go, or --import.')
  if (output === '') throw new BadUsage('Say with --output where the entries shall go.')
  if (output === '-') throw new BadUsage('The output appears whole or not at all, as only a file can: say --output FILE.')
  if (output === null && input === '-') throw new BadUsage('Say with --output where lines that are rejected shall go: standard input has no name.')
  if (input === '-' && backsUp) throw new BadUsage('Standard input cannot be copied: save it first and name the file, or leave out --backup.')
  if ((values['from-version'] ?? '1') !== '1' || (values['to-version'] ?? '2') !== '2')
    throw new BadUsage('Only --from-version 1 with --to-version 2 is known.')
  return { input, output, isDryRun, backsUp, imports, isVerbose, tenants: readTenants(values['tenant-map'] ?? []) }
}

function readTenants(pairs: readonly string[]): Map<string, string> {
  const tenants = new Map<string, string>()
  for (const pair of pairs) {
    const at = pair.lastIndexOf('=')
    const name = pair.slice(0, at)
    if (at === -1 || at === pair.length - 1) throw new BadUsage('Write --tenant-map V1=ID: what version 1 called the tenant, and its id here.')
    if (tenants.has(name)) throw new BadUsage('Say for each tenant of version 1 one --tenant-map.')
    tenants.set(name, pair.slice(at + 1))
  }
  return tenants
}

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const options = {
  input: text,
  output: text,
  'from-version': text,
  'to-version': text,
  'dry-run': flag,
  backup: flag,
  import: flag,
  'tenant-map': { type: 'string', multiple: true },
  verbose: flag,
  help: flag,
} as const

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new BadUsage(error instanceof Error ? error.message : 'The arguments are not understood.')
  }
}
