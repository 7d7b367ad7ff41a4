/** Takes new certificates from their files while the process runs. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'

/** As PEM. */
export interface Certificates {
  key: string
  cert: string
  /** The authorities of client certificates; null: nobody is asked for one. */
  ca: string | null
}

export interface CertificateWatchOptions {
  paths: { key: string; cert: string; ca: string | null }
  /** What is served from the start. */
  served: Certificates
  /** Serves others from now on. Throws, and keeps the old ones, where they are unusable. */
  take(certificates: Certificates): void
  /** Is told once of each new state of the files: null, they are served; else why they are not. */
  report(problem: Error | null): void
  /** Milliseconds since 1970. */
  now: () => number
}

export interface CertificateWatch {
  /** When what is served expires, in milliseconds since 1970. */
  expiresAt(): number
  /** What happens by itself every two seconds. */
  look(): Promise<void>
  close(): void
}

const LOOK_MS = 2_000

/**
 * What was changed is taken when it reads the same at two looks, one after the other, its key and certificate fit together, and it is valid at the
 * time. Whoever swaps the files one after the other, or writes them piece by piece, is therefore never served half-way; whatever is wrong with them, the
 * old ones are served on.
 */
export function createCertificateWatch({ paths, served, take, report, now }: CertificateWatchOptions): CertificateWatch {
  let current = served
  let expiresAt = leafOf(served.cert).validToDate.getTime()
  /** What the files were at the last look, and what was told of them last. */
  let seen = textOf(served)
  let told = stateOf(seen, null)
  let looking = false

  const timer = setInterval(() => void look(), LOOK_MS).unref()
  return { expiresAt: () => expiresAt, look, close: () => clearInterval(timer) }

  async function look(): Promise<void> {
    if (looking) return // a slow disk is not asked twice
    looking = true
    const found = await read().catch((error: NodeJS.ErrnoException) => error)
    looking = false
    const text = found instanceof Error ? `${found.code}` : textOf(found)
    const isSettled = text === seen
    seen = text
    if (!isSettled) return
    const problem = found instanceof Error ? found : text === textOf(current) ? null : problemWith(found)
    const state = stateOf(text, problem)
    if (state !== told) report(problem)
    told = state
  }

  /** Null where it is served from now on. */
  function problemWith(found: Certificates): Error | null {
    try {
      refuseUnusable(found, now())
      take(found)
      current = found
      expiresAt = leafOf(found.cert).validToDate.getTime()
      return null
    } catch (error) {
      return error as Error
    }
  }

  async function read(): Promise<Certificates> {
    const [key, cert, ca] = await Promise.all([paths.key, paths.cert, paths.ca].map((path) => (path === null ? null : readFile(path, 'utf8'))))
    return { key: key ?? '', cert: cert ?? '', ca }
  }
}

/** Throws a sentence that says what is wrong, never what stands in the files. */
function refuseUnusable({ key, cert, ca }: Certificates, now: number): void {
  const leaf = leafOf(cert)
  if (!isKeyOf(key, leaf)) throw new Error('The key and the certificate do not fit together.')
  if (now < leaf.validFromDate.getTime()) throw new Error('The certificate is not valid yet.')
  if (now >= leaf.validToDate.getTime()) throw new Error('The certificate has expired.')
  if (!isWhole(cert) || !isWhole(key)) throw new Error('The certificate or its key is not whole.')
  if (ca !== null && !isAuthorities(ca)) throw new Error('The file of client authorities holds no certificates, or something else.')
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Whether the text is one or more certificates in PEM, each of which can be read. */
export function isAuthorities(pem: string): boolean {
  const found = pem.match(CERTIFICATE) ?? []
  try {
    for (const one of found) new X509Certificate(one)
  } catch {
    return false
  }
  return found.length > 0 && isWhole(pem)
}

/** Every block that begins also ends. */
const isWhole = (pem: string): boolean => pem.split('-----BEGIN ').length === pem.split('-----END ').length

/** Throws where the text begins with no certificate. */
function leafOf(cert: string): X509Certificate {
  try {
    return new X509Certificate(cert)
  } catch {
    throw new Error('There is no certificate.')
  }
}

function isKeyOf(key: string, leaf: X509Certificate): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

const stateOf = (text: string, problem: Error | null): string => `${text}\n${problem?.message}`
const textOf = ({ key, cert, ca }: Certificates): string => `${key}\n${cert}\n${ca}`
