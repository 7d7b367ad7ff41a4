/** Tells when the certificate that is served is about to expire. */
import { X509Certificate } from 'node:crypto'

export interface Expiring {
  /** SHA-256 of the certificate, in hex. */
  fingerprint: string
  expiresAt: Date
  /** It is valid for so many days at most. */
  days: (typeof thresholds)[number]
  /** Nobody has told of it before. */
  since: Date
}

export interface ExpiryWatchOptions {
  /** Is told once of each of the thresholds that a certificate passes; where it rejects, again. Other processes may have told it already. */
  tell: (expiring: Expiring) => Promise<void>
  report: (error: unknown) => void
  /** Milliseconds since 1970. */
  now: () => number
}

export interface ExpiryWatch {
  /** This certificate (PEM) is served from now on. */
  served(cert: string): Promise<void>
  /** What happens by itself every hour. It asks nobody anything unless there is something to tell. Never rejects. */
  look(): Promise<void>
  /** Resolves when the look under way has ended. */
  close(): Promise<void>
}

const DAY_MS = 86_400_000
const LOOK_MS = 3_600_000
/** Days. The day more is for clocks that differ. */
const thresholds = [1, 3, 7, 14, 30] as const
const KNOWN_DAYS = 31

export function createExpiryWatch({ tell, report, now }: ExpiryWatchOptions): ExpiryWatch {
  let current: Pick<Expiring, 'fingerprint' | 'expiresAt'> | null = null
  /** What was told last. */
  let told: Expiring | null = null
  let underWay = Promise.resolve()

  const look = (): Promise<void> => (underWay = underWay.then(lookOnce))

  async function lookOnce(): Promise<void> {
    const left = current && (current.expiresAt.getTime() - now()) / DAY_MS
    const days = left === null ? undefined : thresholds.find((one) => left <= one)
    if (!current || days === undefined || (told?.fingerprint === current.fingerprint && told.days === days)) return
    const expiring = { ...current, days, since: new Date(current.expiresAt.getTime() - KNOWN_DAYS * DAY_MS) }
    try {
      await tell(expiring)
      told = expiring
    } catch (error) {
      report(error)
    }
  }

  const timer = setInterval(() => void look(), LOOK_MS).unref()
  return {
    look,
    served(cert) {
      const leaf = new X509Certificate(cert)
      current = { fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(), expiresAt: leaf.validToDate }
      return look()
    },
    close() {
      clearInterval(timer)
      return underWay
    },
  }
}
