/** The management API with people who log in, and a clock that stands still until it is told. */
import assert from 'node:assert/strict'
import { hash, randomBytes } from 'node:crypto'
import type { Oidc } from '../../src/access/oidc.ts'
import type { Passwords } from '../../src/access/passwords.ts'
import { createPeople } from '../../src/access/people.ts'
import type { Role } from '../../src/access/roles.ts'
import type { AdminParts } from '../../src/admin/parts.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import type { Db } from '../../src/db/connect.ts'
import type { TestDatabase } from '../db/engines.ts'
import { type Answer, type Management, manage, NOW } from './management.ts'

export const PASSWORD = 'four words nobody says'

export interface PeopleManagement extends Management {
  clock: { now: number }
  /** Statements that were sent through what the routes and lookups were given, and passwords that were computed. */
  state: { statements: number; computed: number }
  /** Why logins failed. */
  failed: string[]
  /** Somebody new, with PASSWORD. */
  person(role: Role, tenantId?: string | null): Promise<{ id: string; email: string }>
  login(email: string, password?: string, address?: string): Promise<Answer>
  /** A token of somebody new. */
  tokenOf(role: Role, tenantId?: string | null): Promise<{ id: string; email: string; token: string }>
}

export function managePeople(
  database: TestDatabase,
  { oidc = null, more = {} }: { oidc?: Pick<Oidc, 'find' | 'forget'> | null; more?: Partial<AdminParts> } = {},
): PeopleManagement {
  const clock = { now: NOW }
  const now = (): number => clock.now
  const state = { statements: 0, computed: 0 }
  const db = new Proxy(database.db, {
    get(target, name, receiver) {
      if (['select', 'insert', 'update', 'delete', 'execute', 'transaction'].includes(String(name))) state.statements++
      return Reflect.get(target, name, receiver)
    },
  }) as Db
  // The same keys as those of `manage`, and every question to the database counted.
  const keyring = createKeyring(db, [Buffer.alloc(32, 7)])
  const people = createPeople({ db, keyring, oidc, now })
  const failed: string[] = []
  /** As much work as the real ones, and none of the time. */
  const passwords: Passwords = {
    hash: async (password) => hash('sha256', password),
    async verify(password, stored) {
      state.computed++
      return hash('sha256', password) === stored
    },
  }
  const api = manage(database, {
    db,
    now,
    people,
    more: { passwords, loginFailed: (why) => void failed.push(why), ...more },
    hear(changed) {
      for (const { kind, tenantId } of changed) if (kind === 'users' || kind === 'tenants') people.forget(tenantId)
    },
  })

  const login = (email: string, password = PASSWORD, address = '203.0.113.7'): Promise<Answer> =>
    api.ask('POST', '/v1/auth/login', { key: null, body: { email, password }, peer: { address, certificate: null } })
  const person = async (role: Role, tenantId: string | null = null): Promise<{ id: string; email: string }> => {
    const email = `${role}-${randomBytes(5).toString('hex')}@example.com`
    const { status, json } = await api.ask('POST', '/v1/users', { body: { email, role, password: PASSWORD }, ...(tenantId !== null && { tenant: tenantId }) })
    assert.equal(status, 201, JSON.stringify(json))
    return { id: json.id, email }
  }

  return {
    ...api,
    clock,
    state,
    failed,
    person,
    login,
    async tokenOf(role, tenantId = null) {
      const made = await person(role, tenantId)
      const { status, json } = await login(made.email, PASSWORD, `2001:db8:${randomBytes(2).toString('hex')}::1`)
      assert.equal(status, 200, JSON.stringify(json))
      return { ...made, token: json.token }
    },
  }
}
