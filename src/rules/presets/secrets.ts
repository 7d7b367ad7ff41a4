/** Keys and passwords: whoever reads them is let in, so no provider may. */
import { secretShapes } from '../detectors/secret-shapes.ts'
import { exactPattern, type PresetEntry, pattern } from './preset-rule.ts'

const CWE_798 = 'CWE-798 (hard-coded credentials); OWASP LLM02:2025 (sensitive information disclosure)'
const CWE_522 = 'CWE-522 (insufficiently protected credentials); OWASP LLM02:2025'
const ISO_27001 = 'ISO/IEC 27001:2022 A.5.17 (authentication information); CWE-321 (hard-coded cryptographic key)'

const shape = (name: keyof typeof secretShapes) => exactPattern(`\\b${secretShapes[name]}`)

// Every prefix is documented by its provider. Examples are put together from parts, so that no scanner takes this file for a leak.
const letters = 'Abcdefghijklmnopqrstuvwxyz0123456789'
const hex = '0123456789abcdef'

export const secrets: readonly PresetEntry[] = [
  {
    name: 'AWS access key',
    purpose: 'Access key ids of Amazon Web Services, long-lived (AKIA) and temporary (ASIA).',
    article: CWE_798,
    condition: shape('aws'),
    action: 'BLOCK',
    match: ['AKIA' + 'IOSFODNN7EXAMPLE', `key=${'AKIA'}ABCDEFGHIJ234567;`, `export AWS_ACCESS_KEY_ID=${'ASIA'}ABCDEFGHIJ234567`],
    pass: ['AKIA is the prefix of AWS keys', 'akiaiosfodnn7example', 'XAKIAIOSFODNN7EXAMPLEX'],
  },
  {
    name: 'AWS secret key',
    purpose: 'Secret access keys of Amazon Web Services, which only their name tells from other random text.',
    article: CWE_798,
    condition: pattern('\\baws_?secret_?(?:access_?)?key["\'\\s]{0,3}[:=]["\'\\s]{0,3}[0-9A-Za-z/+]{40}\\b'),
    action: 'BLOCK',
    match: [`AWS_SECRET_ACCESS_KEY=${letters}abcd`, `aws_secret_access_key = "${letters}/+aB"`, `awsSecretAccessKey: '${letters}ABCD'`],
    pass: ['AWS_SECRET_ACCESS_KEY=$SECRET', 'aws_secret_access_key = "changeme"', `commit ${hex}${hex}01234567`],
  },
  {
    name: 'GitHub or GitLab token',
    purpose: 'Tokens of GitHub (personal, OAuth, app, refresh, fine-grained) and GitLab.',
    article: CWE_798,
    condition: shape('github'),
    action: 'BLOCK',
    match: [
      `ghp_${letters}`,
      `token: gho_${letters}.`,
      `github_pat_${letters.slice(0, 22)}_${(letters + letters).slice(0, 59)}`,
      `glpat-${letters.slice(0, 20)}`,
    ],
    pass: ['ghp_ is the prefix of a token', 'ghp_tooshort', 'see github_pat_EXAMPLE', 'glpat-yourtoken'],
  },
  {
    name: 'OpenAI key',
    purpose: 'API keys of OpenAI: classic, project, service account and admin.',
    article: CWE_798,
    condition: shape('openai'),
    action: 'BLOCK',
    match: [`sk-proj-${letters}${letters}`, `OPENAI_API_KEY=sk-${letters}${letters.slice(0, 12)}`, `"sk-svcacct-${letters}_${letters}"`],
    pass: ['sk-proj-short', 'the task-proj-manager package', 'a risk-free offer'],
  },
  {
    name: 'Anthropic key',
    purpose: 'API and admin keys of Anthropic.',
    article: CWE_798,
    condition: shape('anthropic'),
    action: 'BLOCK',
    match: [`sk-ant-api03-${letters}${letters}`, `x-api-key: sk-ant-admin01-${letters}-${letters}`, `(sk-ant-api03-${letters}_${letters})`],
    pass: ['sk-ant-api03-', 'sk-ant is a prefix', 'desk-ant-farm'],
  },
  {
    name: 'Google key',
    purpose: 'API keys, OAuth client secrets and access tokens of Google.',
    article: CWE_798,
    condition: shape('google'),
    action: 'BLOCK',
    match: [
      `AIza${letters.slice(0, 35)}`,
      `https://maps.example/api?key=AIza${letters.slice(1)}&x=1`,
      `GOCSPX-${letters.slice(0, 28)}`,
      `Bearer ya29.${letters}`,
    ],
    pass: ['AIza is how Google keys begin', 'AIzaTooShort', 'GOCSPX-secret', 'version ya29.1'],
  },
  {
    name: 'Slack token',
    purpose: 'Bot, user, app and refresh tokens of Slack, and addresses of its incoming webhooks.',
    article: CWE_798,
    condition: shape('slack'),
    action: 'BLOCK',
    match: [
      `xoxb-${'123456789012'}-${letters}`,
      `SLACK=xoxp-${'1234567890'}-${letters}`,
      `xapp-1-${letters}`,
      `https://hooks.slack.com/services/${'T01234567'}/${'B01234567'}/${letters.slice(0, 24)}`,
    ],
    pass: ['xoxb-short', 'hugs and kisses xoxo-xoxo', 'the xapp-config file', 'https://hooks.slack.com/services/T000/B000/XXXX'],
  },
  {
    name: 'Stripe key',
    purpose: 'Secret, restricted and webhook keys of Stripe; publishable keys (pk_) are made to be seen.',
    article: `PCI DSS 4.0 8.6.2 (no credentials in scripts or files); ${CWE_798}`,
    condition: shape('stripe'),
    action: 'BLOCK',
    match: [`sk_${'live'}_${letters.slice(0, 24)}`, `rk_${'test'}_${letters.slice(0, 24)}`, `STRIPE_WEBHOOK=whsec_${letters}`],
    pass: [`pk_live_${letters.slice(0, 24)}`, 'sk_live_...', 'task_test_runner_configuration', 'whsec_ is a prefix'],
  },
  {
    name: 'Key of another service',
    purpose: 'Tokens of npm, PyPI, Hugging Face, SendGrid, DigitalOcean, Shopify, and Azure storage account keys.',
    article: CWE_798,
    condition: shape('services'),
    action: 'BLOCK',
    match: [
      `npm_${letters}`,
      `hf_${'abcdefghijABCDEFGHIJabcdefghijABCD'}`,
      `SG.${letters.slice(0, 22)}.${letters}${letters.slice(0, 7)}`,
      `dop_v1_${hex}${hex}${hex}${hex}`,
      `shpat_${hex}${hex}`,
      `AccountName=x;AccountKey=${letters}${letters}${letters.slice(0, 14)}==`,
    ],
    pass: ['npm_config_registry', 'hf_transfer is a package', 'SG.1234.5678', 'AccountKey=<key>', `dop_v1_${hex}`],
  },
  {
    name: 'Private key',
    purpose: 'Private keys in PEM, of any kind.',
    article: ISO_27001,
    condition: exactPattern('-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----'),
    action: 'BLOCK',
    match: ['-----BEGIN PRIVATE' + ' KEY-----\nMIIE', '-----BEGIN RSA PRIVATE' + ' KEY-----', 'x -----BEGIN PGP PRIVATE' + ' KEY BLOCK----- y'],
    pass: ['-----BEGIN PUBLIC KEY-----', '-----BEGIN CERTIFICATE-----', 'how do I begin with a private key?'],
  },
  {
    name: 'JSON web token',
    purpose: 'Signed tokens (RFC 7519), by their header and payload; whoever has one is taken for its owner while it lasts.',
    article: CWE_522,
    condition: shape('jwt'),
    action: 'BLOCK',
    match: [
      `eyJhbGciOiJIUzI1NiJ9.${'eyJzdWIiOiIxMjM0In0'}.${letters}`,
      `Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.${'eyJpc3MiOiJ4In0x'}.${letters}_-${letters}`,
      `"id_token":"eyJ0eXAiOiJKV1QifQ.${'eyJhdWQiOiJhIn0x'}.sig"`,
    ],
    pass: ['eyJhbGciOiJIUzI1NiJ9 is a header alone', 'a JWT looks like eyJ….eyJ….sig', `data:application/json;base64,eyJhIjoxfQ.${letters}`],
  },
  {
    name: 'Connection string with a password',
    purpose: 'Addresses of databases, brokers and servers that carry a password with a digit or !; placeholders such as $PASSWORD and plain words pass.',
    article: `${CWE_522}; ISO/IEC 27001:2022 A.5.17`,
    condition: shape('connection'),
    action: 'BLOCK',
    match: [
      `postgres://app:${'s3cretpw'}@db.example.com:5432/app`,
      `MONGO=mongodb+srv://root:${'hunter2'}@cluster0.example.net/?w=majority`,
      `git clone https://bot:${'t0ken'}@git.example.com/x.git`,
      `redis://:${'p4ss'}@cache:6379/0`,
    ],
    pass: [
      'postgres://user:password@localhost/db',
      'postgres://app:$DB_PASSWORD_1@db/app',
      'https://example.com:8443/@scope/package',
      'redis://cache:6379/0',
      'mysql://root:<password1>@db',
    ],
  },
  {
    name: 'Earthflow key',
    purpose: 'Keys of this proxy.',
    article: CWE_798,
    condition: shape('earthflow'),
    action: 'BLOCK',
    match: [`ef_live_${letters}`, `Authorization: Bearer ef_test_${letters}`, `"ef_live_${letters.slice(0, 8)}_${letters}"`],
    pass: ['ef_live_', 'ef_live_abcd1234', 'a brief_live_demonstration'],
  },
]
