import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { settings } from '../../src/settings.ts'

const folder = join(import.meta.dirname, '..', '..', 'scripts', 'nginx')

for (const file of ['earthflow.conf', 'compose.conf']) {
  const text = readFileSync(join(folder, file), 'utf8').replaceAll(/#.*$/gm, '')
  /** The values of a directive, wherever it stands. */
  const all = (name: string): string[] => [...text.matchAll(new RegExp(`^\\s*${name}\\s+([^;{]+);`, 'gm'))].map(([, value]) => value!.trim())
  const secondsOf = (name: string): number[] => all(name).map((value) => Number(/^(\d+)s$/.exec(value)?.[1]))

  test(`${file}: no log holds a query or a header, for a key may stand there`, () => {
    const formats = all('log_format')
    assert.equal(formats.length, 1)
    for (const variable of formats[0]!.match(/\$\w+/g) ?? []) assert.doesNotMatch(variable, /^\$(?:request|args|query_string|request_uri|http_\w+|arg_\w+)$/)
    for (const log of all('access_log')) assert.match(log, /^(?:off|\S+ earthflow)$/)
    for (const log of all('error_log')) assert.match(log, / crit$/)
    assert.ok(all('error_log').length > 0)
  })

  test(`${file}: streams pass as they come, bodies too, and no call is sent twice`, () => {
    for (const name of ['proxy_buffering', 'proxy_request_buffering', 'proxy_next_upstream', 'gzip']) assert.deepEqual(all(name), ['off'], name)
    assert.deepEqual(all('proxy_http_version'), ['1.1'])
    for (const to of all('proxy_pass')) assert.match(to, /^http:\/\/[$\w]+$/, 'without a path, so that the request goes on as it came')
  })

  test(`${file}: it waits longer than Earthflow does, and lets bodies pass that Earthflow takes`, () => {
    for (const seconds of [...secondsOf('proxy_read_timeout'), ...secondsOf('proxy_send_timeout')])
      assert.ok(seconds > Number(settings.UPSTREAM_FIRST_BYTE_SECONDS.default))
    assert.equal(secondsOf('proxy_read_timeout').length, 1)
    assert.ok(Number(/^(\d+)m$/.exec(all('client_max_body_size')[0] ?? '')?.[1]) > Number(settings.EARTHFLOW_MAX_BODY_MB.default))
  })

  test(`${file}: who the client is, is what nginx sees, not what the client says`, () => {
    assert.ok(all('proxy_set_header').includes('X-Forwarded-For $remote_addr'))
    assert.ok(all('ssl_protocols').every((value) => value === 'TLSv1.2 TLSv1.3'))
  })
}
