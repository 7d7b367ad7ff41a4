import { weighted } from './check-digits.ts'
import type { Shape } from './shapes.ts'

/** US bank routing numbers (ABA): a Federal Reserve district, a check digit that every tenth number has, and so the text has to say what it is. */
export const routingNumbers: readonly Shape[] = [
  {
    kind: 'routing_number',
    templates: ['999999999', '9999-9999-9'],
    isValid: (digits) =>
      /^(?:0\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)/.test(digits) && Number(digits) > 0 && weighted(digits, [3, 7, 1, 3, 7, 1, 3, 7, 1]) % 10 === 0,
    context: /routing|\bABA\b|\bRTN\b|transit\s+(?:number|no)/i,
  },
]
