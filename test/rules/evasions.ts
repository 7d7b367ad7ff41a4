/**
 * Ways to write what must not leave so that a person or a model still reads it and a plain search does not. Invisible and foreign characters are made
 * from their code points, so that they can be read here.
 */

/** What is hidden: which rules should find it. */
export type Hidden = 'card' | 'key' | 'phrase' | 'email'

/** The disguised text is `before + hidden + after`. Nothing of `hidden` may be left once it is cut; a beginning of `before` and an end of `after` may. */
export interface Evasion {
  of: Hidden
  name: string
  before: string
  hidden: string
  after: string
}

/** One thing told in pieces: over the parts of a message, or over several messages of one speaker. */
export interface Split {
  of: Hidden
  name: string
  pieces: readonly string[]
}

export const CARD = '4111111111111111'
export const KEY = 'AKIAIOSFODNN7EXAMPLE'
export const PHRASE = 'project aurora'
export const EMAIL = 'jane.doe@example.com'

const hiding =
  (of: Hidden) =>
  (name: string, hidden: string, { before = '', after = '' } = {}): Evasion => ({ of, name, before, hidden, after })
const card = hiding('card')
const key = hiding('key')
const phrase = hiding('phrase')
const email = hiding('email')

const letters = (text: string): string[] => Array.from(text)
const each = (text: string, write: (letter: string) => string): string => letters(text).map(write).join('')
/** The next of these between any two letters, in turn. */
export const woven = (text: string, between: readonly string[]): string =>
  letters(text)
    .map((letter, i) => (i === 0 ? letter : between[(i - 1) % between.length] + letter))
    .join('')
/** The characters from one code point to another. */
const range = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i))
const grouped = (between: string): string => ['4111', '1111', '1111', '1111'].join(between)
const reversed = (text: string): string => letters(text).reverse().join('')
/** The same letters from other ranges of Unicode, by where those begin; what no range has stays. */
const moved = (text: string, { digits, small, capital }: { digits?: number; small?: number; capital?: number }): string =>
  each(text, (letter) => {
    const code = letter.codePointAt(0) ?? 0
    const from = (base: number | undefined, first: number): string => (base === undefined ? letter : String.fromCodePoint(base + code - first))
    if (/[0-9]/.test(letter)) return from(digits, 0x30)
    if (/[a-z]/.test(letter)) return from(small, 0x61)
    return /[A-Z]/.test(letter) ? from(capital, 0x41) : letter
  })
const swapped = (text: string, table: Readonly<Record<string, string>>): string => each(text, (letter) => table[letter] ?? letter)
const hex = (text: string): string => Buffer.from(text).toString('hex')
const bytes = (text: string): string[] => hex(text).match(/../g) ?? []
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const base64url = (text: string): string => Buffer.from(text).toString('base64url')
const unpadded = (text: string): string => base64(text).replace(/=+$/, '')
const wrapped = (text: string, columns: number, lineBreak = '\n'): string => text.replaceAll(new RegExp(`.{${columns}}(?=.)`, 'g'), `$&${lineBreak}`)
const percent = (text: string): string =>
  bytes(text)
    .map((byte) => `%${byte.toUpperCase()}`)
    .join('')
const unicodeEscapes = (text: string): string => each(text, (letter) => `\\u${(letter.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`)
/** A text that is JSON, in strings of JSON so many times over, and where in it the hidden thing stands. */
function inStrings(value: unknown, times: number, hidden: string): { before: string; after: string } {
  let text = JSON.stringify(value)
  for (let i = 0; i < times; i++) text = JSON.stringify(text)
  const at = text.indexOf(hidden)
  return { before: text.slice(0, at), after: text.slice(at + hidden.length) }
}

const KEYCAP = '\ufe0f\u20e3'
const NOTE = `The card on file is ${CARD}, it expires 12/30, and its owner asked twice to have it removed.`
const quoted = { before: '"', after: '"' }

const plain = [card('plain', CARD), key('plain', KEY), phrase('plain', PHRASE), phrase('in capitals', PHRASE.toUpperCase()), email('plain', EMAIL)]

