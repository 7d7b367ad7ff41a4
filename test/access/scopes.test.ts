import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstKeyScopes, furtherKeyScopes, scopes, tenantScopes } from '../../src/access/scopes.ts'

test("a tenant's key can carry what concerns calls and its tenant's rules, log and webhooks, and nothing that administers", () => {
  assert.deepEqual(
    [...tenantScopes],
    ['proxy:write', 'sessions:read', 'sessions:write', 'rules:read', 'rules:write', 'stats:read', 'audit:read', 'webhooks:read', 'webhooks:write'],
  )
  for (const scope of tenantScopes) assert.equal(scopes[scope].reach, 'tenant', scope)
})

test("a tenant's first key may call, write rules and read the audit log; further keys may call", () => {
  assert.deepEqual([...firstKeyScopes], ['proxy:write', 'rules:read', 'rules:write', 'audit:read'])
  assert.deepEqual([...furtherKeyScopes], ['proxy:write'])
})
