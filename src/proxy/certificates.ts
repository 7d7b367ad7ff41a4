/** The development certificate: an authority of this installation's own, and a certificate for this machine that it signs. Production brings its own. */
import { createPrivateKey, KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { domainToASCII } from 'node:url'

export interface DevelopmentCertificate {
  /** PEM. */
  key: string
  /** PEM: the certificate and then its authority. */
  cert: string
  /** The authority's certificate, for clients: NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, curl --cacert. */
  caPath: string
}

const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 3_650
/** Browsers and Apple's clients accept at most 398 days (CA/Browser Forum ballot SC31); with the hour below this stays under it. */
const SERVER_DAYS = 397
const RENEW_DAYS = 30
/** A client whose clock is a little slow accepts a certificate made just now. */
const BACKDATED_MS = 3_600_000
const HOSTS_MAX = 100
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

interface Pair {
  key: string
  cert: string
}

/**
 * Returns the certificate kept in `dir` and makes what is missing, damaged, about to expire or does not cover `hosts`, which come on top of
 * localhost, both loopback addresses and the machine's name. The authority is kept for as long as it can sign, so trust given once lasts.
 * `now` is milliseconds since 1970. Throws when the folder cannot be read or written, or a host is neither a name nor an address.
 */
export async function ensureDevelopmentCertificate(
  dir: string,
  { hosts = [], now = Date.now() }: { hosts?: readonly string[]; now?: number } = {},
): Promise<DevelopmentCertificate> {
  const names = namesFor(hosts)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await chmod(dir, 0o700)
  const caPath = join(dir, 'ca.pem')
  const authorityPath = join(dir, 'authority.pem')
  const serverPath = join(dir, 'server.pem')

  let authority = await readPair(authorityPath)
  if (!authority || !lasts(authority, now)) {
    authority = await makeAuthority(now)
    await writeWhole(authorityPath, authority.key + authority.cert, 0o600)
  }
  // The copy for clients; the pair is what counts, so that a key and its certificate can never be from two different runs.
  if ((await readIfThere(caPath)) !== authority.cert) await writeWhole(caPath, authority.cert, 0o644)

  let server = await readPair(serverPath)
  if (!server || !lasts(server, now) || !isSignedBy(server, authority) || !covers(server, names)) {
    server = await makeServerCertificate(authority, names, now)
    await writeWhole(serverPath, server.key + server.cert, 0o600)
  }
  return { key: server.key, cert: server.cert + authority.cert, caPath }
}

function namesFor(hosts: readonly string[]): string[] {
  // A machine may be called something no certificate can say; then it simply is not named.
  const machine = domainToASCII(hostname()).toLowerCase()
  const names = new Set(['localhost', '127.0.0.1', '::1', ...(isName(machine) ? [machine] : [])])
  for (const host of hosts) {
    const name = isIP(host) === 0 ? domainToASCII(host).toLowerCase() : host
    if (isIP(name) === 0 && !isName(name)) throw new Error(`A certificate cannot be made for ${JSON.stringify(host)}: it is neither a name nor an address.`)
    names.add(name)
  }
  if (names.size > HOSTS_MAX) throw new Error(`A certificate is made for at most ${HOSTS_MAX} hosts.`)
  return [...names]
}

const isName = (name: string): boolean =>
  name.length <= 253 && /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(name)

const lasts = ({ cert }: Pair, now: number): boolean => {
  const { validFromDate, validToDate } = new X509Certificate(cert)
  return validFromDate.getTime() <= now && now + RENEW_DAYS * DAY_MS < validToDate.getTime()
}

const isSignedBy = (server: Pair, authority: Pair): boolean => new X509Certificate(server.cert).verify(new X509Certificate(authority.cert).publicKey)

const covers = ({ cert }: Pair, names: readonly string[]): boolean => {
  const certificate = new X509Certificate(cert)
  return names.every((name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined)
}

async function makeAuthority(now: number): Promise<Pair> {
  const x509 = await loadX509()
  const keys = await makeKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    // A number in the name: clients that trusted an earlier authority must not mistake this one for it.
    name: `CN=Earthflow development authority ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + AUTHORITY_DAYS * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { key: keyPem(keys), cert: certPem(certificate) }
}

async function makeServerCertificate(authority: Pair, names: readonly string[], now: number): Promise<Pair> {
  const x509 = await loadX509()
  const issuer = new x509.X509Certificate(authority.cert)
  const signingKey = createPrivateKey(authority.key).toCryptoKey(ALGORITHM, false, ['sign'])
  const keys = await makeKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: 'CN=Earthflow development',
    issuer: issuer.subject,
    notBefore: new Date(Math.max(now - BACKDATED_MS, issuer.notBefore.getTime())),
    notAfter: new Date(Math.min(now + SERVER_DAYS * DAY_MS, issuer.notAfter.getTime())),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))),
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  })
  return { key: keyPem(keys), cert: certPem(certificate) }
}

/** Only where a certificate is really made: a start that finds one does not pay for these packages, nor does production. */
async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata') // x509 2 throws without it, and it must come first
  return import('@peculiar/x509')
}

const makeKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])

const keyPem = (keys: webcrypto.CryptoKeyPair): string => KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString()

// The library ends a PEM without a newline, and two joined that way are none.
const certPem = (certificate: { toString: (format: 'pem') => string }): string => `${certificate.toString('pem').trimEnd()}\n`

/** 16 random bytes, positive and not beginning with zeros (RFC 5280, section 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0] & 0x7f) | 0x40
  return bytes.toString('hex')
}

/** A key and its certificate from one file; null when there is none or it is damaged. */
async function readPair(path: string): Promise<Pair | null> {
  const text = await readIfThere(path)
  const found =
    text && /^(-----BEGIN PRIVATE KEY-----\n[^-]+-----END PRIVATE KEY-----\n)(-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n)$/.exec(text)
  if (!found) return null
  const [, key, cert] = found
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)) ? { key, cert } : null
  } catch {
    return null // damaged: made anew, as if it were not there
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Readers see the old file or the new one, never half of one; two processes that start together leave one of two whole pairs. */
async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await writeFile(temporary, text, { mode, flag: 'wx' })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