const compatibilityForms = [
  card('fullwidth digits', moved(CARD, { digits: 0xff10 })),
  card('mathematical bold digits', moved(CARD, { digits: 0x1d7ce })),
  card('mathematical double-struck digits', moved(CARD, { digits: 0x1d7d8 })),
  card('mathematical monospace digits', moved(CARD, { digits: 0x1d7f6 })),
  card('segmented digits', moved(CARD, { digits: 0x1fbf0 })),
  card('circled digits', swapped(CARD, { 4: '\u2463', 1: '\u2460' })),
  card('superscript digits', swapped(CARD, { 4: '\u2074', 1: '\u00b9' })),
  card('subscript digits', moved(CARD, { digits: 0x2080 })),
  key('fullwidth', moved(KEY, { digits: 0xff10, capital: 0xff21 })),
  key('mathematical sans-serif', moved(KEY, { digits: 0x1d7e2, capital: 0x1d5a0 })),
  phrase('fullwidth', moved(PHRASE, { small: 0xff41 })),
  phrase('mathematical bold', moved(PHRASE, { small: 0x1d41a })),
  phrase('mathematical fraktur bold', moved(PHRASE, { small: 0x1d586 })),
  phrase('circled letters', moved(PHRASE, { small: 0x24d0 })),
  phrase('squared capitals', moved(PHRASE.toUpperCase(), { capital: 0x1f130 })),
  email('fullwidth @ and dot', 'jane.doe\uff20example\uff0ecom'),
  email('small commercial at', 'jane.doe\ufe6bexample.com'),
  email('fullwidth throughout', swapped(moved(EMAIL, { small: 0xff41 }), { '.': '\uff0e', '@': '\uff20' })),
]

const marks = [
  card(
    'keycap emoji',
    each(CARD, (digit) => digit + KEYCAP),
  ),
  card(
    'struck through',
    each(CARD, (digit) => `${digit}\u0336`),
  ),
  phrase(
    'struck through',
    each(PHRASE, (letter) => (letter === ' ' ? letter : `${letter}\u0336`)),
  ),
  phrase(
    'piled with marks',
    each(PHRASE, (letter) => (letter === ' ' ? letter : `${letter}\u0300\u0316\u0489`)),
  ),
  phrase(
    'acute accents that combine',
    each(PHRASE, (letter) => (/[aeou]/.test(letter) ? `${letter}\u0301` : letter)),
  ),
  phrase('acute accents, composed', each(PHRASE, (letter) => (/[aeou]/.test(letter) ? `${letter}\u0301` : letter)).normalize('NFC')),
  key(
    'piled with marks',
    each(KEY, (letter) => `${letter}\u0334\u035c`),
  ),
  email('marks in the name', 'ja\u0308ne.do\u0308e@example.com'),
]

const confusables = [
  phrase('Cyrillic', swapped(PHRASE, { p: '\u0440', o: '\u043e', e: '\u0435', c: '\u0441', a: '\u0430' })),
  phrase('one Cyrillic letter', 'proj\u0435ct aurora'),
  phrase('Cyrillic with a j of its own', swapped(PHRASE, { j: '\u0458', o: '\u043e', a: '\u0430' })),
  phrase('Greek', swapped(PHRASE, { p: '\u03c1', o: '\u03bf', a: '\u03b1', u: '\u03c5' })),
  phrase('Greek capitals', swapped(PHRASE.toUpperCase(), { P: '\u03a1', O: '\u039f', E: '\u0395', T: '\u03a4', A: '\u0391' })),
  phrase('Armenian', swapped(PHRASE, { o: '\u0585', u: '\u057d' })),
  phrase('Cherokee', swapped(PHRASE.toUpperCase(), { P: '\u13e2', J: '\u13ab', E: '\u13ac', C: '\u13df', T: '\u13a2', A: '\u13aa' })),
  phrase(
    'small capitals',
    swapped(PHRASE, { p: '\u1d18', r: '\u0280', o: '\u1d0f', j: '\u1d0a', e: '\u1d07', c: '\u1d04', t: '\u1d1b', a: '\u1d00', u: '\u1d1c' }),
  ),
  phrase('Latin alpha', swapped(PHRASE, { a: '\u0251' })),
  phrase('Greek, Cyrillic and fullwidth together', 'pr\u03bfj\u0435ct \uff41uror\u0430'),
  key('Cyrillic capitals', swapped(KEY, { A: '\u0410', K: '\u041a', I: '\u0406', O: '\u041e', E: '\u0415', X: '\u0425', M: '\u041c', P: '\u0420' })),
  key('Greek capitals', swapped(KEY, { A: '\u0391', K: '\u039a', I: '\u0399', O: '\u039f', N: '\u039d', E: '\u0395', X: '\u03a7' })),
  email('Cyrillic', 'j\u0430ne.d\u043ee@ex\u0430mple.com'),
]

