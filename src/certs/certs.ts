/** `earthflow certs`: certificates for development and from Let's Encrypt, installed where they are served from, and what they say. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Terminal } from '../cli/apply.ts'
import { EXIT } from '../cli/exits.ts'
import { flag, json, readArguments, refuseWords, runVerb, text, texts, wholeNumber } from '../cli/run-verb.ts'
import { BadUsage, Told } from '../cli/told.ts'
import type { Environment } from '../config.ts'
import { ensureDevelopmentCertificate } from '../proxy/certificates.ts'
import { type Asked, lineageOf, renewAll, runCertbot } from './certbot.ts'
import { type CertificateFacts, describeCertificate } from './describe.ts'
import { install, type Places, readLineage } from './install.ts'

export const CERTS_USAGE = `earthflow certs show [--cert FILE] [--key FILE] [--days N] [--json]
  what a certificate says, whether the key and the chain fit, and how long it lasts; ends with 1 where something is wrong

earthflow certs development [--dir DIR] [--host H] [--cert FILE --key FILE]
  makes, or finds, an authority of this installation and a certificate for this machine; for development and for tests

earthflow certs letsencrypt --domain D --email E (--webroot DIR | --standalone) [--cert FILE --key FILE] [--staging] [--dry-run]
  gets one from Let's Encrypt by certbot, installs it, and has certbot install each renewal

earthflow certs renew [--dir DIR]
  renews what ends soon, and installs it; for a timer, where certbot has none of its own

earthflow certs install [--from DIR] [--cert FILE --key FILE]
  copies fullchain.pem and privkey.pem of a folder to where they are served from; what certbot runs after a renewal

  --cert FILE     the certificate that is served; TLS_CERT_PATH unless said
  --key FILE      its key; TLS_KEY_PATH unless said
  --days N        how long it should last at least; 14 unless said
  --dir DIR       of the development authority, or where certbot keeps its own (/etc/letsencrypt unless said)
  --host H        a further name or address it is for; may be said again for others
  --domain D      a name it is for; may be said again for others
  --email E       whom Let's Encrypt writes to
  --webroot DIR   the folder that a web server shows on port 80 of these names
  --standalone    certbot listens on port 80 itself, for a moment
  --staging       at Let's Encrypt's server for trials: nobody trusts what it gives
  --from DIR      the folder of certbot with the pair; RENEWED_LINEAGE unless said, as certbot sets it
  --json          prints what was found as JSON

A running Earthflow takes a new certificate within a few seconds, without a restart.
`

export interface CertsParts {
  environment: Environment
  settings(): { cert: string | null; key: string | null; developmentDir: string }
  readOrNull(path: string): string | null
  /** Milliseconds since 1970. */
  now: () => number
  signal: AbortSignal
  /** What certbot runs after a renewal. */
  launcher?: string
}

const DAYS = { least: 0, most: 3_650, otherwise: 14 }
const LAUNCHER = fileURLToPath(new URL('../../scripts/certificates', import.meta.url))
const options = {
  cert: text,
  key: text,
  days: text,
  dir: text,
  host: texts,
  domain: texts,
  email: text,
  webroot: text,
  standalone: flag,
  staging: flag,
  'dry-run': flag,
  from: text,
  json: flag,
} as const
type Values = ReturnType<typeof readArguments<typeof options>>['values']
type Verb = (values: Values, terminal: Pick<Terminal, 'out' | 'error'>, parts: CertsParts) => Promise<number>

/** Returns the exit code. */
export function certs(args: readonly string[], terminal: Pick<Terminal, 'out' | 'error'>, parts: CertsParts): Promise<number> {
  return runVerb({ usage: CERTS_USAGE, terminal }, async () => {
    const { values, words } = readArguments(args, options)
    const [name = '', ...more] = words
    refuseWords(more)
    if (!Object.hasOwn(verbs, name)) throw new BadUsage('Say show, development, letsencrypt, renew or install.')
    if (values.json && name !== 'show') throw new BadUsage('--json is for show.')
    return verbs[name](values, terminal, parts)
  })
}

