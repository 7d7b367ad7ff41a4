import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { detectors } from '../../src/rules/detectors.ts'
import { compileMatcher } from '../../src/rules/matching/compile-matcher.ts'
import { foldCase, foldedLiterals } from '../../src/rules/matching/folded-literals.ts'
import { literals } from '../../src/rules/matching/literals.ts'
import { insert, type Matcher, merge, type Span, together } from '../../src/rules/matching/match.ts'
import { PASSING } from '../../src/rules/matching/passages.ts'

/** What a watcher reports of a text that comes in pieces; on the way, that it never reports what it had called decided. */
function find(matcher: Matcher, pieces: readonly Buffer[]): string[] {
  const found: string[] = []
  let decided = 0
  const watch = matcher((start, end, leaf) => {
    assert.ok(start >= decided, `a finding at ${start} begins before what was decided, ${decided}`)
    found.push(`${start}-${end}:${leaf}`)
  })
  let fed = 0
  for (const piece of pieces) {
    watch.feed(piece, 0, piece.length)
    fed += piece.length
    assert.ok(watch.decided >= decided && watch.decided <= fed, 'what is decided only grows, and not beyond what was read')
    decided = watch.decided
  }
  watch.finish()
  assert.equal(watch.decided, fed, 'after the end everything is decided')
  return found.sort()
}

function sameHoweverCut(matcher: Matcher, text: string): string[] {
  const bytes = Buffer.from(text)
  const whole = find(matcher, [bytes])
  for (let a = 0; a <= bytes.length; a++)
    for (let b = a; b <= bytes.length; b++)
      assert.deepEqual(find(matcher, [bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)]), whole, `${a}, ${b}`)
  assert.deepEqual(
    find(
      matcher,
      Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
    ),
    whole,
  )
  return whole.map((span) => {
    const [start, end] = span.split(/[-:]/).map(Number)
    return bytes.toString('utf8', start, end)
  })
}
const detector = (name: string): Matcher => compileMatcher([{ operand: { kind: 'detector', name } }], 'passing') ?? assert.fail(name)
const phrase = (text: string, exact = false, leaf = 0) => ({ text, exact, leaves: [leaf] })

test('phrases are found in any ASCII case and wherever they lie, overlapping ones too, however the text is cut', () => {
  const matcher = literals([phrase('she'), phrase('he', false, 1), phrase('HERS', false, 2), phrase('rs, s', false, 3)])
  assert.deepEqual(sameHoweverCut(matcher, 'uSHErs, sHe').sort(), ['HE', 'HErs', 'He', 'SHE', 'rs, s', 'sHe'].sort())
})

test('an exact phrase is found in its very case only, also where a cut goes through it', () => {
  const matcher = literals([phrase('AbC', true), phrase('abcd', false, 1), phrase('Éa', true, 2)])
  assert.deepEqual(sameHoweverCut(matcher, 'abc AbC ABC AbCD éa Éa ÉA').sort(), ['AbC', 'AbC', 'AbCD', 'Éa'].sort())
})

test('phrases with letters outside ASCII are found in any case, also where the cases differ in length, however the text is cut', () => {
  const matcher = foldedLiterals([phrase('straße Köln'), phrase('ὈΔΥΣΣΕΎΣ', false, 1), phrase('привет', false, 2), phrase('𐐀b', false, 3)])
  assert.deepEqual(sameHoweverCut(matcher, 'x STRAẞE \u212aÖLN ὀδυσσεύς ПриВЕТ! 𐐨B').sort(), ['STRAẞE \u212aÖLN', 'ПриВЕТ', 'ὀδυσσεύς', '𐐨B'].sort())
})

