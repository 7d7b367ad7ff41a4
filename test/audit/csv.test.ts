import assert from 'node:assert/strict'
import { test } from 'node:test'
import { csvHead, csvLine } from '../../src/audit/csv.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'

const lineOf = (entry: Partial<AuditEntry>): string =>
  csvLine({
    ...(Object.fromEntries(
      csvHead
        .trim()
        .split(',')
        .map((name) => [name, null]),
    ) as unknown as AuditEntry),
    ...entry,
  })
const cellOf = (user_id: string): string => lineOf({ user_id }).replace(/^,+|,*\r\n$/g, '')

test('every member of an entry is a column, and lists are written as JSON', () => {
  assert.equal(csvHead.slice(0, 30), 'audit_id,timestamp,kind,tenant')
  const line = lineOf({ rules_triggered: ['rule_1', 'rule_2'], stream: true, http_status: 200, metadata: { team: 'a"b' } })
  assert.ok(line.includes('"[""rule_1"",""rule_2""]"') && line.includes(',true,') && line.includes('"{""team"":""a\\""b""}"'))
  assert.equal(line.endsWith('200,,,\r\n'), true)
})

test('no cell is a formula, however it begins', () => {
  for (const text of ['=1+1', '+1', '-1', '@SUM(A1)', '\uFF1D1+1', '\uFF0B1', '\uFF0D1', '\uFF20x']) assert.equal(cellOf(text), `'${text}`)
  for (const text of ['\t=1', '\r=1', '\n=1']) assert.match(cellOf(text), /^"?'/)
  assert.equal(cellOf('=HYPERLINK("http://x","y")'), `"'=HYPERLINK(""http://x"",""y"")"`)
})

test('what begins with an apostrophe of its own can be told from what was given one', () => {
  assert.notEqual(cellOf("'=1"), cellOf('=1'))
})

test('commas, quotes and line ends stay inside their cell; other text is as it was', () => {
  assert.equal(cellOf('a,b'), '"a,b"')
  assert.equal(cellOf('a"b'), '"a""b"')
  assert.equal(cellOf('a\r\n=b'), '"a\r\n=b"')
  assert.equal(cellOf('Ähre 漢字 🌾'), 'Ähre 漢字 🌾')
})