const verbs: Readonly<Record<string, Verb>> = {
  async show(values, terminal, { settings, readOrNull, now }) {
    const paths = settings()
    const certPath = values.cert ?? paths.cert
    if (certPath === null) throw new BadUsage('Say with --cert, or TLS_CERT_PATH, which certificate.')
    const keyPath = values.key ?? (values.cert === undefined ? paths.key : null)
    const cert = readOrNull(certPath)
    if (cert === null) throw new Told(`${certPath} cannot be read.`)
    const key = keyPath === null ? null : readOrNull(keyPath)
    if (keyPath !== null && key === null) throw new Told(`${keyPath} cannot be read.`)
    const facts = describeCertificate({ cert, key, daysMin: wholeNumber('days', values.days, DAYS), now: now() })
    terminal.out(values.json ? json({ path: certPath, ...facts }) : toldOf(certPath, facts))
    return facts.problems.length === 0 ? EXIT.done : EXIT.failed
  },

  async development(values, terminal, { settings, now }) {
    const dir = resolve(values.dir ?? settings().developmentDir)
    const made = await ensureDevelopmentCertificate(dir, { hosts: values.host ?? [], now: now() }).catch((error: unknown) => {
      throw error instanceof Error && !('code' in error) ? new Told(error.message) : error
    })
    if (values.cert !== undefined || values.key !== undefined)
      await install({ cert: made.cert, key: made.key }, placesOf(values, { cert: null, key: null }), now())
    terminal.out(`${made.caPath} is the authority: clients trust it by NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, or curl --cacert\n`)
    return EXIT.done
  },

  async letsencrypt(values, terminal, { settings, environment, now, signal, launcher = LAUNCHER }) {
    const asked = askedOf(values, placesOf(values, settings()))
    await runCertbot(asked, launcher, { environment, signal })
    if (asked.isDryRun) {
      terminal.out('It would work. Nothing was changed: this was a dry run\n')
      return EXIT.done
    }
    await install(await readLineage(lineageOf(asked)), asked.places, now())
    terminal.out(
      `The certificate of ${asked.domains.join(', ')} is in ${asked.places.certPath}; certbot installs its renewals. scripts/certificates show tells when it ends\n`,
    )
    return EXIT.done
  },

  async renew({ dir }, terminal, surroundings) {
    await renewAll(dir === undefined ? null : resolve(dir), surroundings)
    terminal.out('Whatever ends soon is renewed\n')
    return EXIT.done
  },

  async install(values, terminal, { settings, environment, now }) {
    const from = values.from ?? environment.RENEWED_LINEAGE
    if (!from) throw new BadUsage('Say with --from which folder holds fullchain.pem and privkey.pem.')
    const places = placesOf(values, settings())
    const isNew = await install(await readLineage(from), places, now())
    terminal.out(isNew ? `The certificate is in ${places.certPath}\n` : `${places.certPath} holds it already\n`)
    return EXIT.done
  },
}

function placesOf(values: Values, settings: { cert: string | null; key: string | null }): Places {
  const [certPath, keyPath] = [values.cert ?? settings.cert, values.key ?? settings.key]
  if (!certPath || !keyPath) throw new BadUsage('Say with --cert and --key, or TLS_CERT_PATH and TLS_KEY_PATH, where they are served from.')
  return { certPath: resolve(certPath), keyPath: resolve(keyPath) }
}

function askedOf({ domain = [], email, webroot, standalone = false, staging: isStaging = false, dir, ...values }: Values, places: Places): Asked {
  const [first, ...others] = domain
  if (first === undefined || !domain.every((name) => /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/i.test(name)))
    throw new BadUsage('Say with --domain for which name, such as earthflow.example.com.')
  if (!email || !/^[^\s@]+@[^\s@]+$/.test(email)) throw new BadUsage("Say with --email whom Let's Encrypt writes to when something is wrong.")
  if ((webroot === undefined) === !standalone) throw new BadUsage('Say either --webroot DIR or --standalone.')
  const proof = webroot === undefined ? ({ kind: 'standalone' } as const) : ({ kind: 'webroot', dir: resolve(webroot) } as const)
  return { domains: [first, ...others], email, proof, places, dir: dir === undefined ? null : resolve(dir), isStaging, isDryRun: values['dry-run'] === true }
}

function toldOf(path: string, { subject, names, issuer, expires_at, days_left, chain, key_matches, problems }: CertificateFacts): string {
  const lines = [
    `${path}: ${subject}`,
    `  for      ${names.join(', ')}`,
    `  until    ${expires_at}, ${days_left} days`,
    `  from     ${issuer}`,
    ...chain.map((one) => `  then     ${one.subject}, until ${one.expires_at}`),
    `  key      ${key_matches === null ? 'not looked at' : key_matches ? 'fits' : 'does not fit'}`,
    ...problems.map((problem) => `! ${problem}`),
  ]
  return `${lines.join('\n')}\n`
}
