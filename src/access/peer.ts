/** Who is at the other end of a connection: its address, and the certificate it has shown. */
import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { canonicalAddress } from '../egress/address.ts'
import { namesIn } from './certificate-names.ts'
import { isWithin } from './networks.ts'

/** What is known of whoever is at the other end of a connection, whatever they say. */
export interface Peer {
  /** Of the client; where a trusted proxy is in front, the one it names. */
  address: string
  /** The names in the client certificate that was verified, as `clientCertificate` of a key may have them; null: none was shown. */
  certificate: readonly string[] | null
}

export interface PeerOptions {
  /** Addresses and networks whose word about whom they speak for is taken. */
  trustedProxies: readonly string[]
  /** Milliseconds since 1970. */
  now: () => number
}

/** Proxies in a row; a header that names more of them is believed nothing. */
const HOPS_MAX = 10

interface Known {
  peer: Peer
  isProxy: boolean
  /** When the certificate expires (milliseconds since 1970). */
  until: number
  /** What the proxy said last, and whom it meant. */
  forwarded: string
  named: Peer
}

/**
 * Of a request, from whom it is. Asked once per call: what a connection tells is read once. `X-Forwarded-For` is read only where the connection is a
 * trusted proxy's, from its right end: the first address that is no trusted proxy's is the client's, and what stands before it is anybody's word. No
 * header ever says anything about a certificate.
 */
export function createPeerOf({ trustedProxies, now }: PeerOptions): (incoming: Pick<IncomingMessage, 'socket' | 'headers'>) => Peer {
  const connections = new WeakMap<Socket, Known>()

  return ({ socket, headers }) => {
    let known = connections.get(socket)
    if (known === undefined) connections.set(socket, (known = read(socket)))
    if (known.until !== Number.POSITIVE_INFINITY && known.until <= now()) withoutCertificate(known)
    return known.isProxy ? forwardedBy(known, headers['x-forwarded-for']) : known.peer
  }

  function read(socket: Socket): Known {
    const address = canonicalAddress(socket.remoteAddress ?? '') ?? ''
    const certificate = verifiedOf(socket)
    const peer = { address, certificate: certificate && namesIn(certificate) }
    const until = certificate ? certificate.validToDate.getTime() : Number.POSITIVE_INFINITY
    return { peer, isProxy: trustedProxies.length > 0 && isWithin(address, trustedProxies), until, forwarded: '', named: peer }
  }

  function forwardedBy(known: Known, text: string | string[] | undefined): Peer {
    const forwarded = String(text ?? '')
    if (forwarded !== known.forwarded) {
      const address = clientIn(forwarded)
      known.named = address === null ? known.peer : { address, certificate: known.peer.certificate }
      known.forwarded = forwarded
    }
    return known.named
  }

  /** Null where nobody is named, or something that is no address. */
  function clientIn(forwarded: string): string | null {
    const hops = forwarded.split(',').slice(-HOPS_MAX)
    let address: string | null = null
    for (const hop of hops.reverse()) {
      address = addressIn(hop)
      if (address === null || !isWithin(address, trustedProxies)) return address
    }
    // Proxies all the way: it is the first of them that asks, if all of them are named.
    return hops.length < HOPS_MAX ? address : null
  }
}

/** The certificate has expired while the connection lasted. */
function withoutCertificate(known: Known): void {
  known.peer = { address: known.peer.address, certificate: null }
  known.until = Number.POSITIVE_INFINITY
  known.named = known.peer
  known.forwarded = ''
}

/** Null where none was asked for or none was shown. `authorized` alone says less: a resumed connection may be that without a certificate. */
const verifiedOf = (socket: Socket): X509Certificate | null =>
  socket instanceof TLSSocket && socket.authorized ? (socket.getPeerX509Certificate() ?? null) : null

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function addressIn(hop: string): string | null {
  const text = hop.trim()
  const [, inBrackets, beforePort] = /^\[([^\]]+)\](?::\d{1,5})?$|^([\d.]+):\d{1,5}$/.exec(text) ?? []
  return canonicalAddress(inBrackets ?? beforePort ?? text)
}
