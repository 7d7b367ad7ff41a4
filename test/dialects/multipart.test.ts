import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { splitForm } from '../../src/dialects/bodies/multipart.ts'
import { pathIn } from '../../src/dialects/bodies/read-call.ts'
import { compile } from '../../src/rules/compile.ts'
import { redact } from '../../src/rules/redact.ts'
import { rule, subjectOf } from '../rules/subject.ts'
import { at, BOUNDARY, FORM_TYPE, files, form, foundIn, promptOf, read, refusalOf, transcribing, type Written } from './form.ts'

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')

test('the parts of a form are found where they lie, as the platform itself writes and reads them', async () => {
  const written = new FormData()
  written.append('model', 'whisper-1')
  written.append('prompt', 'ümlaut\nand "quotes"')
  written.append('file', new Blob(['{"a":1}\n'], { type: 'application/x-ndjson' }), 'dätä "1".jsonl')
  written.append('image', new Blob([PNG], { type: 'image/png' }))
  written.append('empty', '')
  const response = new Response(written)
  const contentType = response.headers.get('content-type') ?? ''
  const body = Buffer.from(await response.arrayBuffer())
  const parts = splitForm(body, contentType)
  assert.deepEqual(
    parts.map(({ name, filename, type, start, end }) => [name, filename, type, body.toString('latin1', start, end)]),
    [
      ['model', null, '', 'whisper-1'],
      ['prompt', null, '', Buffer.from('ümlaut\r\nand "quotes"').toString('latin1')],
      ['file', 'dätä %221%22.jsonl', 'application/x-ndjson', '{"a":1}\n'],
      ['image', 'blob', 'image/png', PNG.toString('latin1')],
      ['empty', null, '', ''],
    ],
  )
  assert.deepEqual(parts[2].headers.says, ['file', 'dätä %221%22.jsonl', 'dätä "1".jsonl', 'application/x-ndjson'])
})

const disposition = (rest: string): string => `Content-Disposition: form-data; ${rest}\r\n`
const part = (headers: string, content: string | Buffer = 'x'): Buffer => form({ name: '', content, headers })
const plain = form({ name: 'a', content: 'x' })
const said = (from: string | RegExp, to: string): Buffer => Buffer.from(plain.toString().replace(from, to))

