/** `earthflow tenants`: lists, creates, shows and closes tenants. */
import { z } from 'zod'
import type { Api } from './api.ts'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { listAll } from './list-all.ts'
import { flag, json, readArguments, refuseWords, runVerb, table, tenantId, text, wholeNumber } from './run-verb.ts'
import { openSecretOutput, type SecretParts } from './secret-output.ts'
import { BadUsage } from './told.ts'
import { understood } from './understood.ts'

export const TENANTS_USAGE = `earthflow tenants list [--json]
earthflow tenants create --name N [--preset P] [--requests-per-minute N] [--contact-email E] [--output FILE] [--json]
earthflow tenants show ID [--json]
earthflow tenants close ID --yes

  --name N                  how people call it
  --preset P                whose rules it begins with (GET /v1/rules/presets lists them); none unless said
  --requests-per-minute N   its limit; the installation's unless said
  --contact-email E         whom to write to
  --output FILE             writes its first key into a new file, readable by you alone; without it the key is shown once, on a terminal
  --yes                     closing revokes all keys of the tenant for good; its rules and its audit log stay
  --json                    prints what the API answers
`

export interface TenantsParts extends SecretParts {
  api(): Api
}

const tenant = z.looseObject({ tenant_id: z.string(), name: z.string(), active: z.boolean(), rules_preset: z.string().nullable(), api_key_count: z.number() })
const created = tenant.extend({ api_key: z.string() })
const RPM_MAX = 999_999_999

const options = {
  name: text,
  preset: text,
  'requests-per-minute': text,
  'contact-email': text,
  output: text,
  yes: flag,
  json: flag,
} as const

/** Returns the exit code. */
export function tenants(args: readonly string[], terminal: Terminal, parts: TenantsParts): Promise<number> {
  return runVerb({ usage: TENANTS_USAGE, terminal }, async () => {
    const { values, words } = readArguments(args, options)
    const [verb, ...rest] = words
    if (verb === 'list') await list(rest, values.json === true, terminal, parts)
    else if (verb === 'create') await create(rest, values, terminal, parts)
    else if (verb === 'show') await show(rest, terminal, parts)
    else if (verb === 'close' && values.json) throw new BadUsage('--json is for list, create and show.')
    else if (verb === 'close') await close(rest, values.yes === true, terminal, parts)
    else throw new BadUsage('Say list, create, show or close.')
    return EXIT.done
  })
}

type Values = Partial<Record<'name' | 'preset' | 'requests-per-minute' | 'contact-email' | 'output', string>> & { json?: boolean }

async function list(words: readonly string[], isJson: boolean, terminal: Terminal, { api }: TenantsParts): Promise<void> {
  refuseWords(words)
  const all = await listAll(api(), '/v1/tenants', 'tenants', tenant)
  terminal.out(isJson ? json(all) : table(all.map(lineOf)))
}

async function create(words: readonly string[], values: Values, terminal: Terminal, parts: TenantsParts): Promise<void> {
  refuseWords(words)
  const { name, preset = null, output } = values
  if (!name) throw new BadUsage('Say with --name what the tenant is called.')
  const rpm = values['requests-per-minute']
  const body = {
    name,
    rules_preset: preset,
    ...(rpm !== undefined && { max_requests_per_minute: wholeNumber('requests-per-minute', rpm, { least: 0, most: RPM_MAX, otherwise: 0 }) }),
    ...(values['contact-email'] !== undefined && { contact_email: values['contact-email'] }),
  }
  const secret = await openSecretOutput('its first key', output, terminal, parts)
  try {
    const { api_key, ...made } = understood(created, await parts.api().ask('POST', '/v1/tenants', { body }))
    terminal.out(values.json ? json(secret.isShown ? { ...made, api_key } : made) : table([lineOf(made)]))
    if (!(values.json && secret.isShown)) await secret.tell(api_key, made.tenant_id)
  } finally {
    await secret.close()
  }
}

async function show([id, ...more]: readonly string[], terminal: Terminal, { api }: TenantsParts): Promise<void> {
  refuseWords(more)
  terminal.out(json(await api().ask('GET', `/v1/tenants/${tenantId(id)}`)))
}

async function close([word, ...more]: readonly string[], isSure: boolean, terminal: Terminal, { api }: TenantsParts): Promise<void> {
  refuseWords(more)
  const id = tenantId(word)
  if (!isSure) throw new BadUsage(`Closing ${id} revokes all its keys, for good: say --yes.`)
  await api().ask('DELETE', `/v1/tenants/${id}`)
  terminal.out(`${id} is closed, and its keys are revoked\n`)
}

const lineOf = ({ tenant_id, name, active, rules_preset, api_key_count }: Omit<z.output<typeof tenant>, 'api_key'>): string[] => [
  String(tenant_id),
  active ? 'active' : 'closed',
  `${api_key_count} keys`,
  String(rules_preset ?? '-'),
  String(name),
]
