/** What the rules engine is measured beside: each rule asked by itself, as one would write it on an afternoon. */

/** A list such as many a proxy has; kinder than ours, because it sees none of what is disguised. */
const PATTERNS: readonly RegExp[] = [
  /\b(?:\d[ -]*?){13,19}\b/g,
  /\b\d{3}-\d{2}-\d{4}\b/g,
  /[\w.%+-]+@[\w.-]+\.[a-z]{2,}/gi,
  /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b/g,
  /\+?\d{1,3}?[-. ]?\(?\d{3}\)?[-. ]?\d{3}[-. ]?\d{4}\b/g,
  /\b(?:\d{1,3}\.){3}\d{1,3}\b/g,
  /\b(?:[0-9a-f]{1,4}:){2,7}[0-9a-f]{1,4}\b/gi,
  /\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b/gi,
  /\b[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b/g,
  /\b\d{8}[A-Z]\b/g,
  /\b[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]\b/g,
  /\b\d{3}\.\d{3}\.\d{3}-\d{2}\b/g,
  /\b\d{6}-\d{4}\b/g,
  /\bpassport\W{0,20}[A-Z0-9]{6,9}\b/gi,
  /\b(?:dob|born|date of birth)\W{0,20}\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b/gi,
  /\bmrn\W{0,10}\d{5,12}\b/gi,
  /\b(?:[13][a-km-zA-HJ-NP-Z1-9]{25,34}|bc1[a-z0-9]{38,60}|0x[0-9a-f]{40})\b/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /\bgh[pousr]_[0-9A-Za-z]{36}\b/g,
  /\bsk-[\w-]{20,}/g,
  /\bxox[abprs]-[\w-]{10,}/g,
  /\bAIza[\w-]{35}/g,
  /\b[rs]k_(?:live|test)_\w{16,}/g,
  /\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g,
  /\b\w+:\/\/[^\s:@]+:[^\s:@]+@[\w.-]+/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/g,
]

export function detectAll(text: string): number {
  let found = 0
  for (const pattern of PATTERNS) for (const _ of text.matchAll(pattern)) found++
  return found
}

export function containsAny(text: string, phrases: readonly string[]): number {
  const lower = text.toLowerCase()
  let found = 0
  for (const phrase of phrases) if (lower.includes(phrase)) found++
  return found
}

export function matchesAny(text: string, patterns: readonly RegExp[]): number {
  let found = 0
  for (const pattern of patterns) if (pattern.test(text)) found++
  return found
}
