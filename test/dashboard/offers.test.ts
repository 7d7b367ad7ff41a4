/** What one may not do is not offered: every page with a form is asked for by those who may not send it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useDashboard } from './dashboard-people.ts'

const dashboard = useDashboard()

test('a page with a form is shown to those who may send it, and says to all others which scope it needs', async () => {
  const { api } = dashboard
  const { id, key } = await api.createTenant({ rules_preset: null })
  const agent = (await api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'a' } })).json
  await api.ask('POST', '/v1/upstreams', { body: { name: 'up', dialects: ['openai-chat'], base_url: 'https://api.openai.com/v1' } })
  const webhook = (await api.ask('POST', '/v1/webhooks', { body: { url: 'https://api.example.com/hook' } })).json
  const somebody = await api.person('viewer')
  const forms: readonly (readonly [path: string, scope: string])[] = [
    ['/agents/new', 'agents:write'],
    [`/agents/${agent.id}/edit`, 'agents:write'],
    ['/budgets/new', 'budgets:write'],
    ['/tenants/new', 'tenants:write'],
    [`/tenants/${id}/edit`, 'tenants:write'],
    [`/tenants/${id}/close`, 'tenants:write'],
    [`/tenants/${id}/keys/new`, 'keys:write'],
    [`/tenants/${id}/keys/${key.slice(0, 16)}`, 'keys:write'],
    [`/tenants/${id}/keys/rotate`, 'ops:write'],
    ['/upstreams/new', 'upstreams:write'],
    ['/upstreams/at/up/edit', 'upstreams:write'],
    ['/webhooks/new', 'webhooks:write'],
    [`/webhooks/${webhook.id}/edit`, 'webhooks:write'],
    ['/users/new', 'users:write'],
    [`/users/${somebody.id}/edit`, 'users:write'],
    ['/checkpoints/erase', 'audit:erase'],
  ]
  const auditor = await dashboard.signedIn('auditor')
  const owner = await dashboard.signedIn('owner')
  for (const [path, scope] of forms) {
    const { status, text } = await auditor.get(path)
    assert.equal(status, 403, path)
    assert.ok(text.includes(`This needs the scope ${scope}.`), path)
    assert.doesNotMatch(text, /<form class="form"/, path)
    const shown = await owner.get(path)
    assert.equal(shown.status, 200, path)
    assert.match(shown.text, /<form class="form"/, path)
  }
})
