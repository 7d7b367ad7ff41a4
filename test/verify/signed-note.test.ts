import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { BadKey, BadNote, noteKeyOfSeed, openCheckpoint, openNote, parseNoteKey } from '../../src/verify/signed-note.ts'
import { createSigningKey } from './build-log.ts'

/** The example of golang.org/x/mod/sumdb/note, from which C2SP signed-note was written. */
const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const signature = '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'

const root = hash('sha256', 'x', 'buffer')
const key = createSigningKey('earthflow/one')
const keys = [parseNoteKey(key.vkey)]

test('the example of the specification is verified', () => {
  assert.equal(openNote(`${text}\n${signature}`, [parseNoteKey(peter)]).text, text)
})

test('a note that was changed, or that nobody known has signed, is refused', () => {
  const known = [parseNoteKey(peter)]
  const note = `${text}\n${signature}`
  for (const [bad, why] of [
    [note.replace('cryptography', 'Cryptography'), /signature is wrong/],
    [note.replace('UG/SffcvI', 'UG/SffcvJ'), /signature is wrong/],
    [`${text}\n${signature.replace('PeterNeumann', 'AlanTuring')}`, /not signed/],
    [`${text}\n`, /no signed note|not signed/],
    [text, /no signed note/],
    [note.slice(0, -1), /no signed note/],
    [`${note}garbage\n`, /no signed note/],
    [note.replace('answer', 'answer\r'), /no signed note/],
    ['', /no signed note/],
  ] as const)
    assert.throws(
      () => openNote(bad, known),
      (error: Error) => error instanceof BadNote && why.test(error.message),
      bad,
    )
})

test('signatures of others beside one that is known do no harm, a wrong one of somebody known does', () => {
  const other = createSigningKey('earthflow/one', hash('sha256', 'other', 'buffer'))
  const line = (signing: typeof key) => signing.sign(1, root).split('\n\n')[1]!
  const both = key.sign(1, root) + line(other)
  assert.equal(openCheckpoint(both, keys).size, 1)
  assert.equal(openCheckpoint(both, [...keys, parseNoteKey(other.vkey)]).size, 1, 'while the key is changed both sign')
  assert.equal(openCheckpoint(both, [parseNoteKey(other.vkey)]).size, 1)
  const spoiled = key.sign(1, root) + line({ ...other, sign: () => other.sign(2, root) })
  assert.throws(() => openCheckpoint(spoiled, [...keys, parseNoteKey(other.vkey)]), /signature is wrong/)
})

test('a checkpoint is read as it was signed, and only for the log of its key', () => {
  assert.deepEqual(openCheckpoint(key.sign(12, root), keys), { origin: 'earthflow/one', size: 12, root })
  const [origin, size, hashText] = ['earthflow/one', '12', root.toString('base64')]
  const signed = (lines: string[]): string => key.signText(`${lines.join('\n')}\n`)
  assert.equal(openCheckpoint(signed([origin, size, hashText, 'an extension']), keys).size, 12)
  for (const lines of [
    ['earthflow/two', size, hashText],
    [origin, '012', hashText],
    [origin, '-1', hashText],
    [origin, '1e3', hashText],
    [origin, '99999999999999999', hashText],
    [origin, size, hashText.slice(4)],
    [origin, size, `${hashText} `],
    [origin, size],
    [origin, size, hashText, ''],
  ])
    assert.throws(() => openCheckpoint(signed(lines), keys), BadNote, lines.join('|'))
})

test('a public key is read whole or not at all', () => {
  assert.equal(parseNoteKey(` ${key.vkey}\n`).text, key.vkey)
  assert.equal(noteKeyOfSeed('earthflow/one', hash('sha256', 'earthflow/one', 'buffer')).text, key.vkey)
  const [name, id, bytes] = key.vkey.split('+')
  for (const bad of [
    '',
    'x',
    `${name}+${id}`,
    `other+${id}+${bytes}`,
    `${name}+00000000+${bytes}`,
    `${name}+${id}+${bytes!.slice(0, -4)}`,
    key.vkey.replace('+A', '+B'),
  ])
    assert.throws(() => parseNoteKey(bad), BadKey, bad)
})