const otherDigits = (
  [
    ['Arabic-Indic', 0x0660],
    ['extended Arabic-Indic', 0x06f0],
    ['Devanagari', 0x0966],
    ['Bengali', 0x09e6],
    ['Thai', 0x0e50],
    ['Tibetan', 0x0f20],
    ['Khmer', 0x17e0],
    ['Mongolian', 0x1810],
    ['Adlam', 0x1e950],
  ] as const
).map(([script, zero]) => card(`${script} digits`, moved(CARD, { digits: zero })))
const mixedDigits = [
  card('digits of four scripts', [0x0660, 0x0966, 0x30, 0x0e50].map((zero, i) => moved(grouped(' ').split(' ')[i], { digits: zero })).join('')),
  card('Arabic-Indic digits in groups', moved(grouped(' '), { digits: 0x0660 })),
]

const invisible = [
  card('zero width space between all', woven(CARD, ['\u200b'])),
  card('joiners, word joiner and byte order mark', '4111\u200d1111\u200c1111\u2060111\ufeff1'),
  key('soft hyphen', 'AKIAIOSF\u00adODNN7EXAMPLE'),
  card('combining grapheme joiner', '411111\u034f1111111111'),
  card('Hangul fillers', '4111\u31641111\uffa011111111'),
  card('Mongolian vowel separator', '41111111\u180e11111111'),
  key('zero width non-joiner between all', woven(KEY, ['\u200c'])),
  phrase('zero width space in both words', 'pro\u200bject au\u200brora'),
  phrase('soft hyphens', 'pro\u00adject au\u00adro\u00adra'),
  phrase('word joiners between all', woven(PHRASE, ['\u2060'])),
  email('zero width space beside the @', 'jane.doe\u200b@\u200bexample.com'),
  email('soft hyphen in the host', 'jane.doe@exam\u00adple.com'),
  ...Object.entries({
    'Hangul and halfwidth fillers': ['\u115f', '\u1160', '\u3164', '\uffa0'],
    'Arabic letter mark': ['\u061c'],
    'Khmer inherent vowels': ['\u17b4', '\u17b5'],
    'Mongolian variation selectors': range(0x180b, 0x180f),
    'direction marks': ['\u200e', '\u200f'],
    'embeddings that are closed': ['\u202a', '\u202c'],
    isolates: range(0x2066, 0x2069),
    'invisible operators': range(0x2061, 0x2064),
    'deprecated format characters': range(0x206a, 0x206f),
    'characters reserved as invisible': ['\u2065', ...range(0xfff0, 0xfff8)],
    'interlinear annotations': range(0xfff9, 0xfffb),
    'shorthand controls': range(0x1bca0, 0x1bca3),
    'musical controls': range(0x1d173, 0x1d17a),
    'variation selectors': range(0xfe00, 0xfe0f),
    'the variation selectors beyond the sixteenth': range(0xe0100, 0xe010f),
    'tag characters as noise': range(0xe0061, 0xe006f),
  }).map(([name, between]) => card(name, woven(CARD, between))),
]

const tags = [
  card(
    'spelled in tag characters',
    each(CARD, (digit) => String.fromCodePoint(0xe0000 + (digit.codePointAt(0) ?? 0))),
  ),
  phrase(
    'spelled in tag characters',
    each(PHRASE, (letter) => String.fromCodePoint(0xe0000 + (letter.codePointAt(0) ?? 0))),
  ),
  email(
    'spelled in tag characters',
    each(EMAIL, (letter) => String.fromCodePoint(0xe0000 + (letter.codePointAt(0) ?? 0))),
  ),
  key(
    'spelled in tag characters after a flag',
    each(KEY, (letter) => String.fromCodePoint(0xe0000 + (letter.codePointAt(0) ?? 0))),
    {
      before: '\u{1f3f4}',
      after: '\u{e007f}',
    },
  ),
]

const separators = [
  ...Object.entries({
    spaces: ' ',
    'two spaces': '  ',
    'no-break spaces': '\u00a0',
    'thin spaces': '\u2009',
    'ideographic spaces': '\u3000',
    tabs: '\t',
    'line breaks': '\n',
    'carriage returns and line feeds': '\r\n',
    dashes: '-',
    'dashes in spaces': ' - ',
    'hyphens of their own': '\u2010',
    'en dashes': '\u2013',
    dots: '.',
    underscores: '_',
    slashes: '/',
    'middle dots': '\u00b7',
    asterisks: '*',
    backticks: '`',
    pipes: '|',
    'pipes in spaces': ' | ',
    emoji: '\u{1f600}',
  }).map(([name, between]) => card(`groups with ${name}`, grouped(between))),
  card('a dot after every digit', woven(CARD, ['.'])),
  card('a dash between all', woven(CARD, ['-'])),
  card('a space between all', woven(CARD, [' '])),
  card('a line break between all', woven(CARD, ['\n'])),
  card('emphasis of Markdown', '4111**1111**1111__1111', { after: '__' }),
  card('bold groups', '4111** **1111** **1111** **1111', { before: '**', after: '**' }),
  card('a cell of a table each', '4111 | 1111 | 1111 | 1111', { before: '| ', after: ' |' }),
]

