/** What keeps the master keys. Nothing else ever sees one: data keys go in and come out. */
import { cannotBeOpened, decrypt, encrypt, keyIdOf } from './envelope.ts'
import { masterKeyId, wrappingKey } from './master-key.ts'

export interface KeyProvider {
  /** The ids of the master keys that open something here, the current one first. */
  readonly ids: readonly [current: string, ...others: string[]]
  /** Encrypts a data key, bound to what it belongs to, under the current master key or another one. Throws for an id it does not have. */
  wrap(dataKey: Uint8Array, context: string, id?: string): Promise<string>
  /** Throws, without saying what it found, where none of its keys opens this, or it belongs to something else. */
  unwrap(wrapped: string, context: string): Promise<Buffer>
}

/** Of the master keys of the settings (the environment, or a file), the current one first; see parseMasterKeys. */
export function createKeyProvider(masterKeys: readonly Buffer[]): KeyProvider {
  const keys = new Map(masterKeys.map((key) => [masterKeyId(key), wrappingKey(key)]))
  const [current, ...others] = keys.keys()
  if (current === undefined) throw new Error('A keyring needs a master key.')

  return {
    ids: [current, ...others],
    async wrap(dataKey, context, id = current) {
      const key = keys.get(id)
      if (!key) throw new Error(`There is no master key ${id}.`)
      return encrypt(dataKey, { id, key }, context)
    },
    async unwrap(wrapped, context) {
      const key = keys.get(keyIdOf(wrapped) ?? '')
      if (!key) throw cannotBeOpened()
      return decrypt(wrapped, key, context)
    },
  }
}
