/** Authorities and what they sign, for clients and servers of tests. */
import 'reflect-metadata'
import { KeyObject, randomBytes, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

export interface Pair {
  key: string
  cert: string
}

export interface Wanted {
  subject?: string
  names?: x509.JsonGeneralNames
  /** Days from now. */
  from?: number
  to?: number
  usage?: 'client' | 'server'
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000
const days = (count: number): Date => new Date(Date.now() + count * DAY_MS)

export interface Authority {
  /** PEM. */
  cert: string
  issue(wanted?: Wanted): Promise<Pair>
}

export async function makeAuthority(): Promise<Authority> {
  const keys = await makeKeys()
  const own = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=authority ${randomBytes(4).toString('hex')}`,
    notBefore: days(-1_000),
    notAfter: days(1_000),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)],
  })
  return {
    cert: pem(own),
    async issue({ subject = 'CN=robot', names, from = -1, to = 30, usage = 'client' } = {}) {
      const { publicKey, privateKey } = await makeKeys()
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject,
        issuer: own.subject,
        notBefore: days(from),
        notAfter: days(to),
        publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.ExtendedKeyUsageExtension([usage === 'client' ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth]),
          ...(names ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        ],
      })
      return { key: KeyObject.from(privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(), cert: pem(certificate) }
    },
  }
}

const makeKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
const pem = (certificate: x509.X509Certificate): string => `${certificate.toString('pem').trimEnd()}\n`
const serialNumber = (): string => `40${randomBytes(15).toString('hex')}`