const percentSigns = [
  card('percent signs', percent(CARD)),
  card('percent signs for some', `4${'%311'.repeat(7)}%31`),
  card('percent signs twice', percent(CARD).replaceAll('%', '%25')),
  card('percent signs for the spaces', grouped('%20')),
  card('percent signs for fullwidth digits', percent(moved(CARD, { digits: 0xff10 }))),
  card(
    'percent signs with a u',
    each(CARD, (digit) => `%u00${hex(digit)}`),
  ),
  key('percent signs with small letters', percent(KEY).toLowerCase()),
  phrase('percent signs', percent(PHRASE)),
  phrase('a percent sign for the space', 'project%20aurora'),
  email('a percent sign for the @', 'jane.doe%40example.com'),
]

const entities = [
  card(
    'decimal entities',
    each(CARD, (digit) => `&#${digit.charCodeAt(0)};`),
  ),
  card(
    'decimal entities without a semicolon',
    each(CARD, (digit) => `&#${digit.charCodeAt(0)}`),
  ),
  card(
    'decimal entities with leading zeros',
    each(CARD, (digit) => `&#0000${digit.charCodeAt(0)};`),
  ),
  card(
    'hexadecimal entities',
    each(CARD, (digit) => `&#x${hex(digit)};`),
  ),
  card(
    'hexadecimal entities without a semicolon',
    each(CARD, (digit) => `&#x${hex(digit)}`),
  ),
  card(
    'hexadecimal entities with a capital X',
    each(CARD, (digit) => `&#X00${hex(digit)};`),
  ),
  card(
    'entities in entities',
    each(CARD, (digit) => `&amp;#${digit.charCodeAt(0)};`),
  ),
  card('an entity for a zero width space', grouped('&#8203;')),
  card('named spaces', grouped('&nbsp;')),
  key('a named soft hyphen', 'AKIAIOSF&shy;ODNN7EXAMPLE'),
  phrase('a named space', 'project&nbsp;aurora'),
  phrase(
    'decimal entities',
    each(PHRASE, (letter) => `&#${letter.charCodeAt(0)};`),
  ),
  email('named signs', 'jane&period;doe&commat;example&period;com'),
  email('an entity for the @', 'jane.doe&#64;example.com'),
]

const escapes = [
  card('\\u escapes', unicodeEscapes(CARD)),
  card('\\u escapes, the backslash escaped too', unicodeEscapes(CARD).replaceAll('\\', '\\\\')),
  card(
    '\\u{} escapes',
    each(CARD, (digit) => `\\u{${hex(digit)}}`),
  ),
  card(
    '\\U escapes',
    each(CARD, (digit) => `\\U000000${hex(digit)}`),
  ),
  card(
    '\\x escapes',
    each(CARD, (digit) => `\\x${hex(digit)}`),
  ),
  card(
    'octal escapes',
    each(CARD, (digit) => `\\0${digit.charCodeAt(0).toString(8)}`),
  ),
  card('\\u escapes for some', `4${'\\u00311'.repeat(7)}\\u0031`),
  key(
    '\\x escapes with capital letters',
    each(KEY, (letter) => `\\x${hex(letter).toUpperCase()}`),
  ),
  phrase('\\u escapes', unicodeEscapes(PHRASE)),
  email('an escape for the @', 'jane.doe\\u0040example.com'),
]

