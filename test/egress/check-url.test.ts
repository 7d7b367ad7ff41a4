import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { EgressRefused } from '../../src/egress/check-url.ts'
import { createEgress } from '../../src/egress/dispatcher.ts'

const egress = createEgress({
  allow: parseEgressAllow('models.internal,redis.internal:6379'),
  lookup: async (host) => {
    const addresses: Record<string, string[]> = {
      'api.example.com': ['93.184.216.34', '2606:4700::1111'],
      'models.internal': ['10.0.0.7'],
      'redis.internal': ['10.0.0.8'],
      'metadata.internal': ['169.254.169.254'],
    }
    if (addresses[host]) return addresses[host]
    throw new Error('queryA ENOTFOUND secret-resolver.internal')
  },
})

const refusal = async (url: string, https: 'required' | 'optional' = 'optional'): Promise<string> => {
  try {
    await egress.check(url, { https })
  } catch (error) {
    assert.ok(error instanceof EgressRefused, String(error))
    return error.message
  }
  return 'accepted'
}

test('what an SDK would be given as a base URL is accepted', async () => {
  for (const url of [
    'https://api.example.com',
    'https://api.example.com/v1/',
    'HTTPS://API.Example.COM./v1?api-version=1',
    'https://api.example.com:8443/openai',
    'http://models.internal:11434/v1',
    'http://redis.internal:6379',
    'https://8.8.8.8',
    'https://[2606:4700::1111]:443/',
  ]) {
    assert.equal(await refusal(url), 'accepted', url)
  }
})

test('URLs that parsers read differently, or that carry more than a place, are refused with the reason', async () => {
  const table: [RegExp, string[]][] = [
    [
      /must begin with https:\/\/ or/,
      [
        '',
        'api.example.com',
        '//api.example.com',
        'ftp://api.example.com',
        'file:///etc/passwd',
        'https:api.example.com',
        'https:/api.example.com',
        'javascript:alert(1)',
      ],
    ],
    [
      /user name or password/,
      ['https://user@api.example.com', 'https://user:password@api.example.com', 'https://@api.example.com', 'https://8.8.8.8@127.0.0.1'],
    ],
    [/fragment/, ['https://api.example.com/#', 'https://api.example.com#@127.0.0.1']],
    [
      /spaces, control characters or backslashes/,
      [
        'https://api.example.com\\@127.0.0.1',
        'https://api.exa\tmple.com',
        'https://api.example.com/\r\nx',
        ' https://api.example.com',
        'https://api.example.com/a b',
        'https:\\\\api.example.com',
        'https://api.example.com/\u0000',
        'https://api.example.com/\u2028',
      ],
    ],
    [/plain ASCII/, ['https://аpi.example.com', 'https://①②⑦.⓪.⓪.①', 'https://127%2e0.0.1', 'https://api.example%2ecom', 'https://api。example.com']],
    [
      /no valid host or port/,
      [
        'https://',
        'https:///v1',
        'https://:443',
        'https://?x',
        'https://.',
        'https://a..b',
        'https://-a.example',
        'https://api.example.com:0',
        'https://api.example.com:99999',
        'https://api.example.com:x',
        'https://[::1',
        'https://1.2.3.4.5',
        'https://a.0x7f',
        `https://${'a'.repeat(64)}.example`,
      ],
    ],
    [
      /^Port \d+ is not one/,
      [21, 22, 23, 25, 53, 445, 465, 587, 1023, 2375, 3306, 5432, 6379, 9200, 10250, 11211, 27017].map((port) => `https://api.example.com:${port}`),
    ],
    [/^Port 6379 is not one/, ['http://models.internal:6379', 'https://unknown.example:6379']],
    [
      /not an address on the internet/,
      [
        'https://10.0.0.1',
        'https://169.254.169.254/latest/meta-data',
        'https://metadata.internal',
        'https://[fd00:ec2::254]',
        'https://localhost',
        'https://LOCALHOST.',
        'https://[::ffff:10.0.0.1]',
        'https://0xa.1',
      ],
    ],
    [/at most 2048 characters/, [`https://api.example.com/${'a'.repeat(2048)}`]],
  ]
  for (const [reason, urls] of table) for (const url of urls) assert.match(await refusal(url), reason, JSON.stringify(url.slice(0, 100)))
})

test('where TLS is required, http is refused', async () => {
  assert.match(await refusal('http://api.example.com', 'required'), /must begin with https:\/\/\.$/)
  assert.equal(await refusal('https://api.example.com', 'required'), 'accepted')
})

test('neither a refusal nor a warning says what the resolver answered', async () => {
  assert.equal(await refusal('https://metadata.internal'), 'metadata.internal is not an address on the internet, and EGRESS_ALLOW does not open it.')
  const { warning } = await egress.check('https://nowhere.example', { https: 'required' })
  assert.equal(warning, 'The name nowhere.example could not be resolved now.')
})
