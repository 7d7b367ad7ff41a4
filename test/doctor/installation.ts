/** A production installation in which nothing is to be found, and what changes of it. */
import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { readConfig } from '../../src/config.ts'
import { generateMasterKey } from '../../src/crypto/master-key.ts'
import type { Context } from '../../src/doctor/check.ts'
import { checks } from '../../src/doctor/checks.ts'
import { doctor, type Surroundings } from '../../src/doctor/doctor.ts'
import type { Told } from '../../src/doctor/walk.ts'

export const DAY_MS = 86_400_000
export const NOW = Date.UTC(2026, 10, 20, 12)

export const strong = (): string => randomBytes(24).toString('base64url').replaceAll(/^-|-$/g, 'x')

export interface Made {
  /** Relative to `at`. */
  begins?: number
  days?: number
  rsaBits?: number
}

/** A certificate that signs itself, and its key, PEM. */
export async function makeCertificate({ begins = -1, days = 90, rsaBits }: Made = {}, at = NOW): Promise<{ cert: string; key: string }> {
  const algorithm =
    rsaBits === undefined
      ? { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
      : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: rsaBits }
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=earthflow.example.com',
    notBefore: new Date(at + begins * DAY_MS),
    notAfter: new Date(at + days * DAY_MS),
    keys,
    signingAlgorithm: algorithm,
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return { cert: certificate.toString('pem'), key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n` }
}

export interface Installation {
  dir: string
  /** A complete environment. */
  environment: Record<string, string>
  /** Writes a file below `dir`, and returns its path. */
  write(name: string, content: string, mode?: number): string
  remove(): void
}

export async function createInstallation(databaseUrl: string): Promise<Installation> {
  const dir = mkdtempSync(join(tmpdir(), 'earthflow-doctor-'))
  const write: Installation['write'] = (name, content, mode = 0o600) => {
    writeFileSync(join(dir, name), content)
    chmodSync(join(dir, name), mode)
    return join(dir, name)
  }
  const { cert, key } = await makeCertificate()
  for (const folder of ['data', 'sink']) mkdirSync(join(dir, folder), { mode: 0o700 })
  return {
    dir,
    write,
    environment: {
      EARTHFLOW_ENV: 'production',
      EARTHFLOW_MASTER_KEY: generateMasterKey(),
      EARTHFLOW_ADMIN_API_KEY: strong(),
      EARTHFLOW_DATA_DIR: join(dir, 'data'),
      TLS_CERT_PATH: write('tls.crt', cert),
      TLS_KEY_PATH: write('tls.key', key),
      ALLOWED_HOSTS: 'earthflow.example.com',
      DATABASE_URL: databaseUrl,
      AUDIT_HASH_MODE: 'hmac-sha256',
      AUDIT_CHECKPOINT_SINK: join(dir, 'sink'),
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}

const noSecrets = (): never => {
  throw new Error('production makes none')
}

/** Nothing of the machine that runs the tests is looked at. */
export const machine = { volumeOf: () => ({ kind: 'disk' as const, freeBytes: 2 ** 40 }), nodeVersion: 'v99.1.0', now: () => NOW }

/** What one check finds that needs no database, as `fail: sentence`; a configuration that cannot be read throws. */
export async function look(name: string, environment: Record<string, string>, more: Partial<Context> = {}): Promise<string[]> {
  const check = checks.find((one) => one.name === name)
  if (!check || !('run' in check)) throw new Error(`There is no check ${name} without a database.`)
  const config = readConfig(environment, { dotenv: more.dotenv?.text ?? null, provide: noSecrets })
  const lookup = async (host: string): Promise<string[]> => (host.endsWith('.internal') ? ['10.0.0.7'] : ['104.18.7.192'])
  const found = await check.run({ config, given: environment, dotenv: null, lookup, ...machine, ...more })
  return found.map(({ level, sentence }) => `${level}: ${sentence}`)
}

/** The verb as somebody calls it. */
export async function walk(
  environment: Record<string, string>,
  { args = ['--json'], ...more }: Partial<Surroundings> & { args?: string[] } = {},
): Promise<{ code: number; out: string; error: string; checks: number; findings: Told[] }> {
  let out = ''
  let error = ''
  const code = await doctor(args, { environment, dotenv: null, out: (text) => (out += text), error: (text) => (error += text), ...machine, ...more })
  const { checks: made = 0, findings = [] } = args.includes('--json') && out !== '' ? JSON.parse(out) : {}
  return { code, out, error, checks: made, findings }
}