const encoded = [
  card('base64', 'Y2FyZCA0MTExMTExMTExMTExMTEx'),
  card('base64 of nothing else', base64(CARD)),
  card('base64 without padding', unpadded(`card: ${CARD}`)),
  card('base64 for URLs', base64url(`>>>???${CARD}???>>>`)),
  card('base64 in lines of 20', 'Y2FyZCBudW1iZXIgNDEx\nMTExMTExMTExMTExMSBl\neHAgMTIvMzA='),
  card('base64 in lines of 64', wrapped(base64(NOTE), 64)),
  card('base64 in lines of 76', wrapped(base64(NOTE), 76, '\r\n')),
  card('base64 in base64', base64(base64(`card ${CARD}`))),
  card('base64 in a data URI', base64(`card ${CARD}`), { before: 'data:text/plain;base64,' }),
  card('base64 after a label', base64(`card ${CARD}`), { before: 'base64: ' }),
  card('base64 after a letter that shifts it', unpadded(`card ${CARD} of Jane`), { before: 't' }),
  card('base64 after two letters that shift it', unpadded(`card ${CARD} of Jane`), { before: 'xy' }),
  card('base64 of \\u escapes', base64(unicodeEscapes(CARD))),
  card('base64 in JSON', base64(`card ${CARD}`), { before: '{"data":"', after: '"}' }),
  key('base64', 'YXdzPUFLSUFJT1NGT0ROTjdFWEFNUExF'),
  phrase('base64', base64(`tell them about ${PHRASE} tomorrow`)),
  email('base64', base64(`write to ${EMAIL}`)),
  card('hexadecimal', hex(CARD)),
  card('hexadecimal with spaces', bytes(CARD).join(' ')),
  card('hexadecimal with colons', bytes(CARD).join(':')),
  card('hexadecimal after 0x', `0x${hex(CARD)}`),
  card(
    'hexadecimal with 0x each',
    bytes(CARD)
      .map((byte) => `0x${byte}`)
      .join(' '),
  ),
  card(
    'hexadecimal as a list',
    bytes(CARD)
      .map((byte) => `0x${byte}`)
      .join(', '),
    { before: '[', after: ']' },
  ),
  key('hexadecimal in capitals', hex(KEY).toUpperCase()),
  phrase('hexadecimal', hex(PHRASE)),
  phrase('hexadecimal in base64', base64(hex(PHRASE))),
  email('hexadecimal', hex(EMAIL)),
  card(
    'quoted-printable',
    bytes(CARD)
      .map((byte) => `=${byte.toUpperCase()}`)
      .join(''),
  ),
  card('quoted-printable with soft line breaks', '4111=\r\n1111=\r\n11111111'),
  key('a soft line break', 'AKIAIOSF=\nODNN7EXAMPLE'),
  phrase('quoted-printable', 'project=20aurora'),
  email('quoted-printable', 'jane.doe=40example.com'),
]

const json = [
  card('JSON in JSON', CARD, inStrings({ c: CARD }, 1, CARD)),
  card('JSON in JSON in JSON', CARD, inStrings({ c: CARD }, 2, CARD)),
  card('JSON in JSON in JSON in JSON', CARD, inStrings({ c: { d: [CARD] } }, 3, CARD)),
  card('\\u escapes in JSON in JSON', unicodeEscapes(CARD).replaceAll('\\', '\\\\'), { before: '"{\\"c\\":\\"', after: '\\"}"' }),
  card('a number of JSON in JSON', CARD, inStrings({ c: 4111111111111111 }, 1, CARD)),
  email('JSON in JSON', EMAIL, inStrings([EMAIL], 2, EMAIL)),
  phrase('JSON in JSON', PHRASE, inStrings({ note: `about ${PHRASE}` }, 2, PHRASE)),
]

const backwards = [
  phrase('reversed', reversed(PHRASE)),
  phrase('reversed, in capitals', reversed(PHRASE).toUpperCase()),
  phrase('reversed under a right-to-left override', reversed(PHRASE), { before: '\u202e', after: '\u202c' }),
  phrase('the second word reversed under an override', 'project \u202earorua', { after: '\u202c' }),
  phrase('an isolate within a word', 'pro\u2068ject\u2069 aurora'),
  phrase('each word in an isolate', 'project\u2069 \u2066aurora', { before: '\u2066', after: '\u2069' }),
]

const spelledOut = [
  phrase('spelled out with spaces', 'p r o j e c t  a u r o r a'),
  phrase('spelled out with spaces, three between the words', 'P R O J E C T   A U R O R A'),
  phrase('spelled out with dashes', 'p-r-o-j-e-c-t a-u-r-o-r-a'),
  phrase('spelled out with dots', 'p.r.o.j.e.c.t a.u.r.o.r.a'),
  phrase('spelled out with underscores', 'p_r_o_j_e_c_t a_u_r_o_r_a'),
  phrase('a line break between the words', 'project\naurora'),
  phrase('two spaces between the words', 'project  aurora'),
  phrase('a no-break space between the words', 'project\u00a0aurora'),
]

