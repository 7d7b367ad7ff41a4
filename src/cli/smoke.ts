/** `earthflow smoke`: whether a deployed Earthflow does what it is for. */
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { flag, json, readArguments, refuseWords, runVerb, table, text } from './run-verb.ts'
import { type Check, checks, ruleCheck, type Seen } from './smoke-checks.ts'
import { createSmokeServer, NotSo, type SmokeServer } from './smoke-server.ts'
import { BadUsage, Told } from './told.ts'
import { Unreachable } from './wire.ts'

const all = [...checks, ruleCheck]
const NAME_CHARACTERS = Math.max(...all.map(({ name }) => name.length))

export const SMOKE_USAGE = `earthflow smoke --url URL [--key KEY | --key-file FILE] [--admin-key KEY | --admin-key-file FILE] [--model M] [--ca FILE | --insecure] [--with-rule] [--json]

  --url URL               where it is, such as https://earthflow.example.com:8443; EARTHFLOW_URL unless said
  --key KEY               a tenant's key; EARTHFLOW_API_KEY unless said. Other users of this machine may see it: better --key-file FILE, - being standard input
  --admin-key KEY         the administrator's, for the test of a webhook where the tenant's may not; better --admin-key-file FILE
  --model M               the model that is called; sandbox unless said, which production has not
  --ca FILE               an authority to trust beside those of the machine, PEM; EARTHFLOW_CA_PATH unless said
  --insecure              does not look whose certificate it is: the keys may then go to somebody else
  --with-rule             also adds a rule, sees it block a call, and removes it. Nothing else that is configured is touched
  --json                  prints the checks as JSON

What is checked:
${all.map(({ name, about }) => `  ${name.padEnd(NAME_CHARACTERS)}  ${about}\n`).join('')}
Its calls are calls like any other: they cost what they cost, and their rows stay. Ends with 0 where nothing failed, else with 1.
`

export interface SmokeParts {
  /** What the settings say; null where they say nothing. */
  settings(): Promise<{ url: string | null; key: string | null; adminKey: string | null; ca: string | null }>
}

export interface Checked {
  check: string
  state: 'pass' | 'fail' | 'skip'
  ms: number
  why: string
}

const options = {
  url: text,
  key: text,
  'key-file': text,
  'admin-key': text,
  'admin-key-file': text,
  model: text,
  ca: text,
  insecure: flag,
  'with-rule': flag,
  json: flag,
} as const

/** Returns the exit code. */
export function smoke(args: readonly string[], terminal: Terminal, parts: SmokeParts): Promise<number> {
  return runVerb({ usage: SMOKE_USAGE, terminal }, async () => {
    const { values, words } = readArguments(args, options)
    refuseWords(words)
    const settings = await parts.settings()
    const url = values.url ?? settings.url
    if (url === null || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new BadUsage('Say with --url where Earthflow is, such as https://earthflow.example.com:8443.')
    const key = (await keyOf(values.key, values['key-file'], terminal)) ?? settings.key
    if (key === null) throw new BadUsage('Say with --key-file, or EARTHFLOW_API_KEY, with which key of a tenant calls are made.')
    const adminKey = (await keyOf(values['admin-key'], values['admin-key-file'], terminal)) ?? settings.adminKey
    const ca = values.ca === undefined ? settings.ca : await terminal.read(values.ca)
    const server = createSmokeServer({ url, key, adminKey, ca, isUnverified: values.insecure === true, model: values.model ?? 'sandbox' })
    const done = await runChecks(server, values['with-rule'] ? all : checks)
    const failed = done.filter(({ state }) => state === 'fail').length
    terminal.out(
      values.json ? json({ url, passed: failed === 0, checks: done }) : table(done.map(({ check, state, ms, why }) => [state, check, `${ms} ms`, why])),
    )
    return failed === 0 ? EXIT.done : EXIT.failed
  })
}

async function keyOf(given: string | undefined, file: string | undefined, terminal: Terminal): Promise<string | null> {
  if (given !== undefined && file !== undefined) throw new BadUsage('Say a key or its file, not both.')
  const key = file === undefined ? given : (await terminal.read(file)).trim()
  if (key === undefined) return null
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Told('The key holds characters that no key has.')
  return key
}

/** One after the other. Where nobody answers, the others are not tried. */
export async function runChecks(server: SmokeServer, wanted: readonly Check[]): Promise<Checked[]> {
  const seen: Seen = { allowed: null, tenantId: null }
  const done: Checked[] = []
  let isAway = false
  for (const { name, run } of wanted) {
    const startedAt = performance.now()
    const told = (state: Checked['state'], why: string): void => void done.push({ check: name, state, ms: Math.round(performance.now() - startedAt), why })
    if (isAway) {
      told('skip', 'nobody answers')
      continue
    }
    try {
      const { state, why } = await run(server, seen)
      told(state, why)
    } catch (error) {
      if (!(error instanceof NotSo || error instanceof Unreachable)) throw error
      isAway = error instanceof Unreachable && name === 'health'
      told('fail', error.message)
    }
  }
  return done
}
