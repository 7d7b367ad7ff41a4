/** Not what a password has, but what stands for one: $NAME, {{name}}, <name>, ***. */
const NO_PASSWORD = '\\s:/@"\'<>{}$*?#`\\\\|()\\[\\]'
/** Up to the first digit, without which words such as "password" would be taken for one. */
const PASSWORD = `[^${NO_PASSWORD}\\d!]`
const PASSWORD_ON = `[^${NO_PASSWORD}]`

/**
 * What the keys of services look like, as their providers document it. RE2 and JavaScript both read these; what stands before a key must be no part of
 * a word, which each of their readers sees to.
 */
export const secretShapes = {
  aws: '(?:AKIA|ASIA)[0-9A-Z]{16}\\b',
  github: '(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}|glpat-[\\w-]{20})\\b',
  openai: 'sk-(?:(?:proj|svcacct|admin|None)-[\\w-]{40,}|[0-9A-Za-z]{48}\\b|[0-9A-Za-z]{20}T3BlbkFJ[0-9A-Za-z]{20}\\b)',
  anthropic: 'sk-ant-[a-z]+\\d{2}-[\\w-]{40,}',
  google: '(?:AIza[\\w-]{35}\\b|GOCSPX-[\\w-]{28}\\b|ya29\\.[\\w-]{30,})',
  slack: '(?:xox[abeprs]-[0-9A-Za-z-]{20,}|xapp-\\d-[0-9A-Za-z-]{20,}|hooks\\.slack\\.com/services/T\\w{8,}/B\\w{8,}/\\w{20,})',
  stripe: '(?:[rs]k_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z+/]{32,})',
  services:
    '(?:npm_[0-9A-Za-z]{36}\\b|pypi-AgE[\\w-]{50,}|hf_[A-Za-z]{34}\\b|SG\\.[\\w-]{22}\\.[\\w-]{43}|do[op]_v1_[0-9a-f]{64}\\b|shp(?:at|ca|pa|ss)_[0-9a-f]{32}\\b|AccountKey=[0-9A-Za-z+/]{86}==)',
  jwt: 'eyJ[\\w-]{10,}\\.eyJ[\\w-]{10,}(?:\\.[\\w-]+)?',
  connection: `(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\\+srv)?|rediss?|amqps?|mssql|sqlserver|ftps?|https?)://[\\w.%+-]*:${PASSWORD}*[\\d!]${PASSWORD_ON}*@[\\w.-]+`,
  earthflow: 'ef_(?:live|test)_[0-9A-Za-z_]{16,}',
} as const
