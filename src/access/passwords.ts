/** How passwords are kept: scrypt (RFC 7914) over their NFKC form (NIST SP 800-63B, 5.1.1.2), written down with its parameters and its salt. */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { Failure } from '../errors.ts'

export interface Passwords {
  /** `scrypt$32768$8$1$<salt>$<key>`. Throws Failure('unavailable') where too many wait. */
  hash(password: string): Promise<string>
  /**
   * Whether it is the password that `stored` was made of. Null, and text that is no such thing, take as long and are never right. Throws
   * Failure('unavailable') where too many wait.
   */
  verify(password: string, stored: string | null): Promise<boolean>
}

const CHARACTERS_MIN = 12
const CHARACTERS_MAX = 200
/** Fewer different characters than this are a pattern, not a secret. */
const DIFFERENT_MIN = 5

const COST = 32_768
const BLOCK = 8
const PARALLEL = 1
const SALT_BYTES = 16
const KEY_BYTES = 32
/** What a stored text may ask for, so that a row cannot make a login cheap, or take the machine. */
const COSTS: readonly number[] = [16_384, 32_768, 65_536, 131_072, 262_144]
const BLOCK_MAX = 16
const PARALLEL_MAX = 4
/** Each takes a thread and 32 MiB; Node has four threads, which files and names need too. */
const AT_ONCE_MAX = 2
/** About two seconds of waiting. */
const WAITING_MAX = 40

interface Stored {
  cost: number
  block: number
  parallel: number
  salt: Buffer
  key: Buffer
}

export function createPasswords({ waitingMax = WAITING_MAX }: { waitingMax?: number } = {}): Passwords {
  const inTurn = createTurns(waitingMax)
  const nobodys: Stored = { cost: COST, block: BLOCK, parallel: PARALLEL, salt: randomBytes(SALT_BYTES), key: randomBytes(KEY_BYTES) }

  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES)
      const key = await inTurn(() => derive(password, { cost: COST, block: BLOCK, parallel: PARALLEL, salt }))
      return ['scrypt', COST, BLOCK, PARALLEL, salt.toString('base64url'), key.toString('base64url')].join('$')
    },
    async verify(password, stored) {
      const read = stored === null ? null : parse(stored)
      const expected = read ?? nobodys
      const key = await inTurn(() => derive(password, expected))
      return timingSafeEqual(key, expected.key) && read !== null
    },
  }
}

/** What must be changed about a new password, as a sentence; null where nothing. */
export function whyNotPassword(password: string, email: string): string | null {
  const characters = [...normal(password)]
  if (characters.length < CHARACTERS_MIN) return `Must have at least ${CHARACTERS_MIN} characters.`
  if (characters.length > CHARACTERS_MAX) return `Must have at most ${CHARACTERS_MAX} characters.`
  if (normal(password).toLowerCase() === normal(email).toLowerCase()) return 'Must not be the e-mail address.'
  if (new Set(characters).size < DIFFERENT_MIN) return `Must have at least ${DIFFERENT_MIN} different characters.`
  return null
}

/** One password, however its letters were composed by the keyboard it was typed on. */
const normal = (password: string): string => password.normalize('NFKC')

function derive(password: string, { cost, block, parallel, salt }: Omit<Stored, 'key'>): Promise<Buffer> {
  // scrypt needs 128 × N × r bytes and a little more.
  const options: ScryptOptions = { N: cost, r: block, p: parallel, maxmem: 256 * cost * block }
  return new Promise((resolve, reject) => scrypt(normal(password), salt, KEY_BYTES, options, (error, key) => (error ? reject(error) : resolve(key))))
}

function parse(stored: string): Stored | null {
  const [, cost, block, parallel, salt, key] = /^scrypt\$(\d{1,6})\$(\d{1,2})\$(\d)\$([\w-]{22})\$([\w-]{43})$/.exec(stored) ?? []
  if (key === undefined) return null
  const read: Stored = {
    cost: Number(cost),
    block: Number(block),
    parallel: Number(parallel),
    salt: Buffer.from(salt, 'base64url'),
    key: Buffer.from(key, 'base64url'),
  }
  const isWithin = COSTS.includes(read.cost) && read.block >= BLOCK && read.block <= BLOCK_MAX && read.parallel >= 1 && read.parallel <= PARALLEL_MAX
  return isWithin ? read : null
}

function createTurns(waitingMax: number) {
  let running = 0
  const waiting: (() => void)[] = []

  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (running < AT_ONCE_MAX) running++
    else {
      if (waiting.length >= waitingMax) throw new Failure('unavailable', new Error(`More than ${waitingMax} passwords wait to be computed.`))
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    try {
      return await work()
    } finally {
      // The turn passes to whoever waits longest.
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
