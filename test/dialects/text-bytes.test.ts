import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { isText, textIn } from '../../src/dialects/bodies/text-bytes.ts'

const SAID = 'Der Vogel heißt Osprey, und niemand darf es wissen. '.repeat(3)
const utf8 = Buffer.from(SAID)
const swapped = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()

/** A text in bytes that are not plain UTF-8. */
const texts: Readonly<Record<string, Buffer>> = {
  'UTF-8': utf8,
  'UTF-8 with a control character': Buffer.concat([utf8, Buffer.from([1])]),
  'UTF-8 with a byte of no character': Buffer.concat([utf8, Buffer.from([0xff]), utf8]),
  'UTF-8 with both': Buffer.concat([Buffer.from([0, 0xff]), utf8]),
  'the end of a file that was cut within a character': utf8.subarray(utf8.indexOf('ß') + 1),
  'the beginning of a file that was cut within a character': utf8.subarray(0, utf8.lastIndexOf('ß') + 1),
  'Latin-1': Buffer.from(SAID, 'latin1'),
  'UTF-16, little end first': Buffer.from(SAID, 'utf16le'),
  'UTF-16, big end first': swapped(SAID),
  'UTF-16 with a byte order mark': Buffer.from(`\ufeff${SAID}`, 'utf16le'),
  'UTF-16 with the other byte order mark': swapped(`\ufeff${SAID}`),
}
for (const [name, bytes] of Object.entries(texts)) {
  test(`${name} is found to be text`, () => {
    assert.ok(textIn(bytes)?.includes('Osprey, und niemand'), textIn(bytes) ?? 'no text')
  })
}

test('a cut character loses its own letter only, and Latin-1 none', () => {
  assert.match(textIn(utf8.subarray(0, -3).subarray(utf8.indexOf('ß') + 1)) ?? '', /Vogel heißt/)
  assert.match(textIn(Buffer.from(SAID, 'latin1')) ?? '', /heißt/)
})

test('what is compressed, encrypted, sound, a picture, a PDF or nothing is no text', () => {
  const tone = Buffer.alloc(8000)
  for (let i = 0; i < 4000; i++) tone.writeInt16LE(Math.round(200 * Math.sin(i / 7)), 2 * i)
  const png = Buffer.from('89504e470d0a1a0a0000000d494844520000000100000001080600000', 'hex')
  for (const bytes of [
    randomBytes(500),
    randomBytes(200_000),
    gzipSync(randomBytes(999)),
    tone,
    png,
    Buffer.from('%PDF-1.4\n1 0 obj'),
    Buffer.alloc(0),
    Buffer.alloc(99),
  ])
    assert.equal(textIn(bytes), null)
  assert.deepEqual([isText(utf8), isText(Buffer.from('a\0')), isText(Buffer.from([0xff]))], [true, false, false])
})