/** What two parsers could read in two ways. */
const refused: Readonly<Record<string, [body: Buffer, contentType?: string]>> = {
  'no boundary in the content type': [plain, 'multipart/form-data'],
  'two boundaries in the content type': [plain, `${FORM_TYPE}; boundary=other`],
  'a boundary in pieces': [plain, `multipart/form-data; boundary*0=${BOUNDARY}`],
  'an empty boundary': [plain, 'multipart/form-data; boundary=""'],
  'a boundary of 71 characters': [plain, `multipart/form-data; boundary=${'b'.repeat(71)}`],
  'a boundary that ends with a space': [plain, `multipart/form-data; boundary="${BOUNDARY} "`],
  'something else in the content type': [plain, `${FORM_TYPE}; note=x`],
  'something before the first boundary': [said('--form', 'preamble\r\n--form')],
  'an empty line before the first boundary': [said('--form', '\r\n--form')],
  'something after the last boundary': [Buffer.concat([plain, Buffer.from('epilogue')])],
  'two line breaks after the last boundary': [Buffer.concat([plain, Buffer.from('\r\n')])],
  'no last boundary': [said(/--form-boundary-7f3a--\r\n$/, '')],
  'a boundary that is not closed': [said(/--\r\n$/, '\r\n')],
  'another boundary than announced': [plain, 'multipart/form-data; boundary=other'],
  'bare line feeds': [Buffer.from(plain.toString().replaceAll('\r\n', '\n'))],
  'a bare line feed before a boundary': [said('x\r\n--', 'x\n--')],
  'spaces after a boundary': [said('7f3a\r\n', '7f3a \r\n')],
  'a longer boundary in a content': [form({ name: 'a', content: `x\r\n--${BOUNDARY}y` })],
  'the boundary within a line of a content': [form({ name: 'a', content: `x --${BOUNDARY} y` })],
  'a boundary after a lone line feed in a content': [form({ name: 'a', content: `x\n--${BOUNDARY}--\n` })],
  'no headers': [part('')],
  'no empty line after the headers': [said('"a"\r\n\r\n', '"a"\r\n')],
  'no content-disposition': [part('Content-Type: text/plain\r\n')],
  'two content-dispositions': [part(disposition('name="a"') + disposition('name="b"'))],
  'two content types': [part(`${disposition('name="a"')}Content-Type: text/plain\r\ncontent-type: text/html\r\n`)],
  'another disposition': [part('Content-Disposition: attachment; name="a"\r\n')],
  'a folded header': [part('Content-Disposition: form-data;\r\n name="a"\r\n')],
  'a lone carriage return in a header': [part(disposition('name="a\rb"'))],
  'a lone line feed in a header': [part('Content-Disposition: form-data; name="a"\nX: y\r\n')],
  'a NUL in a header': [part(disposition('name="a\0b"'))],
  'a space before the colon': [part('Content-Disposition : form-data; name="a"\r\n')],
  'headers that are no UTF-8': [part('@').fill(0xff, plain.indexOf('Content'), plain.indexOf('Content') + 1)],
  'headers beyond the bound': [part(disposition(`name="a"; filename="${'f'.repeat(5000)}"`))],
  'too many headers': [part(disposition('name="a"') + Array.from({ length: 8 }, (_, i) => `X-${i}: y\r\n`).join(''))],
  'no name': [part(disposition('filename="f"'))],
  'an empty name': [part(disposition('name=""'))],
  'a name twice': [part(disposition('name="a"; name="b"'))],
  'a name twice in other letters': [part(disposition('name="a"; Name="b"'))],
  'a name without quotes': [part(disposition('name=a'))],
  'a backslash in a name': [part(disposition('name="a\\"b"'))],
  'a name in pieces': [part(disposition('name*0="a"; name="b"'))],
  'an unknown parameter': [part(disposition('name="a"; size="1"'))],
  'a filename* alone': [part(disposition('name="a"; filename*=utf-8\'\'f'))],
  'a filename* in another character set': [part(disposition('name="a"; filename="f"; filename*=iso-8859-1\'\'f'))],
  'a filename* that is no UTF-8': [part(disposition('name="a"; filename="f"; filename*=utf-8\'\'%ff'))],
  'a semicolon without a parameter': [part(disposition('name="a";'))],
  'an encoding for transfer': [part(`${disposition('name="a"')}Content-Transfer-Encoding: base64\r\n`)],
  'a compressed part': [part(`${disposition('name="a"')}Content-Encoding: gzip\r\n`)],
  'a length that is not its own': [part(`${disposition('name="a"')}Content-Length: 7\r\n`)],
  'a part in another character set': [part(`${disposition('name="a"')}Content-Type: text/plain; charset=utf-7\r\n`)],
  'a malformed type': [part(`${disposition('name="a"')}Content-Type: text\r\n`)],
  'a form within the form': [part(`${disposition('name="a"')}Content-Type: multipart/mixed; boundary=z\r\n`)],
  'a field that is no text': [form({ name: 'a', content: Buffer.from([0x66, 0xff]) })],
  'a field with a control character': [form({ name: 'a', content: 'a\0b' })],
  'another default character set': [form({ name: '_charset_', content: 'utf-16' })],
  'too many parts': [form(...Array.from({ length: 257 }, () => ({ name: 'a', content: 'x' })))],
  'a file that says it is JSON and is not': [form({ name: 'f', filename: 'f.json', content: '{"a":' })],
  'a file of lines with a bad one': [form({ name: 'f', filename: 'f.jsonl', content: '{}\n{"a":1,"a":2}\n' })],
}

