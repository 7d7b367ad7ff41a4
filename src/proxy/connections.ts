/** The connections of a port: how many there are and from whom, and which of them hold it up. */
import type { Socket } from 'node:net'

export interface ConnectionBounds {
  /** Connections from one source; one more is closed before a byte of it is read. */
  perSourceMax: number
  /** Whether an address may have any number: a proxy's, behind which everybody is. */
  isUncapped(address: string): boolean
  /** Milliseconds in which a peer has to take something of what waits for it. */
  writeStallMs: number
  /** Milliseconds in which something of a body has to come, as long as it is not all there. */
  bodyIdleMs: number
  /** Milliseconds that a body has in any case. */
  bodyMs: number
  /** What has to have come of it by then, and at any time after, on average since its request began. */
  bodyBytesPerSecondMin: number
  /** Whether a request has begun on a connection whose body is not all there. */
  isReceiving(socket: Socket): boolean
  /** Is told of a connection whose body does not come, or too slowly. */
  late(socket: Socket): void
  now: () => number
}

export interface Connections {
  /** False where the source has too many: then the socket is destroyed. */
  add(socket: Socket): boolean
  /** The time of a body begins: the head of its request is there. */
  began(socket: Socket): void
  sockets(): Iterable<Socket>
  readonly counts: Readonly<ConnectionCounts>
}

export interface ConnectionCounts {
  open: number
  /** Closed at once because their source had too many, since the start. */
  refusedOfSource: number
  /** Destroyed because nothing was taken of what waited for them, since the start. */
  stalled: number
}

interface Watched {
  /** Bytes that the system has taken while others wait, null when none do; and when that last changed. */
  taken: number | null
  takenAt: number
  /** Bytes that came, and when that last changed. */
  read: number
  readAt: number
  /** When the latest request began, and how many bytes had come by then. */
  beganAt: number
  readBefore: number
}

/** All connections are looked at this often, by one timer that runs only while there are any. */
const SWEEP_MS = 1_000

export function createConnections(bounds: ConnectionBounds): Connections {
  const { perSourceMax, isUncapped, writeStallMs, bodyIdleMs, bodyMs, bodyBytesPerSecondMin, isReceiving, late, now } = bounds
  const watched = new Map<Socket, Watched>()
  const sources = new Map<string, number>()
  const counts: ConnectionCounts = { open: 0, refusedOfSource: 0, stalled: 0 }
  let timer: NodeJS.Timeout | undefined

  function sweep(): void {
    const at = now()
    for (const [socket, seen] of watched) {
      const taken = takenOf(socket)
      if (taken !== seen.taken) {
        seen.taken = taken
        seen.takenAt = at
      } else if (taken !== null && at - seen.takenAt >= writeStallMs) {
        counts.stalled++
        socket.destroy()
        continue
      }
      const { bytesRead } = socket
      const receives = isReceiving(socket)
      if (bytesRead !== seen.read || !receives) {
        seen.read = bytesRead
        seen.readAt = at
      }
      if (receives && (at - seen.readAt >= bodyIdleMs || drips(seen, at))) late(socket)
    }
  }
  function drips({ beganAt, read, readBefore }: Watched, at: number): boolean {
    const seconds = (at - beganAt) / 1_000
    return at - beganAt >= bodyMs && read - readBefore < bodyBytesPerSecondMin * seconds
  }

  return {
    counts,
    add(socket) {
      const { remoteAddress = '' } = socket
      const source = isUncapped(remoteAddress) ? null : sourceOf(remoteAddress)
      const fromSource = source === null ? 0 : (sources.get(source) ?? 0)
      if (fromSource >= perSourceMax) {
        counts.refusedOfSource++
        socket.destroy()
        return false
      }
      if (source !== null) sources.set(source, fromSource + 1)
      const at = now()
      watched.set(socket, { taken: null, takenAt: at, read: 0, readAt: at, beganAt: at, readBefore: 0 })
      counts.open++
      timer ??= setInterval(sweep, Math.min(SWEEP_MS, writeStallMs, bodyIdleMs, bodyMs)).unref()
      socket.once('close', () => {
        watched.delete(socket)
        counts.open--
        if (source !== null) leave(source)
        if (counts.open > 0) return
        clearInterval(timer)
        timer = undefined
      })
      return true
    },
    began(socket) {
      const seen = watched.get(socket)
      if (!seen) return
      seen.beganAt = now()
      seen.readBefore = socket.bytesRead
    },
    sockets: () => watched.keys(),
  }

  function leave(source: string): void {
    const left = (sources.get(source) ?? 1) - 1
    if (left === 0) sources.delete(source)
    else sources.set(source, left)
  }
}

/**
 * How many bytes of what waits for the peer the system has taken; null where nothing waits. Of a connection under TLS too, whose own streams know nothing of
 * it (undocumented, hence the `?.`; it is how Node's own time-outs tell a slow reader from one that stands still).
 */
function takenOf(socket: Socket): number | null {
  const { _handle: handle } = socket as { _handle?: { writeQueueSize?: number; bytesWritten?: number } | null }
  const waiting = handle?.writeQueueSize ?? 0
  return waiting === 0 ? null : (handle?.bytesWritten ?? 0) - waiting
}

const GROUPS = 8
const GROUPS_OF_NETWORK = 4

/** Who an address is counted as: an IPv4 address itself, however it is written; of IPv6 the /64, all of which one customer has (RFC 6177). */
export function sourceOf(address: string): string {
  if (!address.includes(':')) return address
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1)
  const [head, tail] = address.split('%', 1)[0].split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? 0 : tail.split(':').length
  if (tail !== undefined) while (groups.length < Math.min(GROUPS_OF_NETWORK, GROUPS - after)) groups.push('0')
  if (groups.length < GROUPS_OF_NETWORK && tail) groups.push(...tail.split(':'))
  return `${groups.slice(0, GROUPS_OF_NETWORK).join(':')}::/64`
}
