/** `earthflow healthcheck`: whether an Earthflow answers; what containers, supervisors and cron ask. Loads next to nothing, for it is asked often. */
import { isIPv6 } from 'node:net'
import type { Terminal } from './apply.ts'
import { EXIT } from './exits.ts'
import { flag, readArguments, refuseWords, runVerb, text, wholeNumber } from './run-verb.ts'
import { BadUsage } from './told.ts'
import { createWire, Unreachable, wholeBody } from './wire.ts'

export const HEALTHCHECK_USAGE = `earthflow healthcheck [--host H] [--port P] [--tls | --plain] [--insecure] [--ready] [--timeout SECONDS] [--json]

  --host H            the machine; this one unless said
  --port P            the port; EARTHFLOW_PORT unless said
  --tls, --plain      whether it speaks TLS; as EARTHFLOW_TLS says, unless said
  --insecure          does not look whose certificate it is: nothing that is asked or answered is secret. So it is on this machine itself
  --ready             asks whether it takes calls (/health/ready), not only whether it lives (/health)
  --timeout SECONDS   how long it may take; 4 unless said
  --json              prints what was answered as JSON

Ends with 0 where it is well, with 1 where it is not or does not answer.
`

export interface HealthcheckParts {
  /** What the settings say of the port; asked only where the arguments do not say all. */
  settings(): Promise<{ host: string | undefined; port: string | undefined; tls: string | undefined; ca: string | null }>
}

const ANSWER_BYTES_MAX = 1 << 20
const SECONDS = { least: 1, most: 300, otherwise: 4 }
const options = { host: text, port: text, tls: flag, plain: flag, insecure: flag, ready: flag, timeout: text, json: flag } as const

/** Returns the exit code. */
export function healthcheck(args: readonly string[], terminal: Pick<Terminal, 'out' | 'error'>, parts: HealthcheckParts): Promise<number> {
  return runVerb({ usage: HEALTHCHECK_USAGE, terminal }, async () => {
    const { values, words } = readArguments(args, options)
    refuseWords(words)
    if (values.tls && values.plain) throw new BadUsage('Say either --tls or --plain.')
    const isSaid = values.port !== undefined && (values.plain || (values.tls && values.insecure))
    const settings = isSaid ? null : await parts.settings()
    const port = wholeNumber('port', values.port ?? settings?.port, { least: 1, most: 65_535, otherwise: 8443 })
    const host = values.host ?? ownAddress(settings?.host)
    const isTls = values.tls ?? (values.plain ? false : settings?.tls === 'on')
    const msMax = wholeNumber('timeout', values.timeout, SECONDS) * 1_000
    const url = `${isTls ? 'https' : 'http'}://${inUrl(host)}:${port}`
    const said = await ask({
      url,
      path: values.ready ? '/health/ready' : '/health',
      msMax,
      isUnverified: values.insecure === true || isLoopback(host),
      ca: settings?.ca ?? null,
    })
    const line = `${said.ok ? 'ok' : 'not well'}: ${url} ${said.told}`
    if (values.json) terminal.out(`${JSON.stringify({ ok: said.ok, url, status: said.status, error: said.ok ? null : said.told, answer: said.answer })}\n`)
    else if (said.ok) terminal.out(`${line}\n`)
    else terminal.error(`${line}\n`)
    return said.ok ? EXIT.done : EXIT.failed
  })
}

interface Asked {
  url: string
  path: string
  msMax: number
  isUnverified: boolean
  ca: string | null
}

async function ask({ url, path, msMax, isUnverified, ca }: Asked): Promise<{ ok: boolean; status: number | null; told: string; answer: unknown }> {
  try {
    const { status, body } = await createWire({ url, ca, isUnverified })({ method: 'GET', path, msMax })
    const answer = parsed(await wholeBody(body, ANSWER_BYTES_MAX))
    const isOurs = typeof answer.status === 'string'
    if (!isOurs) return { ok: false, status, told: `answered ${status}, and is no Earthflow`, answer: null }
    const failed = Object.entries(answer.checks ?? {}).flatMap(([name, state]) => (state === 'ok' ? [] : [`${name} ${state}`]))
    const told = [`says ${answer.status}`, ...(answer.version === undefined ? [] : [`version ${answer.version}`]), ...failed].join(', ')
    return { ok: status === 200, status, told, answer }
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error
    return { ok: false, status: null, told: error.message.replace(`${url} `, ''), answer: null }
  }
}

function parsed(text: string): { status?: unknown; version?: unknown; checks?: Record<string, unknown> } {
  try {
    return (JSON.parse(text) ?? {}) as object
  } catch {
    return {}
  }
}

function inUrl(host: string): string {
  const address = host.replace(/^\[|\]$/g, '')
  if (isIPv6(address)) return `[${address}]`
  if (/^[\w.-]+$/.test(host)) return host
  throw new BadUsage('--host must be a name or an address, without a port.')
}

/** One that listens everywhere listens here too. */
const ownAddress = (host: string | undefined): string => (host === undefined || host === '' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host)

/** Nobody stands in between. */
const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
