/** A TCP relay in front of a PostgreSQL or Redis server, so that one test's outage is nobody else's. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export type Relay = {
  /** Reaches the server through the relay. */
  url: string
  /** The server is stopped: connections stay, nothing is answered. */
  freeze(): void
  thaw(): void
  /** What the server answers from now on comes so much later (ms); 0: at once. */
  slow(ms: number): void
  /** Another server takes its place, for connections made from now on. */
  lead(to: string): void
  /** The server is killed: connections are reset, new ones refused. */
  cut(): Promise<void>
  restore(): Promise<void>
  /** How many connections were made so far. */
  readonly connections: number
  close(): Promise<void>
}

/** Starts a relay on loopback to the server that a URL names. */
export async function startRelay(to: string): Promise<Relay> {
  let target = new URL(to)
  let slowMs = 0
  const pairs = new Set<[Socket, Socket]>()
  let frozen = false
  let connections = 0

  const listen = (port: number) => {
    const server = createServer((client) => {
      connections++
      const upstream = connect(Number(target.port || 5432), target.hostname)
      const pair: [Socket, Socket] = [client, upstream]
      pairs.add(pair)
      for (const [from, into] of [pair, pair.toReversed() as [Socket, Socket]]) {
        from.on('data', (bytes) => {
          if (slowMs > 0 && from === upstream) void delay(slowMs).then(() => into.write(bytes))
          else into.write(bytes)
        })
        from.on('error', () => into.destroy())
        from.on('close', () => {
          pairs.delete(pair)
          into.destroy()
        })
      }
      if (frozen) for (const socket of pair) socket.pause()
    }).listen(port, '127.0.0.1')
    return once(server, 'listening').then(() => server)
  }

  let server = await listen(0)
  const { port } = server.address() as AddressInfo
  const url = new URL(to)
  url.host = `127.0.0.1:${port}`

  const cut = async () => {
    const closed = once(server, 'close')
    server.close()
    for (const [client] of pairs) client.resetAndDestroy()
    await closed
  }

  return {
    url: url.href,
    freeze() {
      frozen = true
      for (const socket of [...pairs].flat()) socket.pause()
    },
    thaw() {
      frozen = false
      for (const socket of [...pairs].flat()) socket.resume()
    },
    slow(ms) {
      slowMs = ms
    },
    lead(other) {
      target = new URL(other)
    },
    cut,
    async restore() {
      server = await listen(port)
    },
    get connections() {
      return connections
    },
    close: cut,
  }
}
