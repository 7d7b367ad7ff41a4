/** Decides where the program may connect to. Asked when a URL is configured and again, about real addresses, whenever a connection is made. */
import { networkInterfaces } from 'node:os'
import { canonicalAddress, embeddedIPv4, isLoopback, isPublicAddress, isTranslated } from './address.ts'
import type { EgressAllow } from './allow.ts'
import { EgressRefused, OutOfReach, parseOutgoingUrl } from './check-url.ts'
import { isLocalhost } from './host.ts'
import type { Lookup } from './lookup.ts'
import { isOpenPort } from './ports.ts'

/** Where this process listens, as its servers' address() says. */
export interface OwnListener {
  address: string
  port: number
}

export interface UrlCheck {
  /** A sentence when the name could not be resolved now, which refuses nothing; every connection is judged again anyway. */
  warning: string | null
}

export interface Guard {
  /** Judges a URL before it is stored. `unless opened` lets http pass to addresses that EGRESS_ALLOW opens, such as a model server's next door. Throws EgressRefused. */
  check: (url: string, options: { https: 'required' | 'optional' | 'unless opened' }) => Promise<UrlCheck>
  /** All addresses of a host, every one of them judged. Throws EgressRefused, or whatever the resolver throws. */
  addressesOf: (host: string, port: number) => Promise<readonly string[]>
  /** Judges one address. Throws EgressRefused. */
  judge: (host: string, address: string, port: number) => void
}

const CHECK_LOOKUP_MS = 3_000

export interface GuardOptions {
  allow: EgressAllow
  lookup: Lookup
  own: () => readonly OwnListener[]
  /** The setting that keeps everything off the internet, as it stands, for the sentence that says so; null or left out: none does. */
  internetClosedBy?: string | null
}

export function createGuard({ allow, lookup, own, internetClosedBy = null }: GuardOptions): Guard {
  const judge = (host: string, address: string, port: number): void => {
    if (own().some((listener) => listener.port === port && leadsTo(listener, address))) throw new EgressRefused('This URL leads back to Earthflow itself.')
    if (internetClosedBy !== null && leadsOutside(address)) throw new OutOfReach(`${host} is on the internet, which ${internetClosedBy} closes.`)
    const destination = { host, address, port }
    if (!isPublicAddress(address) && !allow.permits(destination)) {
      throw new EgressRefused(`${host} is not an address on the internet, and EGRESS_ALLOW does not open it.`)
    }
    if (!isOpenPort(port) && !allow.namesPort(destination)) throw closedPort(port)
  }

  const addressesOf = async (host: string, port: number): Promise<readonly string[]> => {
    const addresses = await resolve(host, lookup)
    if (addresses.length === 0) throw new Error('The name has no address.')
    // One bad address refuses the name: whoever answers for it decides which of them a connection would try first.
    for (const address of addresses) judge(host, address, port)
    return addresses
  }

  const check: Guard['check'] = async (text, { https }) => {
    const { url, host, port } = parseOutgoingUrl(text, https === 'required' ? https : 'optional')
    const needsOpening = https === 'unless opened' && url.protocol === 'http:'
    try {
      const addresses = await within(CHECK_LOOKUP_MS, addressesOf(host, port))
      if (needsOpening && !addresses.every((address) => allow.permits({ host, address, port }))) throw plainHttp()
      return { warning: null }
    } catch (error) {
      if (error instanceof EgressRefused) throw error
      if (needsOpening) throw plainHttp()
      if (!isOpenPort(port) && !allow.namesPort({ host, address: '', port })) throw closedPort(port)
      return { warning: `The name ${host} could not be resolved now.` }
    }
  }
  return { check, addressesOf, judge }
}

async function resolve(host: string, lookup: Lookup): Promise<readonly string[]> {
  const literal = canonicalAddress(host)
  if (literal !== null) return [literal]
  return isLocalhost(host) ? ['127.0.0.1', '::1'] : lookup(host)
}

/** An opened NAT64 network leads to the internet too; of what leads somewhere that cannot be told, it is assumed. */
const leadsOutside = (address: string): boolean => isPublicAddress(address) || isTranslated(address) || isPublicAddress(embeddedIPv4(address) ?? '')

/** A wildcard listener answers on every address of the machine, and the wildcard as a destination means the machine. */
function leadsTo(listener: OwnListener, address: string): boolean {
  const wanted = canonicalAddress(address)
  const listening = canonicalAddress(listener.address)
  if (wanted === listening || wanted === '0.0.0.0' || wanted === '::') return true
  if (listening !== '0.0.0.0' && listening !== '::') return false
  if (isLoopback(address)) return true
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((one) => canonicalAddress(one.address) === wanted))
}

const plainHttp = (): EgressRefused => new EgressRefused('The URL must begin with https://, unless EGRESS_ALLOW opens its address.')

const closedPort = (port: number): EgressRefused =>
  new EgressRefused(`Port ${port} is not one that an AI provider or a webhook uses; EGRESS_ALLOW can open it.`)

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('It took too long.')), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
