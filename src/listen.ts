/** The port: its certificate, which is taken anew when its files change, and what listens there. */
import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isWithin } from './access/networks.ts'
import { type Config, ConfigError } from './config.ts'
import { createExpiryWatch, type ExpiryWatchOptions } from './proxy/certificate-expiry.ts'
import { type Certificates, createCertificateWatch, isAuthorities } from './proxy/certificate-watch.ts'
import { ensureDevelopmentCertificate } from './proxy/certificates.ts'
import { createListener, type Listener } from './proxy/listener.ts'
import { describeError, type Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'

export interface Listening {
  listener: Listener
  port: number
  /** Where the authority of the certificate lies, when it is ours. */
  caPath: string | null
  /** Every answer says from now on that its connection closes. */
  announceClose(): void
  /** Accepts nothing new; resolves when every connection is closed. Those without a call end after so many milliseconds. */
  close(idleAfterMs: number): Promise<void>
  closeAllConnections(): void
  /** Looks no more for new certificates, nor when the one that is served expires. */
  stopWatching(): Promise<void>
}

/** Where nothing is said about it: what waits to be accepted while a process is busy. */
const BACKLOG = 4096

export interface ListenParts {
  config: Config
  at: { host: string; port: number }
  log: Log
  /** Null: another port of this process tells the same. */
  metrics: Metrics | null
  /** Is told when the certificate that is served is about to expire. */
  certificateExpiring: ExpiryWatchOptions['tell']
}

/** Resolves when it listens. Throws where the port, the certificate or the authorities do not let it. */
export async function listen(app: RequestListener, { config, at, log, metrics, certificateExpiring }: ListenParts): Promise<Listening> {
  const tls = await certificatesOf(config)
  const listener = createListener(app, {
    mode: config.tls.mode,
    tls: tls && contextOf(tls),
    bodyBytesMax: config.bodyBytesMax,
    connectionsMax: config.connections.max,
    connectionsPerSourceMax: config.connections.perSourceMax,
    isUncapped: (address) => isWithin(address, config.trustedProxies),
  })
  const expiry = createExpiryWatch({
    tell: certificateExpiring,
    report: (error) => log.warn(describeError(error), 'that the certificate expires soon could not be told; trying again'),
    now: Date.now,
  })
  const { certPath, keyPath } = config.tls
  const watch =
    tls === null || certPath === null || keyPath === null
      ? null
      : createCertificateWatch({
          paths: { key: keyPath, cert: certPath, ca: config.clientCaPath },
          served: tls,
          take(certificates) {
            listener.setSecureContext(contextOf(certificates))
            void expiry.served(certificates.cert)
          },
          report: (problem) =>
            problem
              ? log.error(describeError(problem), 'the certificate files are not taken; the certificate served goes on')
              : log.info('the certificate files are served'),
          now: Date.now,
        })
  if (metrics && watch) {
    metrics.gauge(
      'earthflow_certificate_expires_seconds',
      'Seconds until the certificate that is served expires.',
      () => (watch.expiresAt() - Date.now()) / 1000,
      'min',
    )
  }
  metrics?.gauge('earthflow_connections', 'Connections of clients that are open.', () => listener.counts().open)
  metrics?.counted(
    'earthflow_connections_refused_total',
    'Connections that were closed at once, because there were too many: in_all, or of_source.',
    () => ({ in_all: listener.counts().refusedInAll, of_source: listener.counts().refusedOfSource }),
    'reason',
  )
  metrics?.counted(
    'earthflow_connections_stalled_total',
    'Connections that were closed because their client took nothing any more.',
    () => listener.counts().stalled,
  )
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ ...at, backlog: BACKLOG }, () => {
      listener.off('error', reject)
      resolve()
    })
  })
  if (tls) void expiry.served(tls.cert)
  const address = listener.address()
  let closed: Promise<void> | undefined
  return {
    listener,
    port: typeof address === 'object' && address ? address.port : at.port,
    caPath: tls?.caPath ?? null,
    announceClose: () => listener.announceClose(),
    close: (idleAfterMs) => (closed ??= new Promise<void>((resolve) => listener.close(() => resolve(), { idleAfterMs }))),
    closeAllConnections: () => listener.closeAllConnections(),
    stopWatching() {
      watch?.close()
      return expiry.close()
    },
  }
}

/** `ca` is left out where nobody is asked for a certificate: with it clients are. */
const contextOf = ({ key, cert, ca }: Certificates) => ({ key, cert, ...(ca !== null && { ca }) })

/** What is served first; null where somebody else speaks TLS. */
async function certificatesOf({ tls, clientCaPath, dataDir }: Config): Promise<(Certificates & { caPath: string | null }) | null> {
  if (tls.mode === 'terminated') return null
  const ca = clientCaPath === null ? null : readFileSync(clientCaPath, 'utf8')
  if (ca !== null && !isAuthorities(ca)) throw new ConfigError(['TLS_CA_PATH names a file that holds no certificates in PEM.'])
  if (tls.certPath !== null && tls.keyPath !== null) {
    return { key: readFileSync(tls.keyPath, 'utf8'), cert: readFileSync(tls.certPath, 'utf8'), ca, caPath: null }
  }
  const made = await ensureDevelopmentCertificate(join(dataDir, 'certs'), { hosts: ['localhost', '127.0.0.1', '::1', hostname()], now: Date.now() })
  return { ...made, ca }
}
