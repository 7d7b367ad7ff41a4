import { isLoopback } from '../egress/address.ts'
import { isLocalhost, plainHost } from '../egress/host.ts'

/** Whether a host of a URL is this machine, which no network lies between; a path of a socket counts. */
export function isHere(hostname: string): boolean {
  const host = plainHost(hostname)
  return host === '' || host.startsWith('/') || host.startsWith('%2f') || isLocalhost(host) || isLoopback(host)
}