test('a dictionary of ten thousand terms finds what looking for each would find, in any case, however the text is cut', () => {
  const random = (n: number): number => Math.imul(n + 1, 0x9e3779b1) >>> 0
  for (const [look, letters] of [
    [literals, 'abcdefghijklmnopqrstuvwxyz0123456789 -_./'],
    [foldedLiterals, 'abcdefghijklmnopqrstuvwxyzéèüöäñçøåß 0123'],
  ] as const) {
    const terms = Array.from({ length: 10_000 }, (_, i) =>
      Array.from({ length: 8 + (i % 20) }, (_, k) => letters[random(i * 64 + k) % letters.length]).join(''),
    )
    const matcher = look(terms.map((term, i) => phrase(term, false, i)))
    // Beginnings of terms, which lead deep and end in nothing, whole ones, and ones that begin where another breaks off.
    const pieces = Array.from({ length: 300 }, (_, i) => {
      const term = terms[random(i) % terms.length]
      return i % 3 === 0 ? term.toUpperCase() : i % 3 === 1 ? term.slice(0, -1) : `${term.slice(0, -2)}${terms[i]}`
    })
    const text = Buffer.from(pieces.join(''))
    const lower = text.toString().toLowerCase()
    const expected = terms.flatMap((term, i) => {
      const found: string[] = []
      for (let at = lower.indexOf(term); at >= 0; at = lower.indexOf(term, at + 1)) {
        const start = Buffer.byteLength(lower.slice(0, at))
        found.push(`${start}-${start + Buffer.byteLength(term)}:${i}`)
      }
      return found
    })
    assert.ok(expected.length >= 200)
    assert.deepEqual(find(matcher, [text]), expected.sort())
    const cuts = Array.from({ length: 40 }, (_, i) => random(i) % text.length).sort((a, b) => a - b)
    assert.deepEqual(
      find(
        matcher,
        [0, ...cuts].map((from, i) => text.subarray(from, cuts[i])),
      ),
      expected,
    )
  }
})

test('case folding is the simple folding of Unicode', () => {
  for (let codePoint = 0; codePoint < 0x1e944; codePoint++) {
    if (codePoint >= 0xd800 && codePoint < 0xe000) continue
    const folded = foldCase(codePoint)
    if (folded !== codePoint) assert.match(String.fromCodePoint(codePoint), new RegExp(`^\\u{${folded.toString(16)}}$`, 'iu'), codePoint.toString(16))
  }
  for (const same of ['kK\u212a', 'sSſ', 'åÅ\u212b', 'σςΣ', 'ßẞ', 'θϑϴΘ', 'µμΜ', 'ǆǅǄ'])
    assert.equal(new Set(Array.from(same, (letter) => foldCase(letter.codePointAt(0) ?? 0))).size, 1, same)
  assert.notEqual(foldCase(0x131), foldCase(0x69))
})

const LETTERS = 'Abcdefghijklmnopqrstuvwxyz0123456789'
/** Parts of what detectors look for. */
const PARTS: Record<string, readonly string[]> = {
  iban: ['DE89', '3704', '0044', '0532', '0130', '00', 'GB29NWBK60161331926819'],
  national_id: ['811218', '9876', 'BSN ', '111222333', '12345678', 'Z', '85.07.30', '-033.28', 'AB', '34', '56', 'C'],
  phone: ['+', '(', ')', '212', '555-', '0143', 'tel. ', '/', '49'],
  health_id: ['1EG4', 'TE5', 'MK73', 'NPI ', '1234567893', 'NHS', '943', '476', '5919'],
  routing_number: ['ABA', 'routing', '021000021', '0210', '0002'],
  secret: [
    'AKIA',
    'IOSFODNN7EXAMPLE',
    'ghp_',
    LETTERS,
    LETTERS.repeat(3),
    'eyJhbGciOiJIUzI1NiJ9.',
    '-----BEGIN RSA PRIVATE KEY-----',
    '-----END',
    'redis://:p1@',
  ],
}

