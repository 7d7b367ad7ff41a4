import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collector, collectorHeaders } from '../../src/setting-values.ts'

test('the collector is told by its base URL, which may have a path and holds no credentials', () => {
  assert.equal(collector('http://collector:4318'), 'http://collector:4318/v1/traces')
  assert.equal(collector('https://otel.example/otlp/'), 'https://otel.example/otlp/v1/traces')
  for (const wrong of ['collector:4318', 'grpc://collector:4317', 'http://', 'x']) assert.throws(() => collector(wrong), /must be a URL that begins with/)
  for (const wrong of ['https://user:pass@otel.example', 'https://otel.example/?key=1', 'https://otel.example/#a'])
    assert.throws(() => collector(wrong), /OTEL_EXPORTER_OTLP_HEADERS/)
})

test('its headers are read as OpenTelemetry writes them, and a wrong one is not quoted', () => {
  assert.deepEqual(collectorHeaders('X-Api-Key=secret, authorization=Bearer%20a%2Cb='), ['x-api-key', 'secret', 'authorization', 'Bearer a,b='])
  for (const wrong of ['secret', '=secret', 'a b=secret', 'x=%zz', 'x=a%0d%0aevil: secret', 'x=%00'])
    assert.throws(
      () => collectorHeaders(wrong),
      ({ message }: Error) => message.startsWith('must') && !message.includes('evil') && !/: secret/.test(message),
    )
})
