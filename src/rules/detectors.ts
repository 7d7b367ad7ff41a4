/** What `detects` can look for. One entry, and one file of its own, per detector. */
import { cards } from './detectors/cards.ts'
import { emailAddresses } from './detectors/email.ts'
import { healthIds } from './detectors/health-ids.ts'
import { ibans } from './detectors/iban.ts'
import { nationalIds } from './detectors/national-ids.ts'
import { phoneNumbers } from './detectors/phone.ts'
import { routingNumbers } from './detectors/routing-numbers.ts'
import { secrets } from './detectors/secrets.ts'
import { socialSecurityNumbers } from './detectors/ssn.ts'
import type { Matcher } from './matching/match.ts'

export interface Detector {
  name: string
  about: string
  /** What stands for a finding that is cut. ASCII without quotes or backslashes, so that it can stand in any JSON string as it is. */
  placeholder: string
  /** Builds the watcher. However a text is cut into pieces, it reports the same, and what it holds back is bounded. */
  build(leaf: number): Matcher
}

export const detectors: readonly Detector[] = [
  {
    name: 'credit_card',
    about: 'Payment card numbers: 13 to 19 digits, plain or in groups, with a valid check digit.',
    placeholder: '[CREDIT_CARD]',
    build: cards,
  },
  {
    name: 'ssn',
    about: 'US social security numbers written 123-45-6789 or 123 45 6789, in ranges that are issued.',
    placeholder: '[SSN]',
    build: socialSecurityNumbers,
  },
  { name: 'email', about: 'E-mail addresses.', placeholder: '[EMAIL]', build: emailAddresses },
  {
    name: 'iban',
    about: 'International bank account numbers of every registered country, with its length and valid check digits.',
    placeholder: '[IBAN]',
    build: ibans,
  },
  {
    name: 'national_id',
    about:
      'National and tax numbers of persons with valid check digits (Belgium, Brazil, France, Germany, Italy, Netherlands, Poland, Spain, Sweden, Switzerland, United Kingdom), the weaker of them only where the text names them.',
    placeholder: '[NATIONAL_ID]',
    build: nationalIds,
  },
  {
    name: 'phone',
    about: 'Telephone numbers: international with +, North American as written there, others right after a word such as "phone" or "Tel.".',
    placeholder: '[PHONE]',
    build: phoneNumbers,
  },
  {
    name: 'health_id',
    about: 'Medicare beneficiary identifiers, and NPI, NHS and German insurance numbers with valid check digits where the text names them.',
    placeholder: '[HEALTH_ID]',
    build: healthIds,
  },
  {
    name: 'routing_number',
    about: 'US bank routing numbers with a valid check digit, where the text names them.',
    placeholder: '[ROUTING_NUMBER]',
    build: routingNumbers,
  },
  {
    name: 'secret',
    about: 'Keys of well-known services, private keys, JSON web tokens, and connection strings whose password has a digit or an exclamation mark.',
    placeholder: '[SECRET]',
    build: secrets,
  },
]

export const detectorNamed = (name: string): Detector | undefined => detectors.find((detector) => detector.name === name)
