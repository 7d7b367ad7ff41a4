import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { asciiOf, CHARACTERS_PER_BYTE_MAX, foldedView, HIDDEN_MIN, hiddenViews, LETTER, SIGN } from '../../src/rules/views/fold.ts'
import { LOOK_ALIKES } from '../../src/rules/views/look-alikes.ts'
import type { View } from '../../src/rules/views/view.ts'

const letter = String.fromCharCode(LETTER)
const sign = String.fromCharCode(SIGN)
const viewOf = (text: string): View => {
  const bytes = Buffer.from(text)
  const view = foldedView(bytes, 0, bytes.length)
  assert.ok(view, text)
  return view
}
const folded = (text: string) => viewOf(text).text.toString('latin1')
const onto = (firstOf: Record<string, number>) => (text: string) =>
  text.replace(/[A-Za-z0-9]/g, (character) => {
    const [first] = Object.keys(firstOf)
      .filter((start) => start <= character)
      .sort()
      .reverse()
    return String.fromCodePoint(firstOf[first] + character.charCodeAt(0) - first.charCodeAt(0))
  })
const words = ['4111111111111111', 'AKIAIOSFODNN7EXAMPLE', 'project aurora', 'jane.doe@example.com', 'DE89 3704 0044 0532 0130 00']

test('letters and digits in every mathematical, full-width, circled or squared form read as themselves', () => {
  for (const word of words) {
    for (const form of [
      onto({ '0': 0xff10, A: 0xff21, a: 0xff41 }), // full-width
      onto({ '0': 0x1d7ce, A: 0x1d400, a: 0x1d41a }), // bold
      onto({ '0': 0x1d7d8, A: 0x1d56c, a: 0x1d586 }), // double-struck digits, bold fraktur
      onto({ '0': 0x1d7e2, A: 0x1d5a0, a: 0x1d5ba }), // sans-serif
      onto({ '0': 0x1d7ec, A: 0x1d468, a: 0x1d482 }), // bold sans-serif digits, bold italic
      onto({ '0': 0x1d7f6, A: 0x1d670, a: 0x1d68a }), // monospace
      onto({ '0': 0x1fbf0, A: 0x24b6, a: 0x24d0 }), // segmented digits, circled
      onto({ '0': 0x2080, A: 0x1f110, a: 0x249c }), // subscript digits, parenthesised
      onto({ '0': 0x660, A: 0x1f130, a: 0x24d0 }), // squared
      onto({ '0': 0x966, A: 0x1f150, a: 0x24d0 }), // negative circled
      onto({ '0': 0x11da0, A: 0x1f170, a: 0x24d0 }), // negative squared
      onto({ '0': 0x1e950, A: 0x1f1e6, a: 0x24d0 }), // regional indicators
    ]) {
      assert.equal(folded(form(word)), word)
    }
  }
  assert.equal(folded('①⑩⓪❶➀➊⓵⑴⒈⑾⓴🔟4️⃣'), '11001111111120104')
  assert.equal(folded('⁴₁¹₁ ½ ﬁﬀ Ⅷ ㎏ ™ №'), '4111 1/2 fiff VIII kg TM No')
})

test('what nobody sees is dropped: default-ignorable characters, marks in any number, blank braille', () => {
  const unseen = [
    0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180e, 0x180f, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x202a, 0x202e, 0x2060, 0x2065, 0x206f,
    0x2800, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffb, 0x1d173, 0x1d17a, 0xe0001, 0xe0041, 0xe0100, 0xe0fff, 0x300, 0x336, 0x488, 0x20dd,
  ]
  for (const codePoint of unseen) assert.equal(asciiOf(codePoint), '', codePoint.toString(16))
  for (const word of words) assert.equal(folded(Array.from(word).join('\u200b')), word)
  for (const word of words) assert.equal(folded(Array.from(word, (character) => `${character}\u0338\u0322\u035b\u20d2`).join('')), word)
})

