/** Secrets that could be guessed. What is plainly wrong with one, Earthflow refuses by itself when it starts. */
import { textOf } from '../../config.ts'
import { settings } from '../../settings.ts'
import { type Check, type Context, type Finding, fail, warn } from '../check.ts'
import { isHere } from '../is-here.ts'

/** What random text of 32 characters has about 150 of. */
const ENTROPY_BITS_MIN = 96
const PASSWORD_CHARACTERS_MIN = 12
const DATABASE = 'DATABASE_URL or POSTGRES_PASSWORD'
const REDIS = 'REDIS_URL or REDIS_PASSWORD'
const WORDS = /change.?me|passwor[dt]|secret|admin|example|earthflow|default|letmein|0123456|1234567|abcdef|qwerty/i
const USUAL = new Set([
  'postgres',
  'postgresql',
  'password',
  'passwort',
  'redis',
  'admin',
  'root',
  'secret',
  'earthflow',
  'changeme',
  'example',
  'test',
  'default',
  '123456',
  'foobared',
])

export const secretChecks: readonly Check[] = [
  {
    name: 'admin-key',
    about: 'the administrator’s key is random',
    run: ({ config: { adminKey } }) =>
      WORDS.test(adminKey) || entropyBits(adminKey) < ENTROPY_BITS_MIN
        ? [fail('EARTHFLOW_ADMIN_API_KEY does not look random: make another with openssl rand -base64 33.')]
        : [],
  },
  {
    name: 'master-key',
    about: 'the master keys are random',
    run: ({ config }) =>
      config.masterKeys.some(isMadeUp)
        ? [
            fail(
              'EARTHFLOW_MASTER_KEY is made of text or of a pattern: make another, and rotate to it with earthflow rotate-keys --rotate-master --new-key-file FILE.',
            ),
          ]
        : [],
  },
  {
    name: 'passwords',
    about: 'the database and Redis ask for passwords that nobody guesses',
    run: ({ config: { database, redisUrl } }) => [
      ...(database.kind === 'postgres' ? passwordOf('The database', DATABASE, database.url) : []),
      ...(redisUrl === null ? [] : passwordOf('Redis', REDIS, redisUrl)),
    ],
  },
  {
    name: 'repeated-secrets',
    about: 'no secret is used twice',
    run: (context) => {
      const users = new Map<string, string[]>()
      for (const [name, text] of secretsIn(context)) users.set(text, [...(users.get(text) ?? []), name])
      return [...users.values()].flatMap((names) =>
        names.length > 1 ? [fail(`${names.join(' and ')} hold the same secret: whoever learns one has the other. Give each its own.`)] : [],
      )
    },
  },
]

/** By its own letters' frequencies (Shannon): a bound from above, which repetition lowers. */
function entropyBits(text: string): number {
  const counts = new Map<string, number>()
  for (const letter of text) counts.set(letter, (counts.get(letter) ?? 0) + 1)
  return [...counts.values()].reduce((bits, count) => bits - count * Math.log2(count / text.length), 0)
}

/** Random bytes are all printable once in 10^14 times, and never evenly spaced. */
const isMadeUp = (key: Buffer): boolean =>
  key.every((byte) => byte >= 0x20 && byte < 0x7f) || new Set(key.subarray(1).map((byte, i) => byte - (key[i] ?? 0))).size <= 2

function passwordOf(what: string, where: string, text: string): Finding[] {
  const url = new URL(text)
  const password = decoded(url.password)
  if (password === '') return [(isHere(url.hostname) ? warn : fail)(`${what} is asked without a password: set one, and say it in ${where}.`)]
  if (password === decoded(url.username) || USUAL.has(password.toLowerCase()))
    return [fail(`The password in ${where} is the first that anybody would try: set another.`)]
  return password.length < PASSWORD_CHARACTERS_MIN
    ? [warn(`The password in ${where} has fewer than ${PASSWORD_CHARACTERS_MIN} characters: set a longer one.`)]
    : []
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Each secret that is in use, with the name of its setting: master keys one by one, and of a URL its password. */
function secretsIn({ config: { masterKeys, adminKey, database, redisUrl }, given }: Context): [name: string, text: string][] {
  const others = (Object.keys(settings) as (keyof typeof settings)[]).filter((name) => 'secret' in settings[name] && !TOLD_APART.test(name))
  const all: [string, string | null][] = [
    ...masterKeys.map((key): [string, string] => ['EARTHFLOW_MASTER_KEY', key.toString('base64url')]),
    ['EARTHFLOW_ADMIN_API_KEY', adminKey.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')],
    [DATABASE, database.kind === 'postgres' ? decoded(new URL(database.url).password) : null],
    [REDIS, redisUrl === null ? null : decoded(new URL(redisUrl).password)],
    ...others.map((name): [string, string | null] => [name, textOf(name, given, true, [])]),
  ]
  return all.flatMap(([name, text]) => (text ? [[name, text]] : []))
}
const TOLD_APART = /^(?:EARTHFLOW_MASTER_KEY|EARTHFLOW_ADMIN_API_KEY|DATABASE_URL|POSTGRES_PASSWORD|REDIS_URL|REDIS_PASSWORD)$/
