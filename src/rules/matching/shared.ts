import { hash } from 'node:crypto'

/**
 * Gives what is made of a key, made once for all who need it at the same time, and forgotten when nobody has it any more. Policies have most of their
 * patterns in common: with the version before, and with other tenants under the same preset.
 */
export function createShared<T extends object>(): (key: string, make: () => T) => T {
  const known = new Map<string, WeakRef<T>>()
  const forgotten = new FinalizationRegistry<string>((digest) => {
    if (known.get(digest)?.deref() === undefined) known.delete(digest)
  })
  return (key, make) => {
    const digest = hash('sha256', key, 'base64url')
    const found = known.get(digest)?.deref()
    if (found) return found
    const made = make()
    known.set(digest, new WeakRef(made))
    forgotten.register(made, digest)
    return made
  }
}
