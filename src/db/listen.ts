/** Keeps one connection listening to a NOTIFY channel, for as long as the server lets it, and again when it does not. */
import type postgres from 'postgres'

const AGAIN_MS = 1_000
const CLOSE_SECONDS = 1

type Events = { onnotify: () => void; onclose: () => void }

/** Calls `onNotify` for every notification, and once whenever listening began. Never throws: a notification is a hint, and whoever takes hints also polls. */
export function listenTo(open: (events: Events) => postgres.Sql, channel: string, onNotify: () => void): { close(): Promise<void> } {
  let client: postgres.Sql | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  listen()

  function listen(): void {
    timer = undefined
    // A fresh client each time; renewing-client.ts says why.
    const own: postgres.Sql = open({ onnotify: onNotify, onclose: () => own === client && again() })
    client = own
    own.unsafe(`listen "${channel}"`).then(
      () => own === client && onNotify(),
      () => own === client && again(),
    )
  }

  function again(): void {
    const lost = client
    client = undefined
    void lost?.end({ timeout: 0 }).catch(() => {})
    if (!closed) timer = setTimeout(listen, AGAIN_MS).unref()
  }

  return {
    async close() {
      closed = true
      clearTimeout(timer)
      const last = client
      client = undefined
      await last?.end({ timeout: CLOSE_SECONDS })
    },
  }
}
