/** `earthflow keys`: lists, issues and revokes the API keys of a tenant. */
import { z } from 'zod'
import type { Api } from './api.ts'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { listAll } from './list-all.ts'
import { flag, json, readArguments, refuseWords, runVerb, table, tenantId, text, texts } from './run-verb.ts'
import { openSecretOutput, type SecretParts } from './secret-output.ts'
import { BadUsage } from './told.ts'
import { understood } from './understood.ts'

export const KEYS_USAGE = `earthflow keys list --tenant-id ID [--json]
earthflow keys issue --tenant-id ID [--name N] [--scope S] [--agent-id ID] [--expires-at TIME] [--output FILE] [--json]
earthflow keys revoke --tenant-id ID PREFIX

  --tenant-id ID      whose keys
  --name N            what it is for
  --scope S           what it may do; may be said again for others; proxy:write unless said
  --agent-id ID       the agent whose key it is
  --expires-at TIME   when it ends, such as 2030-01-01T00:00:00Z; never unless said
  --output FILE       writes the key into a new file, readable by you alone; without it the key is shown once, on a terminal
  --json              prints what the API answers
  PREFIX              the part of a key that is shown: ef_live_ and 8 characters

Successors for keys that are in use, with time to change over: earthflow rotate-keys.
`

export interface KeysParts extends SecretParts {
  api(): Api
}

const key = z.looseObject({
  prefix: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
})
const issued = z.looseObject({ api_key: z.string(), prefix: z.string(), name: z.string(), scopes: z.array(z.string()) })

const options = { 'tenant-id': text, name: text, scope: texts, 'agent-id': text, 'expires-at': text, output: text, json: flag } as const

/** Returns the exit code. */
export function keys(args: readonly string[], terminal: Terminal, parts: KeysParts): Promise<number> {
  return runVerb({ usage: KEYS_USAGE, terminal }, async () => {
    const { values, words } = readArguments(args, options)
    const [verb, ...rest] = words
    if (verb !== 'list' && verb !== 'issue' && verb !== 'revoke') throw new BadUsage('Say list, issue or revoke.')
    const path = `/v1/tenants/${tenantId(values['tenant-id'])}/keys`
    if (verb === 'revoke') {
      if (values.json) throw new BadUsage('--json is for list and issue.')
      const [prefix, ...more] = rest
      refuseWords(more)
      if (prefix === undefined || !/^ef_(?:live|test)_[A-Za-z0-9]{8}$/.test(prefix))
        throw new BadUsage('Name the key by its prefix: ef_live_ and 8 characters, not the whole key.')
      await parts.api().ask('DELETE', `${path}/${prefix}`)
      terminal.out(`${prefix} is revoked\n`)
      return EXIT.done
    }
    refuseWords(rest)
    if (verb === 'issue') {
      await issue(path, values, terminal, parts)
      return EXIT.done
    }
    const all = await listAll(parts.api(), path, 'keys', key)
    terminal.out(values.json ? json(all) : table(all.map(lineOf)))
    return EXIT.done
  })
}

interface Values {
  name?: string
  scope?: string[]
  'agent-id'?: string
  'expires-at'?: string
  output?: string
  json?: boolean
}

async function issue(path: string, { name, scope, output, json: isJson, ...values }: Values, terminal: Terminal, parts: KeysParts): Promise<void> {
  const body = {
    ...(name !== undefined && { name }),
    ...(scope !== undefined && { scopes: scope }),
    ...(values['agent-id'] !== undefined && { agent_id: values['agent-id'] }),
    ...(values['expires-at'] !== undefined && { expires_at: values['expires-at'] }),
  }
  const secret = await openSecretOutput('the key', output, terminal, parts)
  try {
    const { api_key, ...made } = understood(issued, await parts.api().ask('POST', path, { body }))
    terminal.out(isJson ? json(secret.isShown ? { ...made, api_key } : made) : table([[String(made.prefix), made.scopes.join(','), String(made.name)]]))
    if (!(isJson && secret.isShown)) await secret.tell(api_key, String(made.prefix))
  } finally {
    await secret.close()
  }
}

const lineOf = ({ prefix, name, scopes, expires_at, last_used_at, revoked_at }: z.output<typeof key>): string[] => [
  prefix,
  revoked_at !== null ? `revoked ${revoked_at}` : expires_at !== null ? `until ${expires_at}` : 'active',
  `last used ${last_used_at ?? 'never'}`,
  scopes.join(','),
  name,
]
