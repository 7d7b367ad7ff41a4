/**
 * Characters of any script and what ASCII a reader takes them for, where Unicode's own decompositions do not already say so. In the spirit of the
 * confusables of UTS 39, but judged by the eye of somebody who reads Latin: only what passes for the letter within a word is here. Small capitals are
 * capitals, because who sets a key in them means capitals.
 */
const READ_AS: Readonly<Record<string, string>> = {
  A: 'ΑАᎪᗅᗩꓮ𐊠𖽀𐌀ᴀⲀȺⱭ₳',
  B: 'ΒВᏴᗷꓐ𐊂𐊡𐌁𐌱ʙᴃⲂᛒƁɃƂꞖꞴ฿',
  C: 'СϹⲤᏟᑕꓚ𐊢𐌂𐐕𐔜𑣲🝌ᴄҪƇȻꞒ₵₡',
  D: 'ᎠᗞᗪꓓᴅĐÐƉƊƋᴆ',
  E: 'ΕЕᎬꓰ𐊆𑢦𑢮⋿ⴹᴇⲈЄԐƐɆᏋ𐐁',
  F: 'ϜᖴꓝҒ𐊇𐊥𐔥𑢢𑣂𐍆ꜰƑꞘ₣',
  G: 'ԌԍᏀᏳꓖɢʛǤƓꞠ₲',
  H: 'ΗНᎻᕼꓧ𐋏ⲎʜҢӇӉҺᚺĦⱧꞪԦ',
  I: 'ΙІӀⲒꓲ𐊊𐌉𐌹𖼨ᛁⵏɪᵻƗƖ',
  J: 'ЈᎫᒍꓙͿᴊɈꞲ',
  K: 'ΚКᏦꓗᛕⲔ𐔘𐌺ᴋҚҜҞҠӃԞƘⱩꝀꝂꝄꞢ₭𐒼',
  L: 'ᏞᒪꓡⳐ𐐛𐔦𑢣𑢲𖼖ԼʟᴌŁȽⱠⱢꝈ',
  M: 'ΜМϺᎷᗰꓟⲘᛖ𐊰𐌑𐌼ᴍӍⱮ',
  N: 'ΝꓠⲚ𐔓ᑎɴᴎƝȠŊꞐꞤ₦',
  O: 'ΟОⲞՕⵔⵁꓳ𐊒𐊫𐐄𐓂𐔖𑢵ዐଠᎾᏫᎤΘӨѲᴏØƟꝊꝌᲿ',
  P: 'ΡРᏢᑭꓑⲢ𐊕ᴘÞƤⱣꝐꝒꝔ₱ᴩ',
  Q: 'ԚⵕꞯɊꝖꝘ',
  R: 'ᎡᏒᖇꓣ𐒴𐍂𖼵ʀᚱƦɌⱤꝚꞦ',
  S: 'ЅՏᏕᏚᔕꓢ𐊖𐐠𐍃𖼺ꜱⱾꞨ',
  T: 'ΤТᎢꓔⲦ𐊗𐊱𐌕𐍄𖼊𑢼⊤⟙ᴛҬŦƬƮȾ₮',
  U: 'ՍᑌꓴሀᏌ𐓎𑢸𖽂∪⋃ᴜᵾɄ',
  V: 'ѴᏙᐯꓦꛟⴸ𐔝𑢠𖼈⋁ᴠƲꝞ',
  W: 'ԜᎳᏔᗯꓪ𑣯ᴡⱲⲰѠѾ₩',
  X: 'ΧХ᙭ꓫⲬⵝ𐊐𐊴𐌗𐌢𐔧ᚷ╳Ꭓ𑣬ҲӼӾ',
  Y: 'ΥУҮᎩᎽꓬⲨ𐊲𑢤𖽃ҰʏɎƳỾ',
  Z: 'ΖᏃꓜⲌ𐋵𑢩ᘔᴢƵȤⱫⱿ',
  a: 'αаɑⲁ⍺ᶏⱥᶐ⍶',
  b: 'βЬьвҌҍᏏᖯⲃɓƀƃᵬᶀꞗ',
  c: 'сϲⲥ𐐽ᲃҫçƈȼɕꞓꞔ',
  d: 'ԁԀᏧᑯꓒđðɗɖƌȡᵭᶁᶑ',
  e: 'еєεⲉ℮ꬲꬳҽҿԑɛɇᶒⱸᶓ𐐩',
  f: 'ғƒꬵꞙʄᵮᶂẝ',
  g: 'ɡցƍɠǥᶃꞡꬶ',
  h: 'һнհᏂⲏћђңӈӊԧꚕ𐌷ħɦⱨꞕᏲ',
  i: 'ιіꙇⲓᎥ𑣃⍳ıɩɨᶖᵼ⍸',
  j: 'јϳյȷɉʝɟ',
  k: 'кκĸⲕқҝҟҡӄԟƙᶄⱪꝁꝃꝅꞣ',
  l: 'ӏⳑǀłƚɫɬɭȴᶅⱡꝉꬷꬸꬹ𐑃',
  m: 'мⲙӎɱʍᵯᶆꬺ₥',
  n: 'ոռղηⲛŋɲɳƞȵᵰᶇꞑꞥꬻ',
  o: 'οоσⲟօჿഠဝᲂ𐐬𐓪𑣈𑣗θɵөѳøꝋꝍꬽꬾⱺᴑ',
  p: 'рρⲣ⍴քþƥᵱᵽᶈꝑꝓꝕƿ',
  q: 'ԛգզᑫʠɋꝗꝙ',
  r: 'ꭇꭈɍɼɽɾᵲᵳᶉꝛꞧ',
  s: 'ѕֆ𐑈𑣁ʂȿᵴᶊꞩ',
  t: 'тτⲧҭŧƫƭʈȶᵵⱦᎿ',
  u: 'υμս𐓶𑣘ꞟꭎꭒʉʊᶙᵿ',
  v: 'νѵⱱⱴ𑣀∨ʋᶌꝟ',
  w: 'ωѡԝաⲱɯɰⱳ⍵պѽꞷꙍ',
  x: 'хχⲭҳӽӿ×⤫⤬⨯ᕁᕽ᙮ᶍꭖꭗꭘꭙꭓꭕ',
  y: 'уγүұყⲩ𑣜ƴɏɣỿꭚ',
  z: 'ⲍ𑣄ƶȥɀʐʑᵶᶎⱬ',
  ae: 'æӕ',
  AE: 'ÆӔ',
  aa: 'ꜳ',
  ao: 'ꜵ',
  au: 'ꜷ',
  av: 'ꜹꜻ',
  ay: 'ꜽ',
  dz: 'ʣʥ',
  ls: 'ʪ',
  lz: 'ʫ',
  oo: 'ꝏꚙ',
  ts: 'ʦ',
  ue: 'ᵫ',
  AA: 'Ꜳ',
  AO: 'Ꜵ',
  AU: 'Ꜷ',
  AV: 'ꜸꜺ',
  AY: 'Ꜽ',
  OO: 'ꝎꚘ',
  oe: 'œ',
  OE: 'Œ',
  ss: 'ß',
  SS: 'ẞ',
  '0': '〇',
  '2': 'ƧƨϨϩᒿƻꛯ',
  '3': 'ЗзӠӡҘҙƷʒȜȝɜꞫꝪꝫⳌⳍ',
  '4': 'Ꮞ𑢯',
  '5': 'Ƽƽ𑢻',
  '6': 'бᏮⳒ𑣕',
  '7': '𐓒𑣆',
  '8': 'Ȣȣ𐌚',
  '9': 'ꝮꝯⳊ𑣌𑢬𑣖',
  '10': '🔟',
  "'": '‘’‚‛‹›′‵´ʹʻʼʽʾʿˈˊˋ՚՝ꞌ\u07f4\u07f5',
  '"': '“”„‟«»″‶ʺˮ˝〃〝〞〟',
  '.': '·•․‧∙⋅⸱⸳。・᛫ꞏᐧㆍꓸ𐩐\u06d4\u0701\u0702꘎',
  '..': 'ꓺ',
  '...': '⋯',
  '.,': 'ꓻ',
  '-.': '꓾',
  ',': '\u060c\u066bꓹ\u060d',
  ':': '։\u05c3ː˸∶⁚ꓽ᛬᠃᠉\u0703\u0704꞉',
  ';': '\u061b',
  '!': 'ǃⵑ',
  '?': '\u061f',
  '%': '\u066a',
  '-': '−⁃˗➖Ⲻ─━',
  '/': '⁄∕⧸╱⟋᜵',
  '\\': '∖⧵⧹╲⟍',
  '|': '∣│┃❘⏐⏽',
  '||': '‖∥',
  _: '‗ˍ\u07fa',
  '~': '˜∼⁓',
  '^': 'ˆ˄',
  '*': '∗⁎\u066d✱',
  '#': '♯',
  '+': '➕᛭',
  '=': '꓿᐀',
  '(': '❨❲〔\ufd3e',
  ')': '❩❳〕\ufd3f',
  '{': '❴',
  '}': '❵',
  '<': '❮˂ᐸᚲ',
  '>': '❯˃ᐳ',
}