test('digits of every script are digits of the same value', () => {
  let runs = 0
  for (let codePoint = 0; codePoint < 0x20000; codePoint++) {
    const before = codePoint > 0 ? String.fromCodePoint(codePoint - 1) : ''
    if (!/\p{Nd}/u.test(String.fromCodePoint(codePoint)) || /\p{Nd}/u.test(before)) continue
    runs++
    for (let value = 0; value < 10; value++) assert.equal(asciiOf(codePoint + value), String(value), (codePoint + value).toString(16))
  }
  assert.ok(runs > 60)
})

test('look-alike letters of other scripts read as the letter, in its case', () => {
  for (const [written, read] of [
    ['\u0440r\u043ej\u0435\u0441t \u0430ur\u043er\u0430', 'project aurora'],
    ['ΑΚΙΑІОЅFODNN7ЕΧАМРLЕ', 'AKIAIOSFODNN7EXAMPLE'],
    ['ᴀᴋɪᴀɪᴏꜱꜰᴏᴅɴɴ7ᴇXᴀᴍᴘʟᴇ', 'AKIAIOSFODNN7EXAMPLE'],
    ['ꓮꓗꓲꓮꓲꓳꓢꓝꓳꓓꓠꓠ7ꓰꓫꓮꓟꓑꓡꓰ', 'AKIAIOSFODNN7EXAMPLE'],
    ['ᎪᏦIᎪ ᏢᎡOᎫᎬᏟᎢ ꭺꮶiꭺ', 'AKIA PROJECT AKiA'],
    ['ᗩᗷᑕᗪᖴᕼᒍᒪᗰᑎᑭᖇᔕᑌᐯᗯ᙭', 'ABCDFHJLMNPRSUVWX'],
    ['pɑsswoгd', `passwo${letter}d`],
    ['ıȷłøđɡɑʋ', 'ijlodgav'],
    ['Größe, naïve café, Łódź, smørrebrød, Ærø', 'Grosse, naive cafe, Lodz, smorrebrod, AEro'],
    ['ⲣⲣⲟ ԛԝ օհոս 𐐬𐐽', 'ppo qw ohnu oc'],
  ]) {
    assert.equal(folded(written), read)
  }
})

test('each look-alike is outside ASCII and reads as ASCII that can be seen', () => {
  assert.ok(LOOK_ALIKES.size > 1000)
  for (const [codePoint, ascii] of LOOK_ALIKES) {
    assert.ok(codePoint > 0x7f, String.fromCodePoint(codePoint))
    assert.match(ascii, /^[!-~]+$/)
  }
})

test('spaces, dashes, dots, slashes, quotes and the at sign read as those of ASCII', () => {
  assert.equal(folded('\u00a0\u1680\u2000\u2009\u202f\u205f\u3000\u2028\u2029\u0085'), ' '.repeat(10))
  assert.equal(folded('‐‑‒–—―−﹣－᠆〜'), '-'.repeat(11))
  assert.equal(folded('·•․‧∙⋅。・．｡･۔'), '.'.repeat(12))
  assert.equal(folded('＠﹫ ⁄∕／ ＂“”„«» ‘’‚‹› ： ；， （１）'), '@@ /// """""" \'\'\'\'\' : ;, (1)')
  assert.equal(folded('jane.doe＠example．com'), 'jane.doe@example.com')
})

test('letters that look like no ASCII are LETTER, signs are SIGN', () => {
  for (const character of 'пжгшЯΣΨ中国かカ한שאابกकəㄅ𠀀') assert.equal(folded(character), letter, character)
  for (const character of '€£¥§©→😀👍、「」★√\u0080\ue000\ufffd\u{10ffff}¨¯') assert.equal(folded(character), sign, character)
})

