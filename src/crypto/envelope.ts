/** The form in which everything is encrypted: compact JWE (RFC 7516, `dir`, AES-256-GCM, a random IV each). */
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'

/** Encrypts under a key of 32 bytes. Its id and what the text belongs to stand in the authenticated header. */
export function encrypt(plaintext: Uint8Array, { id, key }: { id: string; key: Uint8Array }, context: string): Promise<string> {
  return new CompactEncrypt(plaintext).setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: id, ctx: context }).encrypt(key)
}

/** Throws one error for all causes: another key, another context, a changed or cut text. */
export async function decrypt(sealed: string, key: Uint8Array, context: string): Promise<Buffer> {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(sealed, key, { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] })
    if (protectedHeader.ctx !== context) throw new Error('It was sealed for another place.')
    return Buffer.from(plaintext)
  } catch (error) {
    throw cannotBeOpened(error)
  }
}

/** The id of the key a text says it was encrypted under; null where it says none. Whether that is so, only `decrypt` knows. */
export function keyIdOf(sealed: string): string | null {
  try {
    const { kid } = decodeProtectedHeader(sealed)
    return typeof kid === 'string' ? kid : null
  } catch {
    return null
  }
}

export const cannotBeOpened = (cause?: unknown): Error => new Error('A sealed value cannot be opened.', { cause })