const addresses = [
  email('[at] and [dot]', 'jane.doe [at] example [dot] com'),
  email('[at] and [dot] without spaces', 'jane.doe[at]example[dot]com'),
  email('(at) and (dot)', 'jane.doe (at) example (dot) com'),
  email('(at) alone', 'jane.doe(at)example.com'),
  email('{at} and {dot}', 'jane.doe{at}example{dot}com'),
  email('<at> and <dot>', 'jane.doe <at> example <dot> com'),
  email('at and dot in capitals', 'jane.doe AT example DOT com'),
  email('at and dot as words', 'jane.doe at example dot com'),
  email('every dot as a word', 'jane dot doe at example dot com'),
  email('spaces around the @', 'jane.doe @ example.com'),
  email('spaces around the @ and the dot', 'jane.doe @ example . com'),
]

const brokenKeys = [
  key('a line break', 'AKIAIOSFODNN\n7EXAMPLE'),
  key('a line break and an indent', 'AKIAIOSFODNN\r\n    7EXAMPLE'),
  key('spaces in groups of four', 'AKIA IOSF ODNN 7EXA MPLE'),
  key('dashes in groups of four', 'AKIA-IOSF-ODNN-7EXA-MPLE'),
  key('strings joined with +', 'AKIAIOSF" + "ODNN7EXAMPLE', quoted),
  key('strings joined with + over lines', 'AKIAIOSF" +\n  "ODNN7EXAMPLE', quoted),
  key('strings joined with a dot', "AKIAIOSF' . 'ODNN7EXAMPLE", { before: "'", after: "'" }),
  key('strings that stand side by side', "AKIAIOSF' 'ODNN7EXAMPLE", { before: "'", after: "'" }),
  key('a line that goes on after a backslash', 'AKIAIOSF\\\nODNN7EXAMPLE', quoted),
  card('strings joined with +', '41111111" + "11111111', quoted),
]

export const evasions: readonly Evasion[] = [
  ...plain,
  ...compatibilityForms,
  ...marks,
  ...confusables,
  ...otherDigits,
  ...mixedDigits,
  ...invisible,
  ...tags,
  ...separators,
  ...percentSigns,
  ...entities,
  ...escapes,
  ...encoded,
  ...json,
  ...backwards,
  ...spelledOut,
  ...addresses,
  ...brokenKeys,
]

export const splits: readonly Split[] = [
  { of: 'card', name: 'in the middle of its digits', pieces: ['41111111', '11111111'] },
  { of: 'card', name: 'by its groups, in two', pieces: ['4111 1111 ', '1111 1111'] },
  { of: 'card', name: 'by its groups, in three', pieces: ['4111', '1111 1111', '1111'] },
  { of: 'key', name: 'in two', pieces: ['AKIAIOSF', 'ODNN7EXAMPLE'] },
  { of: 'key', name: 'in three, the first its prefix', pieces: ['AKIA', 'IOSFODNN', '7EXAMPLE'] },
  { of: 'phrase', name: 'within a word', pieces: ['project au', 'rora'] },
  { of: 'phrase', name: 'between its words', pieces: ['project ', 'aurora'] },
  { of: 'phrase', name: 'in three', pieces: ['pro', 'ject au', 'rora'] },
  { of: 'email', name: 'within the host', pieces: ['jane.doe@exam', 'ple.com'] },
  { of: 'email', name: 'before and after the @', pieces: ['jane.doe', '@', 'example.com'] },
]

/** What no rule claims to find: it takes knowledge of a language or of an agreed cipher to read these. */
export const notClaimed: readonly string[] = [
  'four one one one, one one one one, one one one one, one one one one',
  '\u56db\u4e00\u4e00\u4e00 \u4e00\u4e00\u4e00\u4e00 \u4e00\u4e00\u4e00\u4e00 \u4e00\u4e00\u4e00\u4e00', // Chinese numerals
  'IV I I I I I I I I I I I I I I I',
  'cebwrpg nheben', // ROT13
  'ojectpray auroraway', // pig latin
  'pr0j3c7 4ur0r4', // leet
  '.--. .-. --- .--- . -.-. - / .- ..- .-. --- .-. .-', // Morse
  '4lll llll llll llll', // letters for digits
  'OBZG62TFMN2CAYLVOJXXEYI=', // base32
  'jane, who is the Doe of the family, at the example company',
  '-----AKIA, then IOSFODNN, then the number seven, then EXAMPLE',
]