test('every code point reads as at most two ASCII characters per byte, ASCII as itself', () => {
  for (let codePoint = 0; codePoint < 0x110000; codePoint++) {
    const ascii = asciiOf(codePoint)
    for (let i = 0; i < ascii.length; i++) if (ascii.charCodeAt(i) > 0x7f) assert.fail(codePoint.toString(16))
    const bytes = codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4
    if (ascii.length > CHARACTERS_PER_BYTE_MAX * bytes) assert.fail(codePoint.toString(16))
    if (codePoint < 0x80) assert.equal(ascii, String.fromCharCode(codePoint))
  }
})

test('ordinary sentences of other scripts hold no English word that rules look for', () => {
  const sentences = [
    'Съешь же ещё этих мягких французских булок, да выпей чаю. Пожалуйста, не сообщайте никому свой пароль и номер карты.',
    'Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и совестью.',
    'Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Ο κωδικός πρόσβασης είναι μυστικός.',
    '人人生而自由，在尊严和权利上一律平等。请不要把密码告诉任何人。',
    'すべての人間は、生まれながらにして自由であり、尊厳と権利とについて平等である。パスワードを教えないでください。',
    'Բոլոր մարդիկ ծնվում են ազատ ու հավասար՝ իրենց արժանապատվությամբ և իրավունքներով։',
    'ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.',
  ]
  const english = /password|passport|secret|token|card|bank|name|account|project|user|admin|ignore|system|prompt|phone|email|note|time/i
  for (const sentence of sentences) assert.doesNotMatch(folded(sentence), english)
})

test('ASCII has no view, nor has nothing, and what stands around the part asked for does not matter', () => {
  assert.equal(foldedView(Buffer.from('plain'), 0, 5), null)
  assert.equal(foldedView(Buffer.from(''), 0, 0), null)
  const bytes = Buffer.from('é plain é')
  assert.equal(foldedView(bytes, 2, 9), null)
  const view = foldedView(bytes, 3, bytes.length)
  assert.equal(view?.text.toString(), 'plain e')
  assert.deepEqual(view?.origin(6, 7), { start: 9, end: 11 })
})

test('the origin of a span reaches from its first character to its last, with what was dropped between but not after', () => {
  const view = viewOf('a\u200b４\u200b１\u200bx')
  assert.equal(view.text.toString(), 'a41x')
  assert.deepEqual(view.origin(1, 3), { start: 4, end: 13 })
  assert.deepEqual(view.origin(0, 1), { start: 0, end: 1 })
  assert.deepEqual(view.origin(2, 2), { start: 10, end: 10 }, 'an empty span is nowhere')
  assert.deepEqual(viewOf('㎯a').origin(3, 4), { start: 0, end: 3 }, 'one character of several is all of the source character')
})

const character = fc.oneof(
  fc.constantFrom(
    'a',
    ' ',
    '4',
    '\n',
    'é',
    '\u200b',
    '\u0301',
    '“',
    'п',
    'о',
    '中',
    '４',
    '㎯',
    '㏙',
    '½',
    '𝟒',
    '😀',
    '\u{e0041}',
    '\u{e0100}',
    '🔟',
    '𠀀',
    'ß',
  ),
  fc.integer({ min: 0, max: 0x10ffff }).map((codePoint) => (codePoint >= 0xd800 && codePoint < 0xe000 ? '\ufffd' : String.fromCodePoint(codePoint))),
)

test('whatever is mixed, the view is what the characters read as, and each of its characters leads back to the bytes of its own', () => {
  fc.assert(
    fc.property(fc.array(character, { maxLength: 60 }), fc.nat(5), (characters, before) => {
      const bytes = Buffer.concat([Buffer.alloc(before, 0xe9), Buffer.from(characters.join('')), Buffer.from('é')])
      const to = bytes.length - 2
      const expected = characters.map((each) => asciiOf(each.codePointAt(0) ?? 0))
      const view = foldedView(bytes, before, to)
      if (view === null) {
        assert.match(characters.join(''), /^[\0-\x7f]*$/)
        return
      }
      assert.equal(view.text.toString('latin1'), expected.join(''))
      const origins: { start: number; end: number }[] = []
      let at = before
      characters.forEach((each, index) => {
        const end = at + Buffer.byteLength(each)
        for (let i = 0; i < expected[index].length; i++) origins.push({ start: at, end })
        at = end
      })
      for (const [index, origin] of origins.entries()) assert.deepEqual(view.origin(index, index + 1), origin)
      if (origins.length > 0) assert.deepEqual(view.origin(0, origins.length), { start: origins[0].start, end: origins[origins.length - 1].end })
    }),
  )
})

