import { statfs } from 'node:fs/promises'

/** The smallest free share of the volumes that these folders lie on, 0..1. A folder that cannot be asked has none: nothing can be written there. */
export async function freeShareOf(folders: readonly string[]): Promise<number> {
  const shares = await Promise.all(
    folders.map((folder) =>
      statfs(folder).then(
        ({ bavail, blocks }) => (blocks > 0 ? bavail / blocks : 0),
        () => 0,
      ),
    ),
  )
  return Math.min(...shares)
}
