/** Who may listen in, and who may ask at all. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readOrNull } from '../../config.ts'
import { plainHost } from '../../egress/host.ts'
import { type Check, type Context, type Finding, fail, warn } from '../check.ts'
import { isHere } from '../is-here.ts'
import { liesOutside } from '../lies-outside.ts'

const DAY_MS = 86_400_000
const EXPIRES_DAYS_MIN = 30
const RSA_BITS_MIN = 2048
/** What makes a connection to PostgreSQL encrypted whatever the server prefers, as libpq names it. */
const WILDCARDS = new Set(['0.0.0.0', '::'])
const ENCRYPTED = new Set(['require', 'verify-ca', 'verify-full'])

export const transportChecks: readonly Check[] = [
  {
    name: 'tls',
    about: 'callers are spoken to in TLS',
    run: ({ config: { tls, trustedProxies } }) => {
      const everybody = trustedProxies.filter((network) => network.endsWith('/0'))
      return [
        ...(tls.mode === 'terminated'
          ? [warn('EARTHFLOW_TLS=terminated: calls arrive in clear. Make sure that nobody but the TLS proxies of TRUSTED_PROXIES reaches the port.')]
          : []),
        ...(tls.mode === 'auto' ? [fail('EARTHFLOW_TLS=auto also answers calls in clear: set EARTHFLOW_TLS=on, with TLS_CERT_PATH and TLS_KEY_PATH.')] : []),
        ...(everybody.length > 0 ? [fail('TRUSTED_PROXIES holds every address, so that everybody may say who they are: name the TLS proxies alone.')] : []),
      ]
    },
  },
  {
    name: 'certificate',
    about: 'the certificate, its key and the authorities of clients fit, are strong, and hold a while',
    run: ({ config: { tls, clientCaPath }, now }) => [
      ...(tls.certPath !== null && tls.keyPath !== null ? servedBy(tls.certPath, tls.keyPath, now()) : []),
      ...(clientCaPath === null ? [] : authoritiesIn(clientCaPath, now())),
    ],
  },
  {
    name: 'hosts',
    about: 'it is known by which names Earthflow may be asked, and from which pages',
    run: ({ config: { host, allowedHosts, allowedOrigins } }) => [
      ...(allowedHosts === null && !isHere(host)
        ? [warn('ALLOWED_HOSTS is empty, so that Earthflow answers under any name: say under which one it is to be asked.')]
        : []),
      ...allowedOrigins
        .filter((origin) => origin.startsWith('http:') && !isHere(new URL(origin).hostname))
        .map((origin) => fail(`ALLOWED_ORIGINS holds ${origin}, whose pages anybody on the way can change: use https.`)),
    ],
  },
  {
    name: 'dashboards-exposed',
    about: 'pages that need no key are not shown to whoever reaches the machine',
    run: ({ config: { host, allowedHosts } }) =>
      allowedHosts === null && WILDCARDS.has(plainHost(host))
        ? [
            warn(
              `EARTHFLOW_HOST=${host} listens on every address, under any name: whoever reaches one sees without a key the page of the API (/docs, /openapi.json), /health, /info, and a login to try passwords at. Set EARTHFLOW_HOST to an inner address, or ALLOWED_HOSTS, and keep strangers out with a firewall.`,
            ),
          ]
        : [],
  },
  {
    name: 'database-tls',
    about: 'the way to PostgreSQL is encrypted, unless it stays on this machine',
    run: ({ config: { database } }) => {
      if (database.kind === 'embedded' || database.tls) return []
      const { hostname, searchParams } = new URL(database.url)
      if (isHere(hostname)) return []
      const mode = searchParams.get('sslmode') ?? searchParams.get('ssl') ?? ''
      if (mode === 'verify-full') return []
      if (ENCRYPTED.has(mode)) return [warn(`sslmode=${mode} in DATABASE_URL does not verify who answers: set POSTGRES_TLS=true, or sslmode=verify-full.`)]
      return [fail('PostgreSQL is spoken to in clear: set POSTGRES_TLS=true.')]
    },
  },
  {
    name: 'redis-tls',
    about: 'the way to Redis is encrypted, unless it stays on this machine',
    run: ({ config: { redisUrl } }) => {
      if (redisUrl === null) return []
      const { protocol, hostname } = new URL(redisUrl)
      return protocol === 'rediss:' || isHere(hostname)
        ? []
        : [fail('Redis is spoken to in clear: set REDIS_TLS=true, or a REDIS_URL that begins with rediss://.')]
    },
  },
  {
    name: 'traces',
    about: 'the way to the collector of traces is encrypted, unless it stays on this machine',
    run: async (context) => {
      const { traces, locality } = context.config
      if (traces === null) return []
      const { protocol, hostname } = new URL(traces.url)
      return [
        ...(protocol === 'http:' && !isHere(hostname)
          ? [warn('OTEL_EXPORTER_OTLP_ENDPOINT is spoken to in clear: who calls what, and when, can be read on the way. Use https.')]
          : []),
        ...(locality.kind !== 'any' && (await liesOutside(traces.url, context))
          ? [fail('OTEL_EXPORTER_OTLP_ENDPOINT is on the internet, which EARTHFLOW_LOCALITY closes: name a collector within.')]
          : []),
      ]
    },
  },
  {
    name: 'identity-providers',
    about: 'identity providers are spoken to in TLS, and can be reached at all',
    run: async (context) => [
      ...context.config.oidcIssuers
        .filter(({ issuer, jwks_uri }) => [issuer, jwks_uri ?? issuer].some((url) => url.startsWith('http:') && !isHere(new URL(url).hostname)))
        .map(({ issuer }) => fail(`OIDC_ISSUERS: the keys of ${issuer} come in clear, so that anybody on the way can log in as anybody: use https.`)),
      ...(context.config.locality.kind === 'local-only' ? await outOfReach(context) : []),
    ],
  },
]