const cases: Record<string, { finds: [text: string, ...found: string[]][]; passes: string[] }> = {
  credit_card: {
    finds: [
      ['Pay 4111 1111 1111 1111 now', '4111 1111 1111 1111'],
      ['4111-1111-1111-1111', '4111-1111-1111-1111'],
      ['a 378282246310005, b 6011000990139424', '378282246310005', '6011000990139424'],
      ['41 11 11 11 11 11 11 11', '41 11 11 11 11 11 11 11'],
      ['4111  1111 1111 1111', '4111  1111 1111 1111'],
      ['4.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1', '4.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1'],
      ['4111**1111**1111__1111__', '4111**1111**1111__1111'],
      ['4111\n1111\n1111\n1111', '4111\n1111\n1111\n1111'],
    ],
    passes: [
      '2 3 4 5 6 7 8 9 10 11 12 13',
      '40.712776, -74.005974',
      '4.11.2026 12:30:45.123',
      '9111 1111 1111 1117',
      '4111 1111 1111 1112',
      '0000 0000 0000 0000',
      '12345678901234567890123456789',
      '4111 1111 1111',
    ],
  },
  ssn: {
    finds: [
      ['123-45-6789', '123-45-6789'],
      ['SSN 078 05 1120.', '078 05 1120'],
      ['x123-45-6789- y', '123-45-6789'],
      ['899-99-9999/001-01-0001', '899-99-9999', '001-01-0001'],
      ['1 123-45-6789 2', '123-45-6789'],
      ['(123-45-6789)', '123-45-6789'],
      ['123 456-78-9012', '456-78-9012'],
    ],
    passes: [
      '000-12-3456',
      '666-12-3456',
      '900-12-3456',
      '123-00-4567',
      '123-45-0000',
      '123456789',
      '123-45-67890',
      '1123-45-6789',
      '1-123-45-6789',
      '123-45-6789-1',
      '123--45-6789',
      '123-45',
      '100 20 3000 400',
      '123.45.6789',
    ],
  },
  email: {
    finds: [
      ['Write to jane.doe+x@mail.example.co.uk, please', 'jane.doe+x@mail.example.co.uk'],
      ['a@b.io', 'a@b.io'],
      ['<x_y@example.org>.', 'x_y@example.org'],
      ['mail ...me@example.org.', 'me@example.org'],
      ['me@example.org.x1', 'me@example.org'],
      ['a@b.com@c.org', 'a@b.com', 'b.com@c.org'],
      [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
      ['联系foo@bar.com或者', 'foo@bar.com'],
    ],
    passes: [
      'me@localhost',
      '@example.org',
      'me@example.c0m',
      'me@.org',
      'me@ex..org',
      'a@b.c',
      `${'a'.repeat(65)}@example.com`,
      `x${'.'.repeat(10)}${'a'.repeat(60)}@example.com`,
    ],
  },
  iban: {
    finds: [
      ['DE89 3704 0044 0532 0130 00 please', 'DE89 3704 0044 0532 0130 00'],
      ['GB29NWBK60161331926819.', 'GB29NWBK60161331926819'],
      ['x NO93 8601 1117 947, FR14 2004 1010 0505 0001 3M02 606', 'NO93 8601 1117 947', 'FR14 2004 1010 0505 0001 3M02 606'],
      ['NL91 DE89 3704 0044 0532 0130 00', 'DE89 3704 0044 0532 0130 00'],
      ['CH93-0076-2011-6238-5295-7', 'CH93-0076-2011-6238-5295-7'],
      ['de89370400440532013000', 'de89370400440532013000'],
      ['DE89 37040044 0532 0130 00', 'DE89 37040044 0532 0130 00'],
      ['DE89  3704.0044.0532-0130-00', 'DE89  3704.0044.0532-0130-00'],
      ['DE 89 3704 0044 0532 0130 00', 'DE 89 3704 0044 0532 0130 00'],
      ['IBANDE89370400440532013000', 'DE89370400440532013000'],
      ['-DE89370400440532013000_', 'DE89370400440532013000'],
    ],
    passes: ['DE89 3704 0044 0532 0130 01', 'DE893704004405320130000', 'ZZ89 3704 0044 0532 0130 00'],
  },
  national_id: {
    finds: [
      ['AB 12 34 56 C', 'AB 12 34 56 C'],
      ['national insurance AB123456C', 'AB123456C'],
      ['Steuer-ID: 86 095 742 719', '86 095 742 719'],
      ['IdNr 86095742719', '86095742719'],
      ['2 55 08 14 168 025 38', '2 55 08 14 168 025 38'],
      ['no. 255081416802538', '255081416802538'],
      ['1 85 05 2A 004 123 56', '1 85 05 2A 004 123 56'],
      ['12345678Z, X1234567L', '12345678Z', 'X1234567L'],
      ['12345678-Z', '12345678-Z'],
      ['RSSMRA85T10A562S', 'RSSMRA85T10A562S'],
      ['BSN: 111222333', '111222333'],
      ['PESEL 44051401359', '44051401359'],
      ['811218-9876, 19811218-9876', '811218-9876', '19811218-9876'],
      ['85.07.30-033.28', '85.07.30-033.28'],
      ['756.9217.0769.85', '756.9217.0769.85'],
      ['529.982.247-25', '529.982.247-25'],
      ['CPF 52998224725', '52998224725'],
      ['VSNR 65 170839 J 003', '65 170839 J 003'],
      ['65170839J003', '65170839J003'],
      ['NIN 109870123456789012', '109870123456789012'],
      ['2341 2341 2346', '2341 2341 2346'],
      ['Aadhaar: 234123412346', '234123412346'],
      ['ABCPE1234F', 'ABCPE1234F'],
      ['PAN ABCCE1234F', 'ABCCE1234F'],
      ['SIN 046 454 286', '046 454 286'],
      ['NAS : 046-454-286', '046-454-286'],
      ['912-70-1234', '912-70-1234'],
      ['personnummer 8112189876', '8112189876'],
    ],
    passes: [
      'AB123456C',
      'BG 12 34 56 C',
      '86095742719',
      'Steuer-ID 86095742718',
      '2 55 08 14 168 025 39',
      '12345678A',
      'Z1234567L',
      'RSSMRA85T10A562T',
      '111222333',
      'BSN 111222334',
      '44051401359',
      'PESEL 44131401359',
      '811218-9875',
      '1-811218-9876',
      '811218-9876-1',
      '529.982.247-26',
      '111.111.111-11',
      '756.9217.0769.86',
      '65 170839 J 004',
      '109870123456789012',
      '2341 2341 2345',
      '234123412346',
      'ABCCE1234F',
      '046 454 286',
      'SIN 046 454 287',
      '912-12-1234',
      '8112189876',
    ],
  },
  phone: {
    finds: [
      ['+1 (202) 555-0143', '+1 (202) 555-0143'],
      ['(212) 555-0143 or 212-555-0199', '(212) 555-0143', '212-555-0199'],
      ['at 10 1-212-555-0143.', '1-212-555-0143'],
      ['+49 30 1234567, +43 1 5880130', '+49 30 1234567', '+43 1 5880130'],
      ['+44 (0) 20 7946 0958', '+44 (0) 20 7946 0958'],
      ['Tel. 06 12 34 56 78', '06 12 34 56 78'],
      ['téléphone : 01 23 45 67 89', '01 23 45 67 89'],
      ['"phone":"0301234567"', '0301234567'],
      ['Handy-Nr.: 0171/2345678', '0171/2345678'],
    ],
    passes: [
      'build 212.555.0143',
      '2024-11-05-1234',
      '10.0.22631.3007',
      'a+491234567890',
      '+1700000000',
      'x212-555-0143',
      '112-555-0143',
      '212-555-01432',
      'call 1234567890',
      'telegram 1234567',
      'phone 12',
      '0612345678',
    ],
  },
  health_id: {
    finds: [
      ['1EG4-TE5-MK73', '1EG4-TE5-MK73'],
      ['MBI 1EG4TE5MK73.', '1EG4TE5MK73'],
      ['NPI: 1234567893', '1234567893'],
      ['NHS number 943 476 5919', '943 476 5919'],
      ['Versichertennummer A123456780', 'A123456780'],
    ],
    passes: ['1SG4-TE5-MK73', '1EG4-TE5-MK7', '1234567893', 'NPI 1234567890', 'NHS 943 476 5918', 'A123456780', 'KVNR A123456781'],
  },
  ip_address: {
    finds: [
      ['from 192.168.1.10:8080, to 8.8.8.8.', '192.168.1.10', '8.8.8.8'],
      ['http://10.0.0.1/x', '10.0.0.1'],
      ['2001:db8::8a2e:370:7334 and fe80::1ff:fe23:4567:890a', '2001:db8::8a2e:370:7334', 'fe80::1ff:fe23:4567:890a'],
      ['[2001:db8:0:0:1:0:0:1]:443', '2001:db8:0:0:1:0:0:1'],
    ],
    passes: ['10.0.22631.3007', 'v1.2.3.4', '1.2.3', '1.2.3.4.5', '256.1.1.1', '12:30:45', 'a::b', 'std::vector', '::1', 'x192.168.1.1', '00:1B:44:11:3A:B7'],
  },
  mac_address: {
    finds: [
      ['00:1B:44:11:3a:b7', '00:1B:44:11:3a:b7'],
      ['MAC 00-1B-44-11-3A-B7.', '00-1B-44-11-3A-B7'],
      ['de:ad:be:ef:ca:fe', 'de:ad:be:ef:ca:fe'],
    ],
    passes: ['00:1B:44:11:3A', '00:1B:44:11:3A:B7:00', '00:1B-44:11:3A:B7', '00:00:00:00:00:00', '12:30:45', 'x00:1B:44:11:3A:B7'],
  },
  passport: {
    finds: [
      ['passport number: 533380006', '533380006'],
      ['Reisepass-Nr. C01X00T47', 'C01X00T47'],
      ['passeport no 12AB34567', '12AB34567'],
      ['Passport is K 1234567 and', 'K 1234567'],
    ],
    passes: ['passport number required', 'passport 2026 renewals', 'passport valid until 20310501', 'number 533380006', 'C01X00T47'],
  },
  driving_licence: {
    finds: [
      ["driver's license D1234567", 'D1234567'],
      ['driving licence no. MORGA657054SM9IJ', 'MORGA657054SM9IJ'],
      ['x MORGA657054SM9IJ y', 'MORGA657054SM9IJ'],
      ['Führerschein-Nr. B072RRE2I55', 'B072RRE2I55'],
    ],
    passes: ['the driving licence costs 450 euros', 'D1234567', 'licence 12345678', 'MORGA667054SM9IJ', 'driver license required'],
  },
  birth_date: {
    finds: [
      ['DOB: 04/12/1961', '04/12/1961'],
      ['date of birth 1961-12-04', '1961-12-04'],
      ['she was born on 4 December 1961', '4 December 1961'],
      ['Born: March 3, 1980', 'March 3, 1980'],
      ['geb. 04.12.1961', '04.12.1961'],
      ['née le 4 décembre 1961', '4 décembre 1961'],
      ['fecha de nacimiento: 4 de mayo de 1980', '4 de mayo de 1980'],
    ],
    passes: ['the meeting is on 04/12/2026', 'born in Vienna', 'date of birth unknown', 'née Smith, 4 children', 'DOB 45/13/1961', 'version 1961-12-04'],
  },
  medical_record_number: {
    finds: [
      ['MRN: 123456', '123456'],
      ['Medical record number 00-123-456', '00-123-456'],
      ['patient ID is AB1234567', 'AB1234567'],
      ['Patientennummer: 4711-0815', '4711-0815'],
    ],
    passes: ['the MRN is not known', 'patient number 3', 'record 123456', 'Fallnummer 12', 'MRN 12'],
  },
  crypto_address: {
    finds: [
      ['send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa.', '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa'],
      ['bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4'],
      ['0x52908400098527886E0F7030069857D2E4169EE7', '0x52908400098527886E0F7030069857D2E4169EE7'],
      ['3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy', '3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy'],
    ],
    passes: [
      '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb',
      'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5',
      '0x52908400098527886E0F7030069857D2E4169EE',
      'da39a3ee5e6b4b0d3255bfef95601890afd80709',
    ],
  },
  cloud_key: {
    finds: [
      ['AKIAIOSFODNN7EXAMPLE', 'AKIAIOSFODNN7EXAMPLE'],
      [`AWS_SECRET_ACCESS_KEY="${LETTERS}/+aB"`, `AWS_SECRET_ACCESS_KEY="${LETTERS}/+aB`],
      [`AIza${LETTERS.slice(0, 35)}&x`, `AIza${LETTERS.slice(0, 35)}`],
      ['AKIA IOSF ODNN 7EXA MPLE', 'AKIA IOSF ODNN 7EXA MPLE'],
    ],
    passes: ['AKIA IS THE PREFIX OF AWS KEYS', 'AKIA is what keys begin with', 'AWS_SECRET_ACCESS_KEY=$SECRET', 'AIzaTooShort'],
  },
  vcs_token: {
    finds: [
      [`x ghp_${LETTERS}.`, `ghp_${LETTERS}`],
      [`glpat-${LETTERS.slice(0, 20)}`, `glpat-${LETTERS.slice(0, 20)}`],
    ],
    passes: ['ghp_ is the prefix of a token', 'npm_config_registry', 'ghp_tooshort'],
  },
  llm_key: {
    finds: [
      [`sk-ant-api03-${LETTERS}${LETTERS}`, `sk-ant-api03-${LETTERS}${LETTERS}`],
      [`OPENAI=sk-proj-${LETTERS}${LETTERS};`, `sk-proj-${LETTERS}${LETTERS}`],
    ],
    passes: ['the task-proj-manager package', 'sk-proj-short', 'hf_transfer is a package', 'risk-free'],
  },
  service_key: {
    finds: [
      [`https://hooks.slack.com/services/T01234567/B01234567/${LETTERS.slice(0, 24)}`, `hooks.slack.com/services/T01234567/B01234567/${LETTERS.slice(0, 24)}`],
      [`sk_live_${LETTERS.slice(0, 24)}`, `sk_live_${LETTERS.slice(0, 24)}`],
    ],
    passes: ['xoxo-xoxo', `pk_live_${LETTERS.slice(0, 24)}`, 'whsec_ is a prefix', 'SKU 12345'],
  },
  private_key: {
    finds: [['-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----', '-----BEGIN PRIVATE KEY-----', '\nMIIE\n']],
    passes: ['-----BEGIN PUBLIC KEY-----', '-----BEGIN CERTIFICATE-----\nMIIE'],
  },
  jwt: {
    finds: [['Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln!', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln']],
    passes: ['eyJhbGciOiJIUzI1NiJ9 is a header alone', 'a JWT looks like eyJ….eyJ….sig'],
  },
  connection_string: {
    finds: [
      ['x postgres://app:s3cretpw@db.example.com/x', 'postgres://app:s3cretpw@db.example.com'],
      ['MONGODB+SRV://root:hunter2@c0.example.net', 'MONGODB+SRV://root:hunter2@c0.example.net'],
    ],
    passes: ['postgres://user:password@localhost', 'https://a.b:8080/@x', 'redis://cache:6379/0', 'mysql://root:<password1>@db'],
  },
  earthflow_key: {
    finds: [[`ef_live_${LETTERS}`, `ef_live_${LETTERS}`]],
    passes: ['ef_live_', 'ef_live_abcd1234', 'brief_live_demonstration'],
  },
  routing_number: {
    finds: [
      ['routing number 021000021', '021000021'],
      ['ABA: 0110-0001-5', '0110-0001-5'],
    ],
    passes: ['021000021', 'routing 123456789', 'routing 021000022', 'routing 0210000211', 'ABA 991000021'],
  },
  secret: {
    finds: [
      ['key=AKIAIOSFODNN7EXAMPLE;', 'AKIAIOSFODNN7EXAMPLE'],
      ['my-AKIAIOSFODNN7EXAMPLE_', 'AKIAIOSFODNN7EXAMPLE'],
      ['AKIAIOSFODNN\n7EXAMPLE', 'AKIAIOSFODNN\n7EXAMPLE'],
      [`x = "AKIAIOSF" +\n  "ODNN7EXAMPLE"`, 'AKIAIOSF" +\n  "ODNN7EXAMPLE'],
      [`"ghp_${LETTERS}"`, `ghp_${LETTERS}`],
      ['x postgres://app:s3cretpw@db.example.com/x', 'postgres://app:s3cretpw@db.example.com'],
      ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln!', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln'],
      ['-----BEGIN EC PRIVATE KEY-----\nMIIE+/=\n-----END', '-----BEGIN EC PRIVATE KEY-----', '\nMIIE+/=\n'],
    ],
    passes: [
      'akiaiosfodnn7example',
      'XAKIAIOSFODNN7EXAMPLE',
      'postgres://user:password@localhost',
      'https://a.b:8080/@x',
      'eyJhbGciOiJIUzI1NiJ9',
      '-----BEGIN PUBLIC KEY-----',
    ],
  },
}
for (const [name, { finds, passes }] of Object.entries(cases)) {
  test(`${name} finds what it should and nothing else, however the text is cut`, () => {
    for (const [text, ...found] of finds) assert.deepEqual(sameHoweverCut(detector(name), text).sort(), found.sort(), text)
    for (const text of passes) assert.deepEqual(sameHoweverCut(detector(name), text), [], text)
  })
  test(`${name} finds the same in random texts however they are cut, and holds back a bounded part`, () => {
    const bits = [
      '4111',
      '1111',
      '123',
      '45',
      '6789',
      '-',
      ' ',
      '.',
      '@',
      'a',
      'example',
      'com',
      'x',
      '\n',
      'é',
      '..',
      '12',
      'a'.repeat(30),
      ...(PARTS[name] ?? []),
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...bits), { maxLength: 40 }), fc.array(fc.nat(200), { maxLength: 6 }), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(''))
        const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
        const whole = find(detector(name), [bytes])
        assert.deepEqual(
          find(
            detector(name),
            edges.slice(1).map((to, i) => bytes.subarray(edges[i], to)),
          ),
          whole,
        )
      }),
      { numRuns: 500 },
    )
    for (const text of [
      '1'.repeat(2000),
      '1 '.repeat(1000),
      '12-'.repeat(500),
      'a'.repeat(2000),
      'a@'.repeat(500),
      `a@${'b.'.repeat(1000)}`,
      '@'.repeat(2000),
      'DE89 '.repeat(400),
      `AKIAIOSFODNN7EXAMPLE-${'a-'.repeat(1000)}`,
      `-----BEGIN PRIVATE KEY-----${'MII='.repeat(500)}`,
    ]) {
      const watch = detector(name)(() => {})
      const bytes = Buffer.from(text)
      for (let i = 0; i < bytes.length; i++) {
        watch.feed(bytes, i, i + 1)
        assert.ok(i + 1 - watch.decided <= PASSING.pieceBytes + PASSING.overlapBytes, `${name} holds ${i + 1 - watch.decided} bytes`)
      }
    }
  })
}