for (const [name, [body, contentType = FORM_TYPE]] of Object.entries(refused)) {
  test(`${name}: refused, with a sentence that quotes nothing`, () => {
    const { reason, message } = refusalOf(body, contentType)
    assert.equal(reason, 'invalid_request')
    assert.match(message, /^[A-Z'].{15,}\.$/)
    assert.ok(!message.includes(BOUNDARY), message)
  })
}

test('what clients do write is taken: quoted boundaries, a charset, no line break at the end, an empty form, known encodings', () => {
  const taken: [Buffer, string][] = [
    [plain, `multipart/form-data; charset=utf-8; boundary="${BOUNDARY}"`],
    [plain, `Multipart/Form-Data;boundary=${BOUNDARY}`],
    [plain.subarray(0, -2), FORM_TYPE],
    [Buffer.from(`--${BOUNDARY}--\r\n`), FORM_TYPE],
    [Buffer.from(plain.toString().replaceAll(BOUNDARY, "a b'()+_,-./:=?")), 'multipart/form-data; boundary="a b\'()+_,-./:=?"'],
    [
      part(`content-disposition:form-data;name="a"\r\nContent-Transfer-Encoding: BINARY\r\nContent-Length: 1\r\nContent-Type: text/plain; charset="UTF-8"\r\n`),
      FORM_TYPE,
    ],
    [form({ name: '_charset_', content: 'UTF-8' }), FORM_TYPE],
    [form({ name: 'a', content: '--form\r\n--\r\n\r\n----' }), FORM_TYPE],
  ]
  for (const [body, contentType] of taken) assert.ok(read(body, contentType))
})

const MARKER = 'mårker 7f3a'

/** Every place of a form: what is put where, the role with which it is found, and what the place is called. */
const places: Readonly<Record<string, { put: (marker: string) => Written; role: string; path: string; found?: (marker: string) => string }>> = {
  'a field nobody knows': { put: (content) => ({ name: 'note', content }), role: 'other', path: 'field 2' },
  'a field that is said to the model': { put: (content) => ({ name: 'prompt', content }), role: 'user', path: 'field prompt' },
  'the name of a field': { put: (name) => ({ name, content: 'x' }), role: 'protocol', path: 'headers of field 2' },
  'the name of a file': { put: (filename) => ({ name: 'file', filename, content: PNG }), role: 'protocol', path: 'headers of file 2' },
  'the type of a part': {
    put: (type) => ({ name: 'file', type: `text/${type}`, content: 'x' }),
    role: 'protocol',
    path: 'headers of field file',
    found: (type) => `text/${type}`,
  },
  'a header nobody knows': {
    put: (value) => ({ name: '', headers: `${disposition('name="file"')}X-Note: ${value}\r\n`, content: 'x' }),
    role: 'protocol',
    path: 'headers of field file',
    found: (value) => `x-note: ${value}`,
  },
  'an encoded file name': {
    put: (value) => ({ name: '', headers: disposition(`name="file"; filename="f"; filename*=utf-8'en'${encodeURIComponent(value)}`), content: PNG }),
    role: 'protocol',
    path: 'headers of file 2',
  },
  'a file name with percent signs': {
    put: (value) => ({ name: 'file', filename: encodeURIComponent(value), content: PNG }),
    role: 'protocol',
    path: 'headers of file 2',
  },
  'a text file': { put: (content) => ({ name: 'file', filename: 'john.txt', type: 'text/plain', content }), role: 'other', path: 'file 2' },
  'a text file that says it is a picture': {
    put: (content) => ({ name: 'file', filename: 'image.png', type: 'image/png', content }),
    role: 'other',
    path: 'file image.png',
  },
  'a JSON file': {
    put: (text) => ({ name: 'file', filename: 'data.json', content: JSON.stringify({ messages: [{ content: text }] }) }),
    role: 'other',
    path: 'file data.json: messages[0].content',
  },
  'a JSON file that does not say so': {
    put: (text) => ({ name: 'file', filename: 'x', content: ` [${JSON.stringify(text).replace('7', '\\u0037')}]` }),
    role: 'other',
    path: 'file 2: [0]',
  },
  'a JSON file with a byte order mark': {
    put: (text) => ({ name: 'file', filename: 'data.json', content: `\ufeff${JSON.stringify({ input: text })}` }),
    role: 'other',
    path: 'file data.json: input',
  },
  'a member’s name of a JSON file': {
    put: (text) => ({ name: 'file', filename: 'data.json', content: JSON.stringify({ [text]: 1 }) }),
    role: 'protocol',
    path: 'file data.json: *',
  },
  'a line of a JSONL file': {
    put: (text) => ({ name: 'file', filename: 'batch.jsonl', content: `{"a":1}\r\n\n${JSON.stringify({ input: text })}\n` }),
    role: 'other',
    path: 'file batch.jsonl line 3: input',
  },
  'a line of a file that does not say what it is': {
    put: (text) => ({ name: 'file', filename: 'x.bin', content: `{"a":1}\n${JSON.stringify({ input: text }).replace('7', '\\u0037')}` }),
    role: 'other',
    path: 'file 2 line 2: input',
  },
  'a JSON field': {
    put: (text) => ({ name: 'metadata', content: JSON.stringify({ user: text }).replace('7', '\\u0037') }),
    role: 'other',
    path: 'field metadata: user',
  },
}

for (const [name, { put, role, path, found = (marker: string) => marker }] of Object.entries(places)) {
  test(`a marker in ${name} is found there, once, with its role, and the place is named`, () => {
    const marker = name === 'the type of a part' ? 'marker-7f3a' : MARKER
    const body = form({ name: 'model', content: 'whisper-1' }, put(marker))
    const call = read(body, FORM_TYPE, transcribing)
    const hits = call.slots.filter(({ from, to }) => call.text.toString('utf8', from, to) === found(marker))
    assert.deepEqual(
      hits.map((slot) => slot.role),
      [role],
    )
    assert.equal(pathIn(call)(hits[0].start), path)
  })
}

test('what a form says comes first, then everything else; the models are those of every field of that name', () => {
  const call = read(
    form(
      { name: 'file', filename: 'notes.txt', content: 'a file' },
      { name: 'model', content: 'whisper-1' },
      { name: 'prompt', content: 'first' },
      { name: 'stream', content: 'true' },
      { name: 'prompt', content: 'second' },
      { name: 'model', content: 'whisper-2' },
    ),
    FORM_TYPE,
    transcribing,
  )
  assert.equal(promptOf(call), 'first\nsecond')
  assert.deepEqual([call.models, call.streaming, call.format], [['whisper-1', 'whisper-2'], true, 'multipart'])
  assert.equal(call.body.toString('utf8', call.lastMessage?.start, call.lastMessage?.end), 'second')
  assert.deepEqual(
    foundIn(call).filter((one) => !one.startsWith('protocol')),
    ['user: first', 'user: second', 'other: a file', 'other: true'],
  )
  assert.deepEqual(read(form({ name: 'model', content: 'any' }, { name: 'model[]', filename: 'm.txt', content: 'other' }), FORM_TYPE, files).models, [
    'any',
    'other',
  ])
  assert.equal(refusalOf(form({ name: 'prompt', content: 'x' }), FORM_TYPE, transcribing).context.param, 'model')
})

test('what is no text in UTF-8 is counted, and read all the same where it is text in another character set; a form without it counts nothing', () => {
  const utf16 = Buffer.from('a secret', 'utf16le')
  const call = read(
    form({ name: 'image', filename: 'a.png', content: PNG }, { name: 'file', filename: 'b.txt', type: 'text/plain', content: utf16 }),
    FORM_TYPE,
  )
  assert.equal(call.opaqueBytes, PNG.length + utf16.length)
  assert.deepEqual(foundIn(call).sort(), [
    'protocol: a secret',
    'protocol: a.png',
    'protocol: b.txt',
    'protocol: file',
    'protocol: image',
    'protocol: text/plain',
  ])
  assert.equal(read(plain, FORM_TYPE).opaqueBytes, 0)
})

test('forms are taken where a dialect reads them and on paths nobody describes, nowhere else, and no other kind of multipart is', () => {
  assert.equal(refusalOf(plain, FORM_TYPE, at('/v1/chat/completions')).status, 415)
  assert.equal(refusalOf(plain, `multipart/mixed; boundary=${BOUNDARY}`).status, 415)
  assert.equal(refusalOf(plain, `multipart/related; boundary=${BOUNDARY}`).status, 415)
})

test('whatever is cut out of a form, every other byte stays, and what leaves is the same form without it', () => {
  const secret = fc.constantFrom('123-45-6789', 'me@example.org', 'Osprey')
  const filler = fc.constantFrom('é', '"', '\\', '\r\n', '\n', '😀', ' ', 'x', '--', '7', `-${BOUNDARY}`, '\r\n--', '{', '\u2028')
  const content = fc.array(fc.oneof(secret, filler), { maxLength: 8 }).map((parts) => parts.join(''))
  const kinds: readonly ((text: string) => Written)[] = [
    (text) => ({ name: 'prompt', content: text }),
    (text) => ({ name: 'note', content: text }),
    (text) => ({ name: 'file', filename: 'a.txt', content: text }),
    (text) => ({ name: 'file', filename: 'a.json', content: JSON.stringify({ text: [text] }, null, 1) }),
    (text) => ({ name: 'file', filename: 'a.jsonl', content: `${JSON.stringify({ text })}\r\n\n${JSON.stringify([text, 1.5])}` }),
  ]
  const rules = [
    rule({ operator: 'detects', value: ['ssn', 'email'] }, 'REDACT', { id: 'a' }),
    rule({ operator: 'contains', value: 'Osprey', case_sensitive: true }, 'REDACT', { id: 'b' }),
  ]
  const policy = compile(1, rules)
  const field = fc.tuple(fc.nat(kinds.length - 1), content)
  fc.assert(
    fc.property(fc.array(field, { maxLength: 5 }), (fields) => {
      const parts = fields.map(([kind, text]) => kinds[kind](text)).filter(({ content }) => !content.includes(`--${BOUNDARY}`))
      const body = form({ name: 'model', content: 'm' }, ...parts)
      const call = read(body, FORM_TYPE, transcribing)
      const verdict = policy.judge(subjectOf(call))
      const result = redact(call, verdict)
      assert.ok('outbound' in result)
      const { outbound } = result
      const before = splitForm(body, FORM_TYPE)
      const after = splitForm(outbound, FORM_TYPE)
      assert.deepEqual(
        after.map(({ headers, name }) => [name, outbound.toString('utf8', headers.start, headers.end)]),
        before.map(({ headers, name }) => [name, body.toString('utf8', headers.start, headers.end)]),
      )
      // The texts of both, with every cut made in the first, are the same: nothing moved from one place to another.
      const again = read(outbound, FORM_TYPE, transcribing)
      assert.equal(again.slots.length, call.slots.length)
      const cuts = verdict.redactions.toReversed()
      const cut = call.slots.map(({ from, to }) => {
        let text = call.text.subarray(from, to)
        for (const { start, end, leaf } of cuts) {
          if (start < from || start >= to) continue
          text = Buffer.concat([text.subarray(0, start - from), Buffer.from(verdict.policy.leaves[leaf].placeholder), text.subarray(end - from)])
        }
        return text.toString()
      })
      assert.deepEqual(
        again.slots.map(({ from, to }) => again.text.toString('utf8', from, to)),
        cut,
      )
    }),
    { numRuns: 300 },
  )
})

test('a finding in a name of a form cannot be cut, and the place is named without saying it', () => {
  const call = read(form({ name: 'note', filename: 'Osprey.txt', content: 'x' }), FORM_TYPE)
  const verdict = compile(1, [rule({ operator: 'contains', value: 'osprey' }, 'REDACT')]).judge(subjectOf(call))
  assert.deepEqual(redact(call, verdict), { cannot: 'headers of file 1' })
})

test('whatever form is taken, another parser that takes it finds the same fields, files and bytes in it', async () => {
  const shards = [
    '\r\n',
    '\n',
    '\r',
    '--',
    `--${BOUNDARY}`,
    `\r\n--${BOUNDARY}`,
    `${BOUNDARY}--`,
    '"',
    ';',
    ' ',
    '\\',
    'x',
    'Content-Disposition: form-data; name="b"',
    'filename="g"',
    '%22',
  ]
  const start = form(
    { name: 'a', content: 'one' },
    { name: 'f', filename: 'f.txt', type: 'text/plain', content: 'two\r\nlines' },
    { name: 'a', content: '' },
  ).toString()
  const edit = fc.record({ at: fc.nat(start.length), taken: fc.nat(3), put: fc.oneof(fc.constant(''), fc.constantFrom(...shards)) })
  let taken = 0
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 2 }), async (edits) => {
      const body = Buffer.from(edits.reduce((text, { at, taken, put }) => text.slice(0, at) + put + text.slice(at + taken), start))
      let ours: ReturnType<typeof splitForm>
      let theirs: FormData
      try {
        ours = splitForm(body, FORM_TYPE)
        theirs = await new Response(body, { headers: { 'content-type': FORM_TYPE } }).formData()
      } catch {
        return
      }
      taken++
      const found = await Promise.all(
        Array.from(theirs, async ([name, value]) => [
          name,
          typeof value === 'string' ? null : value.name,
          typeof value === 'string' ? value : await value.text(),
        ]),
      )
      const plainly = (text: string | null): string | null => text?.replaceAll('%22', '"') ?? null
      assert.deepEqual(
        ours.map(({ name, filename, start, end }) => [plainly(name), plainly(filename), body.toString('utf8', start, end)]),
        found,
      )
    }),
    { numRuns: 1500 },
  )
  assert.ok(taken > 100, 'enough forms were taken to say so')
})
