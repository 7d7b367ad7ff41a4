/** Takes secrets out of lines that are about to be written. Nothing puts them there on purpose; this is for what nobody thought of. */

export const SCRUBBED = '[secret]'
/** A shorter one would take ordinary words out of every line. */
const SECRET_CHARACTERS_MIN = 8

/** How names of secrets end: `x-api-key`, `OPENAI_API_KEY`, `client_secret`, `access-token`. */
const NAME = '(?i:api[-_]?key|authorization|passw(?:or)?d|secret|token)'
/** Between a name and its value. Within JSON that stands in a text, the quotes are escaped. */
const PAIRED = String.raw`["'\\]{0,16}\s{0,4}[:=]\s{0,4}`
/** A scheme says more than its token, which has a shape of its own. */
const NO_SCHEME = '(?!(?i:bearer|basic) )'
const quoted = (quote: string): string => String.raw`(?<=${NAME}${PAIRED}\\{0,16}${quote})${NO_SCHEME}(?:[^${quote}\\]|\\+[^${quote}\\])+`

/**
 * What a secret looks like. `hint` is what a line must hold before it is looked at more closely: most hold none. Each pattern is linear: it begins at a
 * fixed text, and where it is tried in vain it has not gone far, or not twice over the same characters.
 */
const shapes: readonly { hint: string; pattern: string }[] = [
  // Keys of our own: the prefix alone, ef_live_ and 8 characters, may be shown.
  { hint: 'ef_(?:live|test)_[0-9A-Za-z]{8}_', pattern: 'ef_(?:live|test)_[0-9A-Za-z]{8}_[0-9A-Za-z]{6,}' },
  { hint: 'ef_(?:session|login)_', pattern: String.raw`ef_(?:session|login)_[\w.-]{20,}` },
  { hint: 'sk-', pattern: String.raw`(?<![0-9A-Za-z])sk-[\w-]{16,}` },
  { hint: 'AIza', pattern: String.raw`AIza[\w-]{30,}` },
  { hint: '(?:gsk_|xai-|hf_|pplx-)', pattern: String.raw`(?<![0-9A-Za-z])(?:gsk_|xai-|hf_|pplx-)[\w-]{20,}` },
  { hint: '(?:AKIA|ASIA)', pattern: '(?<![0-9A-Za-z])(?:AKIA|ASIA)[0-9A-Z]{16}' },
  { hint: '(?i:bearer) ', pattern: String.raw`(?<=\b(?i:bearer) {1,4})[\w.~+/=-]+` },
  // Base64 (RFC 7617) holds other letters than small ones, which tells it from a word.
  { hint: '(?i:basic) ', pattern: String.raw`(?<=\b(?i:basic) {1,4})(?=\w[a-z]*[A-Z0-9+/=])[\w+/=-]{6,}` },
  // A JWT (RFC 7519): its header is JSON, which in base64url begins like this.
  { hint: 'eyJ', pattern: String.raw`(?<![\w-])eyJ[\w-]+(?:\.[\w-]*){2,4}` },
  { hint: 'PRIVATE KEY', pattern: '-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[^]*' },
  // The user name and password of a URL (RFC 3986, 3.2.1).
  { hint: '://[^/ ]*@', pattern: String.raw`(?<=:\/\/)[^\s/?#]+(?=@)` },
  { hint: '[?&](?i:key|sig|signature)=', pattern: String.raw`(?<=[?&](?i:key|sig|signature)=)[^\s&#"'\\]+` },
  // After a quote a value goes to the next one, else to a blank or a sign that ends it.
  { hint: NAME + PAIRED, pattern: `${quoted('"')}|${quoted("'")}` },
  { hint: NAME + PAIRED, pattern: String.raw`(?<=${NAME}${PAIRED})${NO_SCHEME}[^\s"'\\,;&(){}[\]]{6,}` },
]
const NAMED = new RegExp(`${NAME}$`)

/** `secrets` are the installation's own, by value; what has fewer than 8 characters is left out. Returns what makes a line of JSON one that may be written. */
export function createScrub(secrets: readonly string[] = []): (line: string) => string {
  const known = [...new Set(secrets)].filter((secret) => secret.length >= SECRET_CHARACTERS_MIN).sort((a, b) => b.length - a.length)
  const values = known.map(escapedOrNot)
  const hint = anyOf([...shapes.map((shape) => shape.hint), ...values])
  const secret = anyOf([...values, ...shapes.map((shape) => shape.pattern)], 'g')
  const scrub = (text: string): string => text.replace(secret, SCRUBBED)
  return (line) => {
    if (!hint.test(line)) return line
    try {
      // Read and written again, so that no escape hides a secret and none is cut in two.
      return `${JSON.stringify(inside(JSON.parse(line), scrub))}\n`
    } catch {
      return `${JSON.stringify({ message: scrub(line) })}\n`
    }
  }
}

const anyOf = (patterns: readonly string[], flags = ''): RegExp => new RegExp(patterns.join('|'), flags)

/** JSON within JSON doubles the backslashes each time; this finds up to four times. */
const BACKSLASHES = String.raw`\\{1,16}`
const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't' }

/** A value as it is, and as JSON writes it (RFC 8259, section 7), which may escape any character. */
function escapedOrNot(value: string): string {
  return value.replace(/[\s\S]/g, (unit) => {
    if (/[0-9A-Za-z]/.test(unit)) return unit
    const code = `${BACKSLASHES}u(?i:${unit.charCodeAt(0).toString(16).padStart(4, '0')})`
    if (unit === '\\') return `(?:${BACKSLASHES}|${code})`
    const short = SHORT_ESCAPES[unit]
    const plain = unit === '"' || unit === '/' ? `(?:${BACKSLASHES})?${RegExp.escape(unit)}` : RegExp.escape(unit)
    return `(?:${plain}|${code}${short === undefined ? '' : `|${BACKSLASHES}${short}`})`
  })
}

function inside(value: unknown, scrub: (text: string) => string): unknown {
  if (typeof value === 'string') return scrub(value)
  if (Array.isArray(value)) return value.map((item) => inside(item, scrub))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [scrub(name), typeof item === 'string' && NAMED.test(name) ? SCRUBBED : inside(item, scrub)]),
  )
}
