/** The management API of a process, loaded with its first request: most of several processes are only ever asked for calls, and it takes 17 MB and 0.2 s. */
import type { Admin } from './app.ts'
import type { AdminParts } from './parts.ts'

/** What it answers with waits for the load the first time. Whoever asks meanwhile waits for the same load. */
export function loadAdmin(parts: AdminParts): Pick<Admin, 'fetch'> {
  let loading: Promise<Admin> | undefined
  const load = async (): Promise<Admin> => (await import('./app.ts')).createAdmin(parts)
  return {
    fetch: async (request, peer) => {
      loading ??= load().catch((error: unknown) => {
        loading = undefined
        throw error
      })
      return (await loading).fetch(request, peer)
    },
  }
}