test('broken UTF-8 reads as decoders read it, with a SIGN for each U+FFFD', () => {
  const fold = (bytes: Buffer) => foldedView(bytes, 0, bytes.length)
  const piece = fc.oneof(
    fc.constantFrom(
      [0xc3],
      [0xe2, 0x80],
      [0xf0, 0x9f, 0x98],
      [0xed, 0xa0, 0x80],
      [0xe0, 0x80],
      [0xf4, 0x90],
      [0xf5],
      [0xff],
      [0x80],
      [0xc0, 0xaf],
      [0xf0, 0x80],
    ),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 6 }),
    character.map((each) => [...Buffer.from(each)]),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const bytes = Buffer.from(pieces.flat())
      const read = Array.from(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), (each) => asciiOf(each.codePointAt(0) ?? 0)).join('')
      assert.equal((fold(bytes)?.text ?? bytes).toString('latin1'), read)
    }),
  )
})

const tags = (text: string) => Array.from(text, (each) => String.fromCodePoint(0xe0000 + each.charCodeAt(0))).join('')
const selectors = (bytes: Buffer) => Array.from(bytes, (byte) => String.fromCodePoint(byte < 16 ? 0xfe00 + byte : 0xe0100 + byte - 16)).join('')

test('what tags and variation selectors spell is a view of its own, that leads back to them', () => {
  const bytes = Buffer.from(`hi ${tags('4111111111111111')} and 😀${selectors(Buffer.from('project\naurora é'))} é`)
  const [tag, selector, ...more] = hiddenViews(bytes, 0, bytes.length)
  assert.deepEqual(more, [])
  assert.equal(tag.text.toString(), '4111111111111111')
  assert.deepEqual(tag.origin(0, 16), { start: 3, end: 3 + 64 })
  assert.deepEqual(tag.origin(1, 2), { start: 7, end: 11 })
  assert.equal(selector.text.toString(), 'project\naurora é')
  const { start, end } = selector.origin(0, 8)
  assert.equal(bytes.subarray(start, end).toString(), selectors(Buffer.from('project\n')))
  assert.deepEqual(hiddenViews(bytes, 0, 20), [], 'only what is inside the part asked for')
})

test('hidden characters with others between them are one text', () => {
  const written = Array.from('secret', (each, index) => `${tags(each)}${'xé😀'.slice(index % 2)}`)
  const bytes = Buffer.from(written.join(''))
  const [view] = hiddenViews(bytes, 0, bytes.length)
  assert.equal(view.text.toString(), 'secret')
  let at = 0
  written.forEach((each, index) => {
    assert.deepEqual(view.origin(index, index + 1), { start: at, end: at + 4 })
    at += Buffer.byteLength(each)
  })
})

test('flags and emoji hide nothing, nor do too few hidden characters, and broken ones do no harm', () => {
  for (const text of ['plain', '🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}', '❤️'.repeat(HIDDEN_MIN), tags('x'.repeat(HIDDEN_MIN - 1))]) {
    const bytes = Buffer.from(text)
    assert.deepEqual(hiddenViews(bytes, 0, bytes.length), [])
  }
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0xf3, 0xa0, 0x80, 0x81, 0x84, 0xef, 0xb8, 0x41), { maxLength: 80 }), (bytes) => {
      for (const view of hiddenViews(Buffer.from(bytes), 0, bytes.length)) assert.ok(view.text.length >= HIDDEN_MIN)
    }),
  )
})