/** Rows of characters that stand for consecutive ASCII characters, from the first code point on. */
const ROWS: readonly [first: number, ascii: string, count: number][] = [
  [0x1f150, 'A', 26], // negative circled
  [0x1f170, 'A', 26], // negative squared
  [0x1f1e6, 'A', 26], // regional indicators, the halves of flags
  [0x2776, '1', 9], // negative circled, with and without serifs
  [0x2780, '1', 9],
  [0x278a, '1', 9],
  [0x24f5, '1', 9], // double circled
]

/** Whole numbers in one character, from the first code point on. */
const NUMBERS: readonly [first: number, number: number, count: number][] = [
  [0x24ff, 0, 1],
  [0x1f10b, 0, 1],
  [0x1f10c, 0, 1],
  [0x277f, 10, 1],
  [0x2789, 10, 1],
  [0x2793, 10, 1],
  [0x24fe, 10, 1],
  [0x24eb, 11, 10],
]

/** The small letters of Cherokee are its capitals, set smaller. */
const CHEROKEE: readonly [small: number, capital: number, count: number][] = [
  [0xab70, 0x13a0, 80],
  [0x13f8, 0x13f0, 6],
]

/** What each of these code points reads as, in ASCII. */
export const LOOK_ALIKES: ReadonlyMap<number, string> = lookAlikes()

function lookAlikes(): Map<number, string> {
  const found = new Map<number, string>()
  for (const [ascii, characters] of Object.entries(READ_AS)) for (const character of characters) found.set(character.codePointAt(0) ?? 0, ascii)
  for (const [first, ascii, count] of ROWS) for (let i = 0; i < count; i++) found.set(first + i, String.fromCharCode(ascii.charCodeAt(0) + i))
  for (const [first, number, count] of NUMBERS) for (let i = 0; i < count; i++) found.set(first + i, String(number + i))
  for (const [small, capital, count] of CHEROKEE) {
    for (let i = 0; i < count; i++) {
      const ascii = found.get(capital + i)
      if (ascii !== undefined) found.set(small + i, ascii)
    }
  }
  return found
}
