/** What machines write and people paste: logs, tables, ids, measurements, encodings. */
import type { Random } from './random.ts'

type Writer = (random: Random) => string

const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const BASE64 = `${UPPER}abcdefghijklmnopqrstuvwxyz0123456789+/`
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const services = ['web', 'api', 'worker', 'billing', 'search', 'gateway']
const words = ['red lamp', 'oak table', 'garden hose', 'wool blanket', 'brass bell', 'tea pot', 'paper kite', 'glass jar']
const two = (value: number): string => String(value).padStart(2, '0')
const date = (r: Random): string => `${r.int(2015, 2026)}-${two(r.int(1, 12))}-${two(r.int(1, 28))}`
const time = (r: Random): string => `${two(r.int(0, 23))}:${two(r.int(0, 59))}:${two(r.int(0, 59))}`
const uuid = (r: Random): string => `${r.hex(8)}-${r.hex(4)}-4${r.hex(3)}-${r.pick(['8', '9', 'a', 'b'])}${r.hex(3)}-${r.hex(12)}`
const price = (r: Random): string => `${r.int(1, 9999)}.${r.digits(2)}`
const encode = (text: string): string => Buffer.from(text).toString('base64')
const isbn = (r: Random): string => {
  const digits = `978${r.digits(9)}`
  const sum = Array.from(digits).reduce((total, digit, i) => total + Number(digit) * (i % 2 === 0 ? 1 : 3), 0)
  return `${digits.slice(0, 3)}-${digits[3]}-${digits.slice(4, 8)}-${digits.slice(8)}-${(10 - (sum % 10)) % 10}`
}
const ean = (r: Random, prefix: string): string => {
  const digits = prefix + r.digits(12 - prefix.length)
  const sum = Array.from(digits).reduce((total, digit, i) => total + Number(digit) * (i % 2 === 0 ? 1 : 3), 0)
  return `${digits}${(10 - (sum % 10)) % 10}`
}
/** By Luhn, for these fifteen digits before it. */
const checkDigit = (digits: string): number => {
  const sum = Array.from(digits, (digit, i) => Number(digit) * (i % 2 === 0 ? 2 : 1)).reduce((total, value) => total + (value > 9 ? value - 9 : value), 0)
  return (10 - (sum % 10)) % 10
}
const DAY_MS = 86_400_000

