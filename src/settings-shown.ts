/** What of the settings may be shown, and what of them must be found nowhere. */
import { readFileSync } from 'node:fs'

/** Of the table of settings, as far as it is needed here. */
export type SettingTable = Readonly<Record<string, { default: string | null; secret?: true }>>

/** Where this process has its settings from. */
export interface SettingSources {
  environment: Readonly<Record<string, string | undefined>>
  /** What `.env` says. */
  dotenv: Readonly<Record<string, string | undefined>>
  /** What stands in for a default in this mode of running. */
  defaults: Readonly<Record<string, string | undefined>>
  /** The secrets that the first run made, by name. */
  made: Readonly<Record<string, string | undefined>>
}

export interface ShownSetting {
  name: string
  /** As it was written; of a secret `***` where it is set. Null where it is not set and has no default. */
  value: string | null
  default: string | null
  secret: boolean
  /** `file` is `.env`, a NAME_FILE, or what the first run made. */
  source: 'environment' | 'file' | 'default'
}

export const MASK = '***'

/** Every setting as this process has it, in the order of the table. */
export function showSettings(table: SettingTable, sources: SettingSources): ShownSetting[] {
  return Object.entries(table).map(([name, { default: standard, secret = false }]) => {
    const { text, source } = found(name, secret, sources)
    const value = text ?? sources.defaults[name] ?? standard
    return { name, value: value === null ? null : secret ? MASK : inside(value, masked), default: standard, secret, source }
  })
}

/** The texts of all secrets that are set, each master key and each password, query value and fragment of a URL by itself too. For whoever takes them out of a text. */
export function secretsOf(table: SettingTable, sources: SettingSources): string[] {
  const texts = Object.entries(table).flatMap(([name, { secret = false }]) => {
    const { text } = found(name, secret, sources)
    if (text === null) return []
    return secret ? [text, ...text.split(',').map((part) => part.trim().replace(/=+$/, '')), ...secretsInUrls(text)] : secretsInUrls(text)
  })
  return [...new Set(texts)].filter((text) => text !== '')
}

interface Found {
  text: string | null
  source: ShownSetting['source']
}

/** As config.ts finds it: empty text counts as nothing, the environment goes before `.env`, and only a secret may lie in a file of its own. */
function found(name: string, secret: boolean, { environment, dotenv, made }: SettingSources): Found {
  const given = environment[name] ?? dotenv[name]
  if (given) return { text: given, source: environment[name] === undefined ? 'file' : 'environment' }
  const path = secret ? (environment[`${name}_FILE`] ?? dotenv[`${name}_FILE`]) : undefined
  const text = path ? textIn(path) : made[name]
  return text ? { text, source: 'file' } : { text: null, source: 'default' }
}

function textIn(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return '' // it was there when the settings were read
  }
}

/** Without the user's part of a URL (RFC 3986, 3.2.1), and without its query and its fragment, which may be keys. */
const masked = (text: string): string =>
  text.replace(/(?<=[a-z]:[/\\]*)[^\s/\\?#]+(?=@)/gi, MASK).replace(/([a-z][a-z0-9+.-]*:[^?#]*[?#])[\s\S]+$/i, (_, before: string) => before + MASK)

/** A text, or each text within JSON, whose escapes could hide what is looked for. */
function inside(value: string, take: (text: string) => string): string {
  if (!/^\s*[[{]/.test(value)) return take(value)
  try {
    return JSON.stringify(JSON.parse(value, (_, one: unknown) => (typeof one === 'string' ? take(one) : one)))
  } catch {
    return take(value)
  }
}

/** As they are written in the URLs, and as they are meant. Of a database's URL the query holds options, and no keys. */
function secretsInUrls(value: string): string[] {
  const found: string[] = []
  inside(value, (text) => {
    const url = URL.parse(text)
    if (url) found.push(url.password)
    if (url?.protocol.startsWith('http')) {
      for (const part of [url.search, url.hash].flatMap((all) => all.slice(1).split('&'))) found.push(part.slice(part.indexOf('=') + 1))
    }
    return text
  })
  return found.flatMap((text) => [text, decoded(text)])
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
