/**
 * Paths by which a provider hands out credentials of its own, or lets its account be administered. With what they answer, calls would go around every
 * rule, limit and record; so the organisation's stored credential is not lent to them.
 */
const ACCOUNT =
  /^\/(?:v1|v1beta1?|v1alpha|openai(?:\/v1)?)\/(?:organizations?|projects(?!\/[^/]+\/locations\/)|realtime|live|chatkit\/sessions|webhook_endpoints|auth_tokens)(?:\/|$)/i

export const isAccountPath = (path: string): boolean => ACCOUNT.test(path)
