/** Numbers without a check digit that anything could be: found only where the text says what they are. */

import { textOf } from './characters.ts'
import { isMonthDay } from './check-digits.ts'
import type { Found } from './found.ts'
import { CONTEXT_BYTES_MAX } from './shapes.ts'

/** Between the word and the number: "number:", "Nr.", "is" and so on, but no end of a sentence. */
const THEN = '[^\\n;,?!]{0,24}$'

interface Named {
  kind: string
  /** What stands before it. */
  context: RegExp
  /** Letters and digits, with the signs that may be among them. */
  number: RegExp
}

const named: readonly Named[] = [
  {
    kind: 'passport',
    context: new RegExp(
      `(?:passport|reisepass|passeport|pasaporte|passaporto|passnummer|identity\\s+card|personalausweis|ausweisnummer|carte\\s+d.identite)${THEN}`,
      'i',
    ),
    number: /^(?=(?:[A-Z ]*\d){5})(?:[A-Z\d]{7,9}|[A-Z]{1,2} \d{6,7}|\d\d ?[A-Z]{2} ?\d{5})(?![\w/-])/i,
  },
  {
    kind: 'driving_licence',
    context: new RegExp(
      `(?:driv(?:er.?s?|ing)\\s+licen[cs]e|\\bDL(?:N|\\s?#|\\s(?:no|nr|number))\\b|fuhrerschein|permis\\s+de\\s+conduire|(?:carnet|permiso|licencia)\\s+de\\s+conduc\\w+|patente\\s+di\\s+guida)${THEN}`,
      'i',
    ),
    number: /^(?=(?:[A-Z -]*\d){4})[A-Z\d](?:[A-Z\d]|[ -](?=[A-Z]?\d)){4,17}(?![\w/-])/i,
  },
  {
    kind: 'medical_record_number',
    context: new RegExp(
      `(?:\\bMRN\\b|medical\\s+record|health\\s+record|patient(?:en)?[\\s-]*(?:id|number|no|nr|nummer)\\b|hospital\\s+(?:id|number|no)\\b|chart\\s+(?:number|no)\\b|dossier\\s+medical|nume?ro\\s+(?:de\\s+)?(?:dossier|patient|historia|expediente)|historia\\s+clinica|fallnummer)${THEN}`,
      'i',
    ),
    number: /^(?=(?:[A-Z-]*\d){4})(?:[A-Z]{1,4}-?)?\d{2,12}(?:-\d{2,6}){0,3}(?![\w/-])/i,
  },
]
const NUMBER_BYTES_MAX = 24
/** Capitals that stand apart from the number of a passport and are part of it. */
const SERIES = /(?<![A-Za-z])[A-Z]{1,2} $/

/** Passports and identity cards, driving licences, medical records. `start` is the beginning of a word with a digit in it, near a word of context-words.ts. */
export function findNamedNumber(text: Buffer, start: number, to: number, found: Found): void {
  const before = textOf(text, start - CONTEXT_BYTES_MAX, start)
  const written = textOf(text, start, Math.min(to, start + NUMBER_BYTES_MAX))
  for (const { kind, context, number } of named) {
    if (!context.test(before)) continue
    const series = kind === 'passport' ? (SERIES.exec(before)?.[0] ?? '') : ''
    const length = number.exec(series + written)?.[0].length ?? 0
    if (length > 0 && !isDate(written.slice(0, length))) found(start - series.length, start - series.length + length, kind)
  }
}

/** "The passport is valid until 2031-05-01" names no passport. */
const isDate = (written: string): boolean => /^(?:19|20)\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])$|^\d\d?[./-]\d\d?[./-](?:19|20)?\d\d$/.test(written)

/** United Kingdom, driver number (DVLA): name, decade, month (women + 50), day, year, initials. */
const DVLA = /^[A-Z9]{5}\d(?:0[1-9]|1[0-2]|5[1-9]|6[0-2])(?:0[1-9]|[12]\d|3[01])\d[A-Z9]{2}[A-Z\d][A-Z]{2}$/

/** British driver numbers, whose shape nothing else has. */
export function findDriverNumber(text: Buffer, start: number, end: number, found: Found): void {
  if (DVLA.test(textOf(text, start, end))) found(start, end, 'driving_licence')
}

const BIRTH =
  /(?:\bborn\b|birth(?:[\s_-]?(?:day|date|d))?(?![a-z])|\bd\.?\s?o\.?\s?b\b|\bgeb(?:oren|\.|urt\w*)?(?=\W|$)|\bnee?\s+le\b|naissance|nacimiento|\bnacid[oa]\b|nascita|\bnat[oa]\s+il\b|urodz|fodelse|geboortedatum)[^\n;?!]{0,24}$/i
const MONTHS =
  'jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|juni?|juli?|okt|dez|marz|janv|fevr|avr|juin|juil|aout|ene|abr|ago|dic|gen|mag|giu|lug|set|ott'
const NUMERIC = /^(?:(\d\d?)([./-])(\d\d?)\2((?:19|20)\d\d|\d\d)|((?:19|20)\d\d)([./-])(\d\d?)\6(\d\d?))(?![\w]|[./-]\d)/
const DAY_FIRST = new RegExp(`^\\d\\d?(?:st|nd|rd|th|er|\\.)?\\s(?:of\\s|de\\s)?(?:${MONTHS})[a-z]*\\.?,?\\s(?:de\\s|del\\s)?(?:19|20)\\d\\d(?!\\w)`, 'i')
const MONTH_FIRST = new RegExp(`(?:${MONTHS})[a-z]*\\.?\\s$`, 'i')
const AFTER_MONTH = /^\d\d?(?:st|nd|rd|th)?,?\s(?:19|20)\d\d(?!\w)/
const DATE_BYTES_MAX = 32

/** Dates right after a word such as "born" or "DOB". `start` is the first digit of a word. */
export function findBirthDate(text: Buffer, start: number, to: number, found: Found): void {
  const written = textOf(text, start, Math.min(to, start + DATE_BYTES_MAX))
  const numeric = NUMERIC.exec(written)
  const length = numeric ? (isCalendar(numeric) ? numeric[0].length : 0) : (DAY_FIRST.exec(written)?.[0].length ?? AFTER_MONTH.exec(written)?.[0].length ?? 0)
  if (length === 0) return
  const before = textOf(text, start - CONTEXT_BYTES_MAX, start)
  const month = numeric || DAY_FIRST.test(written) ? 0 : (MONTH_FIRST.exec(before)?.[0].length ?? -1)
  if (month >= 0 && BIRTH.test(before.slice(0, before.length - month))) found(start - month, start + length, 'birth_date')
}

function isCalendar([, first, , second, , year, , month, day]: RegExpExecArray): boolean {
  if (year !== undefined) return isMonthDay(Number(month), Number(day))
  return isMonthDay(Number(first), Number(second)) || isMonthDay(Number(second), Number(first))
}
