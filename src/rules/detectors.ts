/** What `detects` can look for. One entry, and one file of its own, per detector. */
import { cards } from './cards.ts'
import { emailAddresses } from './email.ts'
import type { Matcher } from './match.ts'
import { socialSecurityNumbers } from './ssn.ts'

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
]

export const detectorNamed = (name: string): Detector | undefined => detectors.find((detector) => detector.name === name)