test('every detector is held to finding the same however a text is cut', () => {
  assert.deepEqual(Object.keys(cases).sort(), detectors.map(({ name }) => name).sort())
})

test('watchers side by side decide no more than the slowest of them', () => {
  const both = together([literals([phrase('abc def')]), detector('ssn')]) ?? assert.fail()
  assert.deepEqual(sameHoweverCut(both, 'x abc def 123-45-6789').sort(), ['123-45-6789', 'abc def'])
})

test('spans that overlap become one under the lowest leaf, in whatever order they come; adjacent ones stay apart', () => {
  const spans: Span[] = [
    { start: 4, end: 8, leaf: 2 },
    { start: 0, end: 4, leaf: 3 },
    { start: 7, end: 9, leaf: 1 },
    { start: 20, end: 21, leaf: 0 },
  ]
  const expected = [
    { start: 0, end: 4, leaf: 3 },
    { start: 4, end: 9, leaf: 1 },
    { start: 20, end: 21, leaf: 0 },
  ]
  fc.assert(
    fc.property(fc.shuffledSubarray(spans, { minLength: 4 }), (order) => {
      const inserted: Span[] = []
      for (const { start, end, leaf } of order) insert(inserted, start, end, leaf)
      assert.deepEqual(inserted, expected)
      assert.deepEqual(merge(order), expected)
    }),
  )
})
