/** The dashboard's own port: opened like the proxy's, and closed with it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isWithin } from './access/networks.ts'
import { createPeerOf } from './access/peer.ts'
import { createDashboard } from './dashboard/dashboard.ts'
import { createRequestListener } from './dashboard/request-listener.ts'
import { createDrain, type Drain } from './drain.ts'
import { listen } from './listen.ts'
import { createHostCheck } from './proxy/allowed-hosts.ts'
import { createHealth, type HealthParts, type Serving, type ServingParts, servingOf } from './serving.ts'

export interface DashboardPortParts extends HealthParts, Pick<ServingParts, 'admin' | 'certificateExpiring' | 'log' | 'report'> {
  /** Nobody else listens in this process. */
  isAlone: boolean
  /** The port of the proxy, once that is known. */
  proxyPort: () => number
}

const LOOPBACK = ['127.0.0.0/8', '::1']
/** Names that whoever is at this machine goes by; no other site can be called so. */
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1']

/** Resolves when it listens. Throws where the port or the certificate do not let it. */
export async function openDashboard(parts: DashboardPortParts): Promise<Serving> {
  const { config, version, admin, log, metrics, isAlone, proxyPort, certificateExpiring, report } = parts
  const { host, port } = config.dashboard
  let draining: Drain | null = null
  let caPath: string | null = null
  const { checks, operations } = createHealth(parts, () => draining?.isDraining ?? false)
  const dashboard = createDashboard({
    management: admin,
    version,
    proxyUrl: () => config.publicUrl ?? `${config.tls.mode === 'terminated' ? 'http' : 'https'}://localhost:${proxyPort()}`,
    caPath: () => (config.publicUrl === null ? caPath : null),
    now: Date.now,
    report,
  })
  const isLocal = host === 'localhost' || isWithin(host, LOOPBACK)
  const listener = createRequestListener({
    dashboard,
    operations,
    peerOf: createPeerOf({ trustedProxies: config.trustedProxies, now: Date.now }),
    isAllowedHost: config.allowedHosts && createHostCheck(isLocal ? [...config.allowedHosts, ...LOCAL_HOSTS] : config.allowedHosts),
    needsCertificate: config.clientCaPath !== null,
    isTerminated: config.tls.mode === 'terminated',
    isStrictTransport: config.tls.mode !== 'auto',
    report,
  })
  const door = await listen(listener, { config, at: { host, port }, log, metrics: isAlone ? metrics : null, certificateExpiring })
  caPath = door.caPath
  const drain = createDrain({
    door,
    // What is under way here is over in a moment.
    open: () => 0,
    cutAll: () => {},
    stopWaiting: () => {},
    drainMs: config.drainMs,
    now: () => performance.now(),
    sleep,
  })
  draining = drain
  return servingOf(door, drain, checks)
}
