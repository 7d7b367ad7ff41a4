/** What must never come to rest: the secrets and the prompts of the tests of this process, gathered as they are used, and looked for when a test ends. */
import querystring from 'node:querystring'
import { createFinder, formsOfSecret, formsOfText, SOUGHT_BYTES_MIN, type Sought } from './find-canaries.ts'

export interface Place {
  name: string
  bytes: Buffer
  /** It holds what tenants write on purpose, such as rules and names: prompts are not looked for in it. */
  isWritten?: boolean
}

export interface Canaries {
  /** From now on this must be found nowhere. Throws for what is so short that it might be found by chance. */
  secret(kind: string, secret: string | Buffer): void
  /** A message to a model or its answer, of which no beginning and no end may be found. Short ones and single words are nobody's secret. */
  prompt(text: string): void
  /** A call of a model: its messages are prompts. */
  call(path: string, body: string | Buffer): void
  /** A request of the management API, which may keep what it was told, and what it answered. Their secrets are secrets. */
  management(path: string, body: unknown, answer: { text: string; headers: Headers }): void
  /** What may be found: a prompt that occurs in it is none. */
  kept(text: string): void
  /** Forgets the calls and what may be kept, not the secrets: other tests begin, with texts of their own. */
  forgetCalls(): void
  /** Throws when anything is found: names kinds and places, never what was found. */
  check(places: Iterable<Place> | AsyncIterable<Place>): Promise<void>
}

/** Of one prompt: longer ones are known by their beginning and their end. */
const PROMPT_CHARACTERS_MAX = 48
/** Of all prompts; later ones are not looked for. */
const PROMPTS_MAX = 5_000
/** Of bodies that are read at all. */
const BODY_BYTES_MAX = 4 << 20
/** Of what may be kept, all together; what comes later may raise a false alarm. */
const KEPT_CHARACTERS_MAX = 16 << 20

/** Members of a call's body that hold its messages, in every dialect. */
const MESSAGES = /^(messages|system|system_?[iI]nstruction|instructions|input|prompt|contents)$/
/** Members of a call's body that its row keeps. */
const KEPT = /^(model|metadata|user|safety_identifier)$/
/** Members of a message that say something about it. */
const ABOUT = /^(id|type|role|name|model|metadata|mime_?[tT]ype|url)$/
const SECRET = /^(api_key|credential|password|secret|token)$/
const MAY_HOLD_SECRET = /"(?:api_key|secret|token)":/
/** Routes that are told texts to judge or to hash, and keep none of them. */
const JUDGING = /^\/v1\/(rules\/(test|simulate)|audit\/hash)\b/

export function createCanaries(): Canaries {
  const secrets = new Map<string, Sought>()
  const prompts = new Map<string, Sought>()
  const kept = new Set<string>()
  let keptCharacters = 0

  const canaries: Canaries = {
    secret(kind, secret) {
      const bytes = Buffer.from(secret as string)
      if (bytes.length < SOUGHT_BYTES_MIN) throw new Error(`A canary has ${SOUGHT_BYTES_MIN} bytes or more.`)
      const name = bytes.toString('latin1')
      if (!secrets.has(name)) secrets.set(name, { kind, forms: formsOfSecret(secret) })
    },
    prompt(text) {
      const ends = text.length <= PROMPT_CHARACTERS_MAX ? [text] : [text.slice(0, PROMPT_CHARACTERS_MAX), text.slice(-PROMPT_CHARACTERS_MAX)]
      for (const part of ends) {
        if (prompts.size >= PROMPTS_MAX || part.length < SOUGHT_BYTES_MIN || !/\p{L}/u.test(part) || !part.includes(' ')) continue
        if (!prompts.has(part)) prompts.set(part, { kind: `text ${prompts.size + 1} of a call`, forms: formsOfText(part) })
      }
    },
    kept(text) {
      if (text.length < SOUGHT_BYTES_MIN || kept.has(text) || keptCharacters > KEPT_CHARACTERS_MAX) return
      keptCharacters += text.length
      kept.add(text)
    },
    call(path, body) {
      const parsed = body.length > BODY_BYTES_MAX ? undefined : jsonOr(body)
      if (JUDGING.test(path)) return eachText(parsed, canaries.prompt, canaries.kept)
      if (typeof parsed !== 'object' || parsed === null) return
      for (const [name, value] of Object.entries(parsed)) {
        if (MESSAGES.test(name)) eachText(value, canaries.prompt, canaries.kept)
        else if (KEPT.test(name)) eachText(value, canaries.kept, canaries.kept)
      }
    },
    management(path, body, answer) {
      canaries.kept(querystring.unescape(path))
      if (JUDGING.test(path)) eachText(body, canaries.prompt, canaries.kept)
      else if (body !== undefined) canaries.kept(JSON.stringify(body))
      const answered = MAY_HOLD_SECRET.test(answer.text) ? jsonOr(answer.text) : undefined
      for (const [name, secret] of [...secretsOf(body), ...secretsOf(answered)]) canaries.secret(name, secretPartOf(secret))
      for (const cookie of answer.headers.getSetCookie()) {
        const value = /^[^=]*=([^;]*)/.exec(cookie)?.[1] ?? ''
        if (value.length >= SOUGHT_BYTES_MIN) canaries.secret('a cookie', value)
      }
    },
    forgetCalls() {
      prompts.clear()
      kept.clear()
      keptCharacters = 0
    },
    async check(places) {
      const allowed = createFinder(prompts.values())(Buffer.from([...kept].join('\n')))
      const forWritten = createFinder(secrets.values())
      const forAll = createFinder([...secrets.values(), ...[...prompts.values()].filter((prompt) => !allowed.has(prompt))])
      const found: string[] = []
      for await (const { name, bytes, isWritten } of places) for (const { kind } of (isWritten ? forWritten : forAll)(bytes)) found.push(`${kind} in ${name}`)
      if (found.length > 0) throw new Error(`What must never come to rest was found: ${found.join('; ')}`)
    },
  }
  return canaries
}

/** Those of this process. */
export const canaries = createCanaries()

/** Of an API key, what may not be shown of it. */
const secretPartOf = (secret: string): string => /^ef_(?:live|test)_[0-9A-Za-z]{8}_(.{16,})$/.exec(secret)?.[1] ?? secret

/** The members of a body that are called like secrets and are long enough to be looked for. */
const secretsOf = (body: unknown): [string, string][] =>
  Object.entries(typeof body === 'object' && body !== null ? body : {}).filter(
    (member): member is [string, string] => SECRET.test(member[0]) && typeof member[1] === 'string' && Buffer.byteLength(member[1]) >= SOUGHT_BYTES_MIN,
  )

/** Hands over every text in a message; what is said about it goes to `about`. */
function eachText(value: unknown, take: (text: string) => void, about: (text: string) => void): void {
  if (typeof value === 'string') take(value)
  else if (Array.isArray(value)) for (const one of value) eachText(one, take, about)
  else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) eachText(one, ABOUT.test(name) ? about : take, about)
  }
}

function jsonOr(body: string | Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}
