/** `earthflow users`: adds people and lists them. The first owner comes this way. */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { type Api, ApiRefused, ApiUnreachable } from './api.ts'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { json } from './run-verb.ts'
import type { SecretFile } from './secret-file.ts'
import { understood } from './understood.ts'

export const USERS_USAGE = `earthflow users create --email E --role R [--name N] [--tenant-id ID] [--password-stdin | --output FILE]
earthflow users list [--tenant-id ID] [--json]

  --email E          the person's e-mail address
  --role R           owner, operator, rule_author, arbiter, auditor or viewer
  --name N           the e-mail address, where none is given
  --tenant-id ID     the tenant the person belongs to; without it, the whole installation
  --password-stdin   reads the password from standard input
  --output FILE      writes the password that is made into a new file, readable by you alone
  --json             prints what the API answers

Without a password one is made, and shown once on a terminal.
`

export interface UsersParts {
  api: Api
  /** Whether standard output is looked at, and not kept. */
  isTerminal: boolean
  createFile(path: string): Promise<SecretFile>
}

const PASSWORD_BYTES = 18
const PAGE = 1_000
/** As many as a list can be paged through. */
const PAGES_MAX = 1_000
const person = z.looseObject({ id: z.string(), email: z.string(), role: z.string(), tenant_id: z.string().nullable(), active: z.boolean() })
const page = z.looseObject({ users: z.array(person), total: z.number() })

interface Options {
  email?: string
  role?: string
  name?: string
  tenant?: string
  fromStdin: boolean
  isJson: boolean
  output?: string
}

/** Returns the exit code. */
export async function users(args: readonly string[], terminal: Terminal, parts: UsersParts): Promise<number> {
  const [verb, ...rest] = args
  const options = readArguments(rest)
  const isRight = options !== null && (verb === 'create' ? isForCreate(options) : verb === 'list' && isForList(options))
  if (!isRight) {
    terminal.error(USERS_USAGE)
    return EXIT.usage
  }
  try {
    return verb === 'create' ? await create(options, terminal, parts) : await list(options, terminal, parts)
  } catch (error) {
    terminal.error(`${sentenceFor(error)}\n`)
    return EXIT.failed
  }
}

async function create(options: Options, terminal: Terminal, { api, isTerminal, createFile }: UsersParts): Promise<number> {
  const { email, role, name, tenant, fromStdin, output } = options
  if (!fromStdin && output === undefined && !isTerminal) {
    terminal.error('Standard output is no terminal, and a password is not written where it may be kept: use --output FILE or --password-stdin.\n')
    return EXIT.usage
  }
  const password = fromStdin ? (await readPassword(terminal)).replace(/\r?\n$/, '') : randomBytes(PASSWORD_BYTES).toString('base64url')
  // Before the person is made: a password that cannot be written down would be lost.
  const file = output === undefined ? null : await made(createFile(output))
  try {
    const body = { email, role, ...(name !== undefined && { name }), password }
    const created = understood(person, await api.ask('POST', '/v1/users', { tenant, body }))
    terminal.out(`${lineOf(created)}\n`)
    if (file) await written(file, password, created.id)
    else if (!fromStdin) terminal.out(`password, shown only now: ${password}\n`)
    return EXIT.done
  } finally {
    await file?.close()
  }
}

async function list({ tenant, isJson }: Options, terminal: Terminal, { api }: UsersParts): Promise<number> {
  const all: z.output<typeof person>[] = []
  for (let at = 0, read = 0; at < PAGES_MAX; at++) {
    const { users: found, total } = understood(page, await api.ask('GET', `/v1/users?limit=${PAGE}&offset=${read}`, { tenant }))
    if (isJson) all.push(...found)
    else for (const one of found) terminal.out(`${lineOf(one)}\n`)
    read += found.length
    if (found.length === 0 || read >= total) break
  }
  if (isJson) terminal.out(json(all))
  return EXIT.done
}

const lineOf = ({ id, email, role, tenant_id, active }: z.output<typeof person>): string =>
  [id, email, role, tenant_id ?? '*', ...(active ? [] : ['inactive'])].join('\t')

const isForCreate = ({ email, role, fromStdin, output, isJson }: Options): boolean => !isJson && !!email && !!role && !(fromStdin && output !== undefined)
const isForList = ({ email, role, name, fromStdin, output }: Options): boolean => [email, role, name, output].every((one) => one === undefined) && !fromStdin

function readArguments(args: readonly string[]): Options | null {
  const word = { type: 'string' } as const
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { email: word, role: word, name: word, 'tenant-id': word, output: word, 'password-stdin': { type: 'boolean' }, json: { type: 'boolean' } },
    })
    const { email, role, name, output, 'tenant-id': tenant } = values
    if (tenant !== undefined && !/^t_[0-9a-z]+$/.test(tenant)) return null
    return {
      fromStdin: values['password-stdin'] === true,
      isJson: values.json === true,
      ...(email !== undefined && { email }),
      ...(role !== undefined && { role }),
      ...(name !== undefined && { name }),
      ...(tenant !== undefined && { tenant }),
      ...(output !== undefined && { output }),
    }
  } catch {
    return null
  }
}

/** Its message is a sentence for whoever asked. */
class Told extends Error {}

const made = (file: Promise<SecretFile>): Promise<SecretFile> =>
  file.catch((error: unknown) => {
    throw error instanceof Error ? new Told(error.message) : error
  })

const written = (file: SecretFile, password: string, id: string): Promise<void> =>
  file.append(`${password}\n`).catch((error: unknown) => {
    throw new Told(
      `${id} was made, but the password could not be written to the file${codeOf(error)}, and nobody knows it: set another with PATCH /v1/users/${id}.`,
    )
  })

const readPassword = (terminal: Terminal): Promise<string> =>
  terminal.read('-').catch((error: unknown) => {
    throw new Told(`Standard input cannot be read${codeOf(error)}.`)
  })

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '')

function sentenceFor(error: unknown): string {
  if (error instanceof ApiUnreachable || error instanceof ApiRefused || error instanceof Told) return error.message
  throw error
}
