import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstKeyScopes, furtherKeyScopes, scopes, tenantScopes } from '../../src/access/scopes.ts'

test("a tenant's key can carry every scope but admin", () => {
  assert.deepEqual(
    [...tenantScopes],
    Object.entries(scopes).flatMap(([name, { tenant }]) => (tenant ? [name] : [])),
  )
  assert.equal((tenantScopes as readonly string[]).includes('admin'), false)
})

test("a tenant's first key may call, write rules and read the audit log; further keys may call", () => {
  assert.deepEqual([...firstKeyScopes], ['proxy:write', 'rules:read', 'rules:write', 'audit:read'])
  assert.deepEqual([...furtherKeyScopes], ['proxy:write'])
})
