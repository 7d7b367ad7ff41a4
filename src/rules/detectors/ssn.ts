import type { Shape } from './shapes.ts'

/**
 * US social security numbers: three, two and four digits with single dashes or spaces between, numbers that were never issued left out (area 000, 666,
 * 900 and above, group 00, serial 0000). Nine digits in a row could be anything, so they are one only where the text says so.
 */
export const socialSecurityNumbers: readonly Shape[] = [
  { kind: 'ssn', templates: ['999-99-9999', '999 99 9999'], isValid: isIssued },
  { kind: 'ssn', templates: ['999999999'], isValid: isIssued, context: /\bSSN\b|social\s+security/i },
]

function isIssued(digits: string): boolean {
  return !/^(?:000|666|9)|^\d{3}00|0000$/.test(digits)
}
