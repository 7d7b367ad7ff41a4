/** A connection to the server's own database, on which tests create and drop theirs: one for a process, because each costs the server a process of its own. */
import { connect, type Socket } from 'node:net'
import postgres from 'postgres'

type Options = NonNullable<Parameters<typeof postgres>[1]>
type Target = { host: string[]; port: number[]; path?: string | undefined }

let client: postgres.Sql | undefined
let socket: Socket | undefined
let working = 0

/** Work on the server at a URL, the same one every time. Between two pieces of work the connection keeps no process alive. */
export async function asAdmin<T>(serverUrl: string | undefined, work: (admin: postgres.Sql) => Promise<T>): Promise<T> {
  if (!serverUrl) throw new Error('TEST_DATABASE_URL must name a PostgreSQL server on which databases may be created')
  client ??= postgres(serverUrl, { max: 1, max_lifetime: null, onnotice: () => {}, socket: open } as Options)
  if (working++ === 0) socket?.ref()
  try {
    return await work(client)
  } finally {
    if (--working === 0) socket?.unref()
  }
}

/** Called by postgres.js when there is work and no connection. */
function open({ host, port, path }: Target): Socket {
  socket = path ? connect(path) : connect({ host: host[0]!, port: port[0]! })
  return socket
}
