import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOfOnePiece, ShortBody } from '../../src/pipeline/short-body.ts'

const pass = (body: ShortBody, text: string): string | undefined => body.pass(Buffer.from(text))?.toString()

test('of one piece is what says that it is JSON; what says nothing, lines, and items one after the other are not', () => {
  const types = ['application/json', 'Application/JSON ; charset=utf-8', 'application/problem+json']
  for (const type of types) assert.ok(isOfOnePiece(['content-type', type]), type)
  const others = ['application/stream+json', 'application/x-ndjson', 'text/plain', 'text/event-stream', 'audio/mpeg', '']
  for (const type of others) assert.ok(!isOfOnePiece(['content-type', type]), type)
  assert.ok(!isOfOnePiece(['x-content-type', 'application/json']))
})

test('a short body is held to its end, and comes whole and in order', () => {
  const body = new ShortBody()
  for (const piece of ['{"a":', ' ', '1', '\n', '}']) assert.equal(pass(body, piece), undefined)
  assert.equal(body.end()?.toString(), '{"a": 1\n}')
  assert.equal(body.end(), undefined)
  assert.equal(new ShortBody().end(), undefined)
  assert.equal(body.isBetweenEvents, false)
})

test('blank pieces before a body pass at once, for they say that it is still to come; blank pieces in it are parts of it', () => {
  const body = new ShortBody()
  assert.deepEqual([pass(body, '\n'), pass(body, ' \r\n')], ['\n', ' \r\n'])
  assert.deepEqual([pass(body, '{'), pass(body, '\n')], [undefined, undefined])
  assert.equal(body.end()?.toString(), '{\n')
})

test('64 KiB are held; with one byte more all of it goes, in order, and whatever follows goes as it comes', () => {
  const body = new ShortBody()
  assert.equal(pass(body, 'a'.repeat(1 << 10)), undefined)
  assert.equal(pass(body, 'b'.repeat(63 << 10)), undefined)
  assert.equal(pass(body, 'c'), `${'a'.repeat(1 << 10)}${'b'.repeat(63 << 10)}c`)
  assert.equal(pass(body, 'd'), 'd')
  assert.equal(body.end(), undefined)
})