async function outOfReach(context: Context): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const { issuer, jwks_uri } of context.config.oidcIssuers)
    if (await liesOutside(jwks_uri ?? issuer, context))
      findings.push(
        fail(`OIDC_ISSUERS: the keys of ${issuer} are on the internet, which EARTHFLOW_LOCALITY=local-only closes, so nobody of it logs in: name one within.`),
      )
  return findings
}

function servedBy(certPath: string, keyPath: string, now: number): Finding[] {
  const [certificate] = certificatesIn(certPath)
  if (!certificate) return [fail('TLS_CERT_PATH holds no certificate that can be read.')]
  const key = privateKeyIn(keyPath)
  return [
    ...validity('The certificate of TLS_CERT_PATH', certificate, now),
    ...(key === null ? [fail('TLS_KEY_PATH holds no private key that can be read.')] : []),
    ...(key !== null && !certificate.checkPrivateKey(key) ? [fail('TLS_KEY_PATH is not the key of the first certificate in TLS_CERT_PATH.')] : []),
  ]
}

function authoritiesIn(path: string, now: number): Finding[] {
  const authorities = certificatesIn(path)
  if (authorities.length === 0) return [fail('TLS_CA_PATH holds no certificate that can be read.')]
  return authorities.flatMap((authority) => validity('An authority in TLS_CA_PATH', authority, now))
}

function validity(what: string, { validFromDate, validToDate, publicKey }: X509Certificate, now: number): Finding[] {
  const days = Math.floor((validToDate.getTime() - now) / DAY_MS)
  const bits = publicKey.asymmetricKeyType === 'rsa' ? (publicKey.asymmetricKeyDetails?.modulusLength ?? 0) : RSA_BITS_MIN
  return [
    ...(validFromDate.getTime() > now ? [fail(`${what} is not valid yet: look at the clock, or ask for another.`)] : []),
    ...(days < 0 ? [fail(`${what} has expired: renew it.`)] : days < EXPIRES_DAYS_MIN ? [warn(`${what} expires in ${days} days: renew it.`)] : []),
    ...(bits < RSA_BITS_MIN ? [fail(`${what} has an RSA key of ${bits} bits: use at least ${RSA_BITS_MIN}.`)] : []),
  ]
}

function certificatesIn(path: string): X509Certificate[] {
  try {
    const found = readOrNull(path)?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    return found.map((pem) => new X509Certificate(pem))
  } catch {
    return []
  }
}

function privateKeyIn(path: string): ReturnType<typeof createPrivateKey> | null {
  try {
    return createPrivateKey(readOrNull(path) ?? '')
  } catch {
    return null
  }
}
