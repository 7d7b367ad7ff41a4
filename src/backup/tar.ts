/** The tar format, as much of it as archives of ours need: POSIX ustar (IEEE Std 1003.1, pax, "ustar Interchange Format"), sizes beyond 8 GiB as GNU writes them. */
import { Told } from '../cli/told.ts'

export const BLOCK_BYTES = 512

export interface Member {
  name: string
  bytes: number
  isFolder: boolean
}

const NAME_BYTES_MAX = 100
const PREFIX_BYTES_MAX = 155
const OCTAL_SIZE_MAX = 8 ** 11
const CHECKSUM = { at: 148, bytes: 8 }

/** The block before a member. Throws for a name that is too long for the format. */
export function headerOf({ name, bytes, isFolder }: Member, at: Date): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES)
  const [prefix, rest] = splitName(isFolder ? `${name}/` : name)
  block.write(rest, 0)
  block.write(isFolder ? '0000700\0' : '0000600\0', 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  writeSize(block, bytes)
  block.write(
    `${Math.max(0, Math.floor(at.getTime() / 1000))
      .toString(8)
      .padStart(11, '0')}\0`,
    136,
  )
  block.write(isFolder ? '5' : '0', 156)
  block.write('ustar\x0000', 257)
  block.write(prefix, 345)
  block.write(`${sumOf(block).toString(8).padStart(6, '0')}\0 `, CHECKSUM.at)
  return block
}

/** What fills a member of so many bytes up to whole blocks. */
export const paddingOf = (bytes: number): Buffer => Buffer.alloc((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES)

/** Two empty blocks end an archive. */
export const end = (): Buffer => Buffer.alloc(2 * BLOCK_BYTES)

/** Null for the empty block that ends an archive. Throws Told for what is no header as we write them: no bit of one can change unnoticed. */
export function readHeader(block: Buffer): Member | null {
  if (block.length < BLOCK_BYTES) throw new Told('The archive is damaged: it was cut off.')
  if (block.every((byte) => byte === 0)) return null
  const prefix = textAt(block, 345, PREFIX_BYTES_MAX)
  const name = `${prefix === '' ? '' : `${prefix}/`}${textAt(block, 0, NAME_BYTES_MAX)}`.replace(/\/$/, '')
  const member = { name, bytes: readSize(block), isFolder: block.toString('latin1', 156, 157) === '5' }
  if (!headerOf(member, new Date(octalAt(block, 136, 12) * 1_000)).equals(block))
    throw new Told('The archive is damaged, or is none of Earthflow: it cannot be read as tar.')
  return member
}

function splitName(name: string): [prefix: string, rest: string] {
  if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return ['', name]
  for (let at = name.indexOf('/'); at !== -1; at = name.indexOf('/', at + 1)) {
    const rest = name.slice(at + 1)
    if (rest !== '' && Buffer.byteLength(rest) <= NAME_BYTES_MAX && at <= PREFIX_BYTES_MAX) return [name.slice(0, at), rest]
  }
  throw new Told(`${name} is too long a name for an archive.`)
}

function writeSize(block: Buffer, bytes: number): void {
  if (bytes < OCTAL_SIZE_MAX) block.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124)
  else {
    block[124] = 0x80
    block.writeBigUInt64BE(BigInt(bytes), 128)
  }
}

function readSize(block: Buffer): number {
  // A larger one would not be written as it was read, so it is refused as any other that we did not write.
  if ((block[124] & 0x80) !== 0) return Math.min(Number(block.readBigUInt64BE(128)), Number.MAX_SAFE_INTEGER)
  return octalAt(block, 124, 12)
}

/** 0 where there is no number. */
const octalAt = (block: Buffer, at: number, bytes: number): number => Number.parseInt(textAt(block, at, bytes), 8) || 0

/** The checksum counts as blanks. */
function sumOf(block: Buffer): number {
  let sum = 0
  for (const [i, byte] of block.entries()) sum += i >= CHECKSUM.at && i < CHECKSUM.at + CHECKSUM.bytes ? 0x20 : byte
  return sum
}

function textAt(block: Buffer, at: number, bytes: number): string {
  const text = block.subarray(at, at + bytes)
  const end = text.indexOf(0)
  return text.toString('utf8', 0, end === -1 ? bytes : end)
}