export const records: Readonly<Record<string, Writer>> = {
  'access log': (r) =>
    r.lines(
      r.int(8, 24),
      () =>
        `${r.pick(services)}-${r.int(1, 40)}.internal - - [${date(r)}T${time(r)}Z] "GET /v1/${r.pick(services)}/${r.int(1, 99999)}?page=${r.int(1, 40)} HTTP/1.1" ${r.pick([200, 204, 304, 404, 500])} ${r.int(12, 99999)} ${r.int(0, 9)}.${r.digits(3)} req_${r.hex(16)}`,
    ),
  'log of JSON lines': (r) =>
    r.lines(r.int(6, 16), () =>
      JSON.stringify({
        level: 30,
        time: 1_700_000_000_000 + r.int(0, 900) * DAY_MS + r.int(0, DAY_MS),
        pid: r.int(1, 65535),
        hostname: `${r.pick(services)}-${r.hex(9)}-${r.from('bcdfghjklmnpqrstvwxz2456789', 5)}`,
        reqId: `req-${r.hex(4)}`,
        responseTime: Number(`${r.int(0, 99)}.${r.digits(14)}`),
        msg: 'request completed',
      }),
    ),
  'plain log': (r) =>
    r.lines(
      r.int(8, 24),
      () =>
        `${date(r)} ${time(r)},${r.digits(3)} [${r.pick(services)}-thread-${r.int(1, 32)}] INFO  c.e.${r.pick(services)}.Main - trace=${r.hex(32)} span=${r.hex(16)} took ${r.int(1, 9999)} ms for job ${r.int(10000, 99999999)}`,
    ),
  'stack trace': (r) =>
    `TypeError: Cannot read properties of undefined (reading '${r.pick(services)}')\n${r.lines(r.int(4, 12), () => `    at ${r.pick(['async ', ''])}Object.${r.pick(services)} (/app/node_modules/@scope/${r.pick(services)}/dist/index.js:${r.int(1, 9999)}:${r.int(1, 120)})`)}`,
  'stack trace of Java': (r) =>
    `java.lang.IllegalStateException: order ${r.int(1, 99999)} is closed\n${r.lines(r.int(4, 12), () => `\tat com.example.${r.pick(services)}.Handler$$Lambda$${r.int(1, 400)}/0x${r.hex(16)}.run(Handler.java:${r.int(1, 900)})`)}`,
  'stack trace of Python': (r) =>
    `Traceback (most recent call last):\n${r.lines(r.int(3, 8), () => `  File "/usr/lib/python3.${r.int(8, 14)}/site-packages/${r.pick(services)}/core.py", line ${r.int(1, 2000)}, in ${r.pick(services)}\n    return self._call(*args, n=${r.int(1, 99999)})`)}\nValueError: invalid literal for int() with base 10: '${r.hex(6)}'`,
  CSV: (r) => `id,name,quantity,price,date\n${r.lines(r.int(10, 40), (i) => `${i + 1},${r.pick(words)},${r.int(1, 500)},${price(r)},${date(r)}`)}`,
  'CSV of measurements': (r) =>
    `t;u;v;w\n${r.lines(r.int(10, 40), () => `${r.int(0, 99999)};${r.int(-40, 40)},${r.digits(4)};${r.int(0, 9999)};${r.int(0, 1)}.${r.digits(9)}`)}`,
  'table of years': (r) => `Year\tVisitors\tChange\n${r.lines(r.int(5, 14), (i) => `${2012 + i}\t${r.int(1000, 99999)}\t${r.int(-9, 9)}.${r.int(0, 9)} %`)}`,
  'table of Markdown': (r) =>
    `| item | stock | price | since |\n|---|---:|---:|---|\n${r.lines(r.int(5, 14), () => `| ${r.pick(words)} | ${r.int(0, 9999)} | ${price(r)} | ${r.int(2001, 2026)} |`)}`,
  UUIDs: (r) => r.lines(r.int(6, 24), () => uuid(r)),
  'ids in JSON': (r) =>
    JSON.stringify(
      r.times(r.int(4, 12), () => ({
        id: uuid(r),
        parent: r.int(1, 9999999),
        seq: r.int(1, 99999),
        etag: `W/"${r.hex(10)}-${r.int(1, 999)}"`,
        ulid: `01${r.from('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 24)}`,
        objectId: r.hex(24),
      })),
    ),
  'git log': (r) => r.lines(r.int(6, 16), () => `${r.hex(40)} ${date(r)} Merge pull request #${r.int(1, 9999)} from ${r.pick(services)}/fix-${r.int(1, 999)}`),
  'git log in short': (r) =>
    r.lines(r.int(10, 30), () => `* ${r.hex(7)} (tag: v${r.int(0, 9)}.${r.int(0, 30)}.${r.int(0, 9)}) ${r.pick(words)} is in stock again`),
  digests: (r) => r.lines(r.int(5, 14), () => `${r.hex(r.pick([32, 40, 64, 128]))}  ./dist/${r.pick(services)}-${r.int(1, 9)}.${r.int(0, 20)}.tar.gz`),
  'integrity hashes': (r) =>
    r.lines(
      r.int(5, 14),
      () =>
        `    "node_modules/${r.pick(services)}-${r.int(1, 99)}": { "version": "${r.int(0, 20)}.${r.int(0, 20)}.${r.int(0, 20)}", "integrity": "sha512-${r.from(BASE64, 86)}==" },`,
    ),
  fingerprints: (r) =>
    r.lines(
      r.int(3, 8),
      () =>
        `${r.int(1024, 4096)} MD5:${r.times(16, () => r.hex(2)).join(':')} build host ${r.int(1, 40)} (RSA)\n256 SHA256:${r.from(BASE64, 43)} build host (ED25519)`,
    ),
  certificate: (r) => `-----BEGIN CERTIFICATE-----\n${r.lines(r.int(6, 18), () => r.from(BASE64, 64))}\n${r.from(BASE64, 42)}==\n-----END CERTIFICATE-----`,
  'serial numbers of certificates': (r) =>
    `Serial Number:\n    ${r.times(r.int(16, 20), () => r.hex(2)).join(':')}\nX509v3 Subject Key Identifier:\n    ${r.times(20, () => r.hex(2).toUpperCase()).join(':')}\nPublic-Key: (2048 bit)\nModulus:\n${r.lines(8, () => `    ${r.times(15, () => r.hex(2)).join(':')}:`)}`,
  ISBNs: (r) => r.lines(r.int(5, 16), () => `${r.pick(['ISBN', 'ISBN-13:', ''])} ${isbn(r)} ${r.pick(words)}, ${r.int(90, 900)} p., ${r.int(1950, 2026)}`),
  'bar codes': (r) => r.lines(r.int(4, 9), () => `EAN ${ean(r, r.pick(['76', '80', '87', '90', '97', '30', '69']))} ${r.pick(words)}`),
  'German bar codes': (r) => r.lines(r.int(2, 4), () => `EAN ${ean(r, `4${r.int(0, 3)}`)} ${r.pick(words)}`),
  'order numbers': (r) =>
    r.lines(
      r.int(5, 16),
      () =>
        `Order ${r.pick(['', '#', 'no. '])}${r.int(2019, 2026)}-${r.digits(6)} / ${r.from(UPPER, 2)}${r.digits(7)} shipped ${date(r)}, ticket ${r.digits(8)}, invoice ${r.digits(10)}`,
    ),
  versions: (r) =>
    r.lines(r.int(5, 16), () => `${r.pick(services)} ${r.int(0, 30)}.${r.int(0, 40)}.${r.int(0, 90)}${r.pick(['', '-rc.1', '+build.417', '-alpha.20260105'])}`),
  'builds of Windows': (r) =>
    r.lines(
      r.int(5, 16),
      () =>
        `Microsoft Windows [Version 10.0.${r.pick([19045, 22000, 22621, 22631, 26100])}.${r.int(1000, 9999)}]; KB${r.int(5000000, 5099999)}; Chrome/${r.int(90, 150)}.0.${r.int(4000, 7999)}.${r.int(10, 250)}; Edge/${r.int(90, 150)}.0.${r.int(1000, 3999)}.${r.int(10, 99)}`,
    ),
  timestamps: (r) =>
    r.lines(
      r.int(8, 24),
      () =>
        `${date(r)}T${time(r)}.${r.digits(r.pick([3, 6, 9]))}Z ${1_500_000_000 + r.int(0, 400_000_000)} ${1_500_000_000_000 + r.int(0, 2_000_000_000)}${r.digits(0)} ${17}${r.digits(8)}.${r.digits(6)}`,
    ),
  dates: (r) =>
    r.lines(
      r.int(6, 18),
      () =>
        `${two(r.int(1, 28))}.${two(r.int(1, 12))}.${r.int(1990, 2026)} ${two(r.int(1, 12))}/${two(r.int(1, 28))}/${r.int(1990, 2026)} week ${r.int(1, 52)}, ${r.int(2015, 2026)}${two(r.int(1, 12))}${two(r.int(1, 28))}`,
    ),
  prices: (r) =>
    r.lines(
      r.int(6, 18),
      () =>
        `${r.pick(words)}: € ${r.int(1, 99)}.${r.digits(3)},${r.digits(2)} or $${r.int(1, 99)},${r.digits(3)}.${r.digits(2)} (${r.int(1, 25)} % VAT), CHF ${r.int(1, 9)}'${r.digits(3)}.${r.digits(2)}`,
    ),
  coordinates: (r) =>
    JSON.stringify({
      type: 'LineString',
      coordinates: r.times(r.int(8, 24), () => [Number(`${r.int(-179, 179)}.${r.digits(13)}`), Number(`${r.int(-89, 89)}.${r.digits(14)}`)]),
    }),
  'coordinates in degrees': (r) =>
    r.lines(
      r.int(5, 12),
      () =>
        `${r.int(0, 89)}°${r.int(0, 59)}'${r.int(0, 59)}.${r.int(0, 9)}"N ${r.int(0, 179)}°${r.int(0, 59)}'${r.int(0, 59)}"E, ${r.int(0, 4000)} m; ${r.int(0, 89)}.${r.digits(6)}, ${r.int(-179, 179)}.${r.digits(6)}`,
    ),
  embeddings: (r) => `[${r.times(r.int(40, 120), () => `${r.pick(['', '-'])}0.${r.pick(['', '0', '00'])}${r.digits(r.int(14, 17))}`).join(', ')}]`,
  'numbers of science': (r) =>
    r.lines(
      r.int(6, 18),
      () =>
        `${r.int(1, 9)}.${r.digits(r.int(3, 15))}e${r.pick(['+', '-'])}${r.int(1, 308)} ± ${r.int(0, 9)}.${r.digits(4)}, n = ${r.int(10, 99999)}, p < 0.00${r.int(1, 9)}`,
    ),
  matrix: (r) => `[${r.lines(r.int(4, 12), () => `[${r.times(8, () => r.int(-99, 99)).join(', ')}],`)}]`,
  'tokens of a model': (r) => `[${r.times(r.int(40, 120), () => r.int(1, 100256)).join(', ')}]`,
  bytes: (r) => `[${r.times(r.int(40, 120), () => r.int(0, 255)).join(', ')}]`,
  'hex dump': (r) =>
    r.lines(
      r.int(8, 20),
      (i) =>
        `${(i * 16).toString(16).padStart(8, '0')}  ${r.times(8, () => r.hex(2)).join(' ')}  ${r.times(8, () => r.hex(2)).join(' ')}  |${r.from('.abcxyz. 0179', 16)}|`,
    ),
  chemistry: (r) =>
    r.lines(
      r.int(5, 14),
      () =>
        `C${r.int(1, 40)}H${r.int(1, 80)}N${r.int(1, 9)}O${r.int(1, 9)} (${r.int(50, 90)}-${two(r.int(10, 99))}-${r.int(0, 9)}), M = ${r.int(18, 900)}.${r.digits(2)} g/mol, SMILES CC(=O)OC${r.int(1, 9)}=CC=CC=C${r.int(1, 9)}, InChIKey=${r.from(UPPER, 14)}-${r.from(UPPER, 10)}-N`,
    ),
  sequences: (r) =>
    `>sp|P${r.digits(5)}|${r.from(UPPER, 4)}_HUMAN\n${r.lines(r.int(4, 12), () => r.from('ACDEFGHIKLMNPQRSTVWY', 60))}\n>chr${r.int(1, 22)}:${r.int(1, 99)}${r.digits(6)}\n${r.from('ACGT', 240)}`,
  'part numbers': (r) =>
    r.lines(
      r.int(5, 14),
      () =>
        `P/N ${r.from(UPPER, 2)}-${r.digits(3)}-${r.digits(3)}-${r.digits(4)}${r.from(UPPER, 1)}, ${r.digits(3)}-${r.digits(4)}-${r.digits(2)}, SKU ${r.digits(4)}/${r.digits(3)}.${r.digits(2)}, bearing 6${r.digits(3)}-2RS`,
    ),
  'base64 of pictures': (r) => `![](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA${r.from(BASE64, r.int(200, 900))}`,
  'base64 of ordinary texts': (r) =>
    r.lines(r.int(2, 5), () => encode(`The ${r.pick(words)} of ${r.int(1990, 2026)} costs ${price(r)}, and ${r.int(2, 90)} are left in the store.`)),
  'escapes of ordinary texts': (r) =>
    JSON.stringify({ text: `Größe ${r.int(1, 99)}, Straße „${r.pick(words)}“ – ${price(r)} €` }).replace(
      /[\u0080-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  'links with percent signs': (r) =>
    r.lines(
      r.int(4, 12),
      () =>
        `https://shop.example/search?q=${encodeURIComponent(`${r.pick(words)} größer als ${r.int(1, 90)}`)}&page=${r.int(1, 40)}&utm_source=${r.pick(services)}&id=${r.digits(9)}#:~:text=${encodeURIComponent(r.pick(words))}`,
    ),
  'quoted-printable': (r) =>
    `Content-Transfer-Encoding: quoted-printable\n\nDie ${r.pick(words)} kostet =E2=82=AC ${price(r)}, das hei=C3=9Ft, der Preis ist um ${r.int(2, 40)} % ge=\nstiegen. Gr=C3=BC=C3=9Fe`,
  'directory listing': (r) =>
    r.lines(
      r.int(8, 20),
      () =>
        `-rw-r--r--  1 root wheel ${String(r.int(10, 99999999)).padStart(9)} ${r.pick(['Jan', 'Mar', 'Nov'])} ${two(r.int(1, 28))} ${two(r.int(0, 23))}:${two(r.int(0, 59))} ${r.pick(services)}-${r.digits(4)}.log`,
    ),
  processes: (r) =>
    r.lines(
      r.int(8, 20),
      () =>
        `root ${String(r.int(1, 99999)).padStart(6)}  ${r.int(0, 9)}.${r.int(0, 9)}  ${r.int(0, 9)}.${r.int(0, 9)} ${r.int(1000, 9999999)} ${r.int(100, 999999)} ?  Ssl  ${two(r.int(0, 23))}:${two(r.int(0, 59))}  ${r.int(0, 90)}:${two(r.int(0, 59))} /usr/bin/${r.pick(services)} --workers=${r.int(1, 16)}`,
    ),
  'test results': (r) => r.lines(r.int(8, 24), (i) => `ok ${i + 1} - ${r.pick(words)} is found at ${r.int(1, 90)} places # ${r.int(0, 900)}.${r.digits(6)}ms`),
  benchmark: (r) =>
    r.lines(
      r.int(5, 14),
      () =>
        `${r.pick(services)}/op x ${r.int(1, 999)},${r.digits(3)} ops/sec ±${r.int(0, 4)}.${r.digits(2)}% (${r.int(60, 99)} runs sampled) ${r.digits(6)} ns ${r.digits(4)} B`,
    ),
  timetable: (r) =>
    r.lines(
      r.int(6, 18),
      () =>
        `${two(r.int(4, 23))}:${two(r.int(0, 59))} ${r.pick(['IC', 'RE', 'S', 'EN'])} ${r.int(1, 999)} platform ${r.int(1, 14)} ${two(r.int(4, 23))}${two(r.int(0, 59))}-${two(r.int(4, 23))}${two(r.int(0, 59))} daily except ${r.pick(['Sat', 'Sun'])}`,
    ),
  results: (r) =>
    r.lines(
      r.int(6, 18),
      () =>
        `${r.int(0, 5)}:${r.int(0, 5)} (${r.int(0, 3)}:${r.int(0, 3)}), ${r.int(1, 99)}-${r.int(1, 99)}, ${r.int(1, 9)}/${r.int(1, 9)}, ${r.int(9, 59)}.${r.digits(2)} s, lane ${r.int(1, 8)}`,
    ),
  'chess and chords': (r) =>
    `${r.times(r.int(12, 30), (i) => `${i + 1}. ${r.pick(['e4', 'Nf3', 'd4', 'c4', 'O-O', 'Bb5+'])} ${r.pick(['e5', 'Nc6', 'd5', 'Bb4', 'a6', 'O-O'])}`).join(' ')}\n| ${r.times(8, () => r.pick(['Am', 'C', 'F7', 'Gsus4', 'Dm7'])).join(' | ')} |`,
  sudoku: (r) => r.lines(9, () => r.times(9, () => r.pick(['.', String(r.int(1, 9))])).join(' ')),
  lottery: (r) => r.lines(r.int(4, 12), () => `${r.times(6, () => r.int(1, 49)).join(' ')} bonus ${r.int(1, 49)}, draw ${date(r)}`),
  recipe: (r) =>
    r.lines(
      r.int(5, 12),
      () =>
        `- ${r.int(1, 900)} ${r.pick(['g', 'ml', 'tbsp', 'pinches of'])} ${r.pick(['flour', 'milk', 'sugar', 'salt', 'butter'])} (${r.int(1, 9)}/${r.int(2, 9)} cup), ${r.int(120, 240)} °C for ${r.int(5, 90)} min`,
    ),
  'names of keys': (r) =>
    r.lines(
      r.int(5, 12),
      () =>
        `${r.pick(['API', 'AWS', 'OPENAI', 'DB', 'JWT'])}_${r.pick(['KEY', 'SECRET', 'TOKEN', 'PASSWORD'])}=${r.pick(['', '<your key>', '$' + '{VAULT_KEY}', 'changeme', '********', 'xxxx-xxxx', 'process.env.KEY'])}`,
    ),
  'headers of HTTP': (r) =>
    `HTTP/1.1 ${r.pick([200, 304, 429])}\ndate: Thu, ${two(r.int(1, 28))} Nov ${r.int(2020, 2026)} ${time(r)} GMT\netag: "${r.hex(32)}"\nx-request-id: ${uuid(r)}\ncf-ray: ${r.hex(16)}-VIE\nstrict-transport-security: max-age=${r.int(1, 63072000)}\nx-ratelimit-reset: ${1_500_000_000 + r.int(0, 400_000_000)}\ncontent-length: ${r.int(1, 999999)}`,
  metrics: (r) =>
    r.lines(
      r.int(8, 20),
      () =>
        `http_request_duration_seconds_bucket{service="${r.pick(services)}",le="0.${r.digits(3)}"} ${r.int(1, 99999999)}\nprocess_start_time_seconds ${17}${r.digits(8)}.${r.digits(2)}`,
    ),
  'pages and verses': (r) =>
    r.lines(
      r.int(6, 14),
      () =>
        `vol. ${r.int(1, 40)}, no. ${r.int(1, 12)} (${r.int(1950, 2026)}), pp. ${r.int(1, 500)}–${r.int(501, 999)}; doi:10.${r.int(1000, 9999)}/${r.from('abcdef', 4)}.${r.int(2000, 2026)}.${r.digits(7)}; arXiv:${r.int(10, 26)}${two(r.int(1, 12))}.${r.digits(5)}; ${r.int(1, 50)}:${r.int(1, 40)}–${r.int(41, 60)}`,
    ),
  lengths: (r) =>
    r.lines(
      r.int(6, 14),
      () =>
        `${r.int(1, 99)} ${r.digits(3)} ${r.digits(3)} people, ${r.int(1, 9)} ${r.digits(3)},${r.digits(2)} km², ${r.int(1, 999)} × ${r.int(1, 999)} × ${r.int(1, 99)} mm, M${r.int(3, 24)}x${r.int(10, 90)}, 1:${r.int(10, 50)} ${r.digits(3)}`,
    ),
  'numbers that are nearly cards': (r) =>
    r.lines(r.int(4, 10), () => {
      const digits = `${r.pick(['4', '51', '37', '6011'])}${r.digits(14)}`.slice(0, 15)
      return `test number ${(digits + String((checkDigit(digits) + r.int(1, 9)) % 10)).replaceAll(/.{4}(?=.)/g, `$&${r.pick([' ', '-', ''])}`)} is refused`
    }),
  'numbers that are nearly accounts': (r) =>
    r.lines(
      r.int(4, 10),
      () =>
        `DE00 ${r.pick(['0', '1', '8', '9'])}${r.digits(3)} ${r.digits(4)} ${r.digits(4)} ${r.digits(4)} ${r.digits(2)}, GB00WEST${r.pick(['0', '1', '8', '9'])}${r.digits(13)} and 000-${r.digits(2)}-${r.digits(4)} are examples of what is wrong`,
    ),
  'words that are nearly keys': (r) =>
    r.lines(
      r.int(4, 10),
      () =>
        `AKIA${r.from(UPPER, r.int(4, 15))} ghp_${r.hex(r.int(4, 20))} sk-${r.hex(r.int(4, 12))} eyJ${r.from(BASE64, 6)} xoxb-${r.int(1, 999)} task-${r.hex(24)} disk-usage-${r.digits(6)}`,
    ),
  'nearly addresses of networks': (r) =>
    r.lines(
      r.int(4, 10),
      () =>
        `${r.int(256, 999)}.${r.int(0, 255)}.${r.int(0, 255)}.${r.int(0, 255)} ${r.int(0, 9)}.${r.int(0, 99)}.${r.int(0, 99)} ${r.times(5, () => r.hex(2)).join(':')} ${time(r)}:${two(r.int(0, 99))} ${r.times(5, () => r.hex(4)).join(':')} section ${r.int(1, 9)}.${r.int(1, 9)}.${r.int(1, 9)}.${r.int(1, 9)}.${r.int(1, 9)} ratio 16:9:${r.int(1, 9)}`,
    ),
  'nearly addresses of coins': (r) =>
    r.lines(
      r.int(4, 10),
      () => `1${r.from(BASE58, 33)} 3${r.from(BASE58, 33)} bc1q${r.from('023456789acdefghjklmnpqrstuvwxyz', 38)} block 0x${r.hex(64)} tx ${r.hex(64)}`,
    ),
  'talk of numbers': (r) =>
    `${r.pick(['How many digits does a card number have, 15 or 16?', 'Which IBAN is longer, the German or the Norwegian one?', 'What does AKIA at the beginning of a key mean?', 'Is the ten-dot network private, and what is a MAC address?'])} I counted ${r.int(10, 40)}, from page ${r.int(1, 90)} to ${r.int(91, 190)}.`,
  'lists of ports': (r) => `const blocked = [${r.times(r.int(20, 60), () => `'${r.int(1, 9999)}'`).join(', ')}]`,
  'lists of code points': (r) => `const starts = [${r.times(r.int(30, 90), (i) => 1000 + i * r.int(60, 64) + r.int(0, 30)).join(', ')}]`,
}
