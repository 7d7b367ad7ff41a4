/** Numbers that name one person or open one account. */
import { detects, type PresetEntry } from './preset-rule.ts'

const GDPR_87 = 'GDPR Art. 87 (national identification number), Art. 5(1)(c) (data minimisation)'

export const personal: readonly PresetEntry[] = [
  {
    name: 'Payment card',
    purpose: 'Numbers of payment cards with a valid check digit.',
    article: 'PCI DSS 4.0 3.4.1, 3.5.1 (primary account number masked, unreadable)',
    condition: detects('credit_card'),
    action: 'REDACT',
    match: ['4111 1111 1111 1111', 'card 5500-0000-0000-0004, 12/27', '378282246310005'],
    pass: ['4111 1111 1111 1112', 'order 123456', 'call +1 202 555 0143'],
  },
  {
    name: 'IBAN',
    purpose: 'International bank account numbers with the length of their country and valid check digits.',
    article: 'GDPR Art. 5(1)(c), Art. 32; ISO 13616',
    condition: detects('iban'),
    action: 'REDACT',
    match: ['DE89 3704 0044 0532 0130 00', 'pay GB29NWBK60161331926819, please', 'IBAN: FR14 2004 1010 0505 0001 3M02 606'],
    pass: ['DE89 3704 0044 0532 0130 01', 'GB29NWBK6016133192681', 'an IBAN begins with DE and 20 digits'],
  },
  {
    name: 'Social security number',
    purpose: 'US social security numbers in ranges that are issued.',
    article: 'NIST SP 800-122, 2.2; Privacy Act of 1974, section 7',
    condition: detects('ssn'),
    action: 'REDACT',
    match: ['123-45-6789', 'SSN: 078 05 1120.', 'his number is 219-09-9999, hers is not known'],
    pass: ['000-12-3456', '123-45-67890', '2024-11-05'],
  },
  {
    name: 'National identity number',
    purpose: 'National and tax numbers of persons in Europe and Brazil, by their check digits; the weaker ones only where the text names them.',
    article: GDPR_87,
    condition: detects('national_id'),
    action: 'REDACT',
    match: [
      'Steuer-ID: 86 095 742 719',
      'NIR 2 55 08 14 168 025 38',
      'Mi DNI es 12345678Z.',
      'codice fiscale RSSMRA85T10A562S',
      'BSN 111222333',
      'NI number AB123456C',
      'PESEL: 44051401359',
      '811218-9876',
      '85.07.30-033.28',
      'AHV 756.9217.0769.85',
      'CPF 529.982.247-25',
    ],
    pass: ['86095742719', 'order 111222333', '12345678A', 'part AB123456C', 'RSSMRA85T10A562T', 'build 811218-9875'],
  },
  {
    name: 'Passport or identity card number',
    purpose:
      'Numbers of passports, identity cards and driving licences, right after such a word in English, German, French, Spanish or Italian; British driver numbers.',
    article: GDPR_87,
    condition: detects('passport', 'driving_licence'),
    action: 'REDACT',
    match: ['passport number: 533380006', 'Reisepass-Nr. C01X00T47', 'passeport n° 12AB34567', "driver's license D1234567"],
    pass: ['passport number required', 'passport 2026 renewals', 'the driving licence costs 4500 euros', 'my passport expires in 2031'],
  },
]
