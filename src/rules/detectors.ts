/** What `detects` can look for. One entry per detector; what finds it stands in `detectors/`. */

export interface Detector {
  name: string
  /** What it finds, and how. */
  about: string
  /** What it does not claim. */
  limits: string
  /** What stands for a finding that is cut. ASCII without quotes or backslashes, so that it can stand in any JSON string as it is. */
  placeholder: string
  /** Finer detectors of which it is the sum. */
  includes?: readonly string[]
}

export const detectors: readonly Detector[] = [
  {
    name: 'credit_card',
    about: 'Payment card numbers: 13 to 19 digits in the range and length of a network, the Luhn formula holds; plain, in printed groups, or digit by digit.',
    limits: 'Numbers in words, groups nobody prints, security codes, expiry dates.',
    placeholder: '[CREDIT_CARD]',
  },
  {
    name: 'ssn',
    about: 'US social security numbers written 123-45-6789 or 123 45 6789 in ranges that are issued; nine digits in a row where the text names them.',
    limits: 'Nine digits that nothing names; the last four digits alone.',
    placeholder: '[SSN]',
  },
  {
    name: 'email',
    about: 'E-mail addresses around an @, and spelled ones such as jane [at] example [dot] com.',
    limits: 'Addresses without a top-level domain; local parts in quotes.',
    placeholder: '[EMAIL]',
  },
  {
    name: 'iban',
    about: 'International bank account numbers of every registered country: its length, check digits modulo 97, in groups or not.',
    limits: 'National account numbers, which have no check digits of their own.',
    placeholder: '[IBAN]',
  },
  {
    name: 'national_id',
    about:
      'National and tax numbers of persons with valid check digits (Belgium, Brazil, Canada, France, Germany, India, Italy, Netherlands, Poland, Spain, Sweden, Switzerland, United Kingdom, United States ITIN); the weaker of them, and those of Algeria, only where the text names them.',
    limits: 'Other countries; numbers of companies; weak numbers that nothing names.',
    placeholder: '[NATIONAL_ID]',
  },
  {
    name: 'phone',
    about: 'Telephone numbers: international with +, North American as written there, others right after a word such as "phone" or "Tel.".',
    limits: 'National numbers that no word introduces; whether a number is in service.',
    placeholder: '[PHONE]',
  },
  {
    name: 'ip_address',
    about: 'IPv4 addresses of four numbers to 255, and IPv6 addresses of three groups or more.',
    limits: 'Whose it is; four-part versions that look the same; names of hosts.',
    placeholder: '[IP_ADDRESS]',
  },
  {
    name: 'mac_address',
    about: 'Hardware addresses: six pairs of hexadecimal digits with colons or dashes between.',
    limits: 'Twelve hexadecimal digits in a row, and the dotted form.',
    placeholder: '[MAC_ADDRESS]',
  },
  {
    name: 'passport',
    about: 'Numbers of passports and identity cards, after such a word in English, German, French, Spanish or Italian.',
    limits: 'Numbers that no word introduces: they have no check digit; machine-readable lines.',
    placeholder: '[PASSPORT]',
  },
  {
    name: 'driving_licence',
    about: 'Numbers of driving licences after such a word in five languages; British driver numbers by their shape.',
    limits: 'Other numbers that no word introduces.',
    placeholder: '[DRIVING_LICENCE]',
  },
  {
    name: 'birth_date',
    about: 'Dates right after a word such as "born", "DOB", "geboren", "naissance": in digits or with the name of the month.',
    limits: 'Dates that no word introduces; ages.',
    placeholder: '[BIRTH_DATE]',
  },
  {
    name: 'medical_record_number',
    about: 'Numbers after "MRN", "medical record", "patient id", "hospital number" and the like.',
    limits: 'Numbers that no word introduces: every hospital makes its own.',
    placeholder: '[MEDICAL_RECORD_NUMBER]',
  },
  {
    name: 'health_id',
    about: 'Medicare beneficiary identifiers by their shape, and NPI, NHS and German insurance numbers with valid check digits where the text names them.',
    limits: 'Insurance numbers of other countries and of private insurers.',
    placeholder: '[HEALTH_ID]',
  },
  {
    name: 'routing_number',
    about: 'US bank routing numbers with a valid check digit, where the text names them.',
    limits: 'Nine digits that nothing names.',
    placeholder: '[ROUTING_NUMBER]',
  },
  {
    name: 'crypto_address',
    about: 'Addresses of Bitcoin and its kin by their checksums (base58check, bech32), of Ethereum and its kin by their shape.',
    limits: 'Other currencies; phrases from which a wallet can be restored.',
    placeholder: '[CRYPTO_ADDRESS]',
  },
  {
    name: 'secret',
    about: 'Everything the eight detectors below find; documented example keys count.',
    limits: 'Passwords and random strings that nothing marks as a key.',
    placeholder: '[SECRET]',
    includes: ['cloud_key', 'vcs_token', 'llm_key', 'service_key', 'private_key', 'jwt', 'connection_string', 'earthflow_key'],
  },
  {
    name: 'cloud_key',
    about:
      'Keys of clouds by their prefix and length: AWS (also secret keys after their name), Google, Azure storage and service bus, DigitalOcean, Alibaba, Tencent, Databricks, Vault, Pulumi, Supabase, PlanetScale, Netlify, Fly, Doppler.',
    limits: 'Azure client secrets, Cloudflare and other keys without a prefix.',
    placeholder: '[CLOUD_KEY]',
  },
  {
    name: 'vcs_token',
    about: 'Tokens of GitHub, GitLab, Bitbucket and Atlassian, npm, PyPI, RubyGems, Docker Hub, by their prefix and length.',
    limits: 'Tokens of older formats without a prefix.',
    placeholder: '[VCS_TOKEN]',
  },
  {
    name: 'llm_key',
    about: 'Keys of model providers: OpenAI, Anthropic, OpenRouter, DeepSeek, Hugging Face, Groq, xAI, Perplexity, Replicate, NVIDIA, Together, LangSmith.',
    limits: 'Mistral, Cohere and others without a prefix; Google keys are cloud_key.',
    placeholder: '[LLM_KEY]',
  },
  {
    name: 'service_key',
    about:
      'Keys of services: Slack and Discord (also webhook addresses), SendGrid, Twilio, Mailgun, Stripe, Square, PayPal, Shopify, New Relic, Grafana, Sentry, Linear, Notion, Figma, Airtable, Postman, Dynatrace, 1Password, age.',
    limits: 'Publishable keys, which are made to be seen; services whose keys have no prefix.',
    placeholder: '[SERVICE_KEY]',
  },
  {
    name: 'private_key',
    about: 'Private keys in PEM of any kind: the header, and what follows up to the footer.',
    limits: 'Keys in binary formats.',
    placeholder: '[PRIVATE_KEY]',
  },
  {
    name: 'jwt',
    about: 'JSON web tokens (RFC 7519), by their header and payload.',
    limits: 'Encrypted and opaque tokens; whether it is still valid.',
    placeholder: '[JWT]',
  },
  {
    name: 'connection_string',
    about: 'Addresses of databases, brokers and servers with a password that has a digit or an exclamation mark.',
    limits: 'Passwords of letters alone, which are mostly placeholders; $NAME, <name> and ***.',
    placeholder: '[CONNECTION_STRING]',
  },
  {
    name: 'earthflow_key',
    about: 'Keys of this proxy: `ef_live_` and `ef_test_`.',
    limits: 'Nothing that is left of a key beside its visible prefix.',
    placeholder: '[EARTHFLOW_KEY]',
  },
]
const byName = new Map(detectors.map((detector) => [detector.name, detector]))

export const detectorNamed = (name: string): Detector | undefined => byName.get(name)

/** The finest detectors of which this one is the sum; itself where it is one of them. */
export const kindsOf = ({ name, includes }: Detector): readonly string[] => includes ?? [name]
