/** Audit entries as CSV (RFC 4180) that a spreadsheet may open: no cell of it is a formula. */
import { columns } from './columns.ts'
import type { AuditEntry } from './entry.ts'

const names = Object.keys(columns) as (keyof AuditEntry)[]
const LINE_END = '\r\n'

export const csvHead: string = names.join(',') + LINE_END

/** One line, its end included. Lists and objects are written as JSON, null as nothing. */
export const csvLine = (entry: AuditEntry): string => names.map((name) => cell(entry[name])).join(',') + LINE_END

function cell(value: AuditEntry[keyof AuditEntry]): string {
  if (value === null) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = harmless(typeof value === 'string' ? value : JSON.stringify(value))
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/**
 * A cell that begins like a formula gets an apostrophe in front, which spreadsheets take for "this is text" (OWASP, CSV injection). The wide forms are
 * read as the narrow ones where the keyboard is Japanese. Text that began with an apostrophe gets one too, so that it can be told from one of ours.
 */
const harmless = (text: string): string => (/^[=+\-@\t\r\n'\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? `'${text}` : text)
