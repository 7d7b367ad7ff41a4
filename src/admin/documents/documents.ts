/** What tells of the API itself: the document for programs and the page for people. Both are public, and made once. */
import { z } from 'zod'
import type { AdminParts } from '../parts.ts'
import { type Route, route, textRoute } from '../route.ts'
import { described } from './described.ts'
import { type Page, pageOf } from './docs-page.ts'
import { type OpenApi, openApiOf } from './openapi.ts'

export function documentRoutes(resources: readonly Route[], { dialects, version }: Pick<AdminParts, 'dialects' | 'version'>): Route[] {
  let document: OpenApi | undefined
  let page: Page | undefined
  const documented = (): OpenApi => (document ??= openApiOf([...resources, ...routes, ...described], dialects, version))

  const routes: Route[] = [
    route({
      method: 'GET',
      path: '/openapi.json',
      scope: 'public',
      tenant: 'none',
      summary: 'This API as an OpenAPI 3.1 document.',
      answer: z.record(z.string(), z.unknown()),
      run: async () => ({ ...documented() }),
    }),

    textRoute({
      path: '/docs',
      scope: 'public',
      tenant: 'none',
      summary: 'The same as a page to read, which asks nobody else for anything.',
      media: ['text/html'],
      async run() {
        const { html, policy } = (page ??= pageOf(documented()))
        return { contentType: 'text/html; charset=utf-8', headers: { 'content-security-policy': policy, 'referrer-policy': 'no-referrer' }, text: html }
      },
    }),
  ]
  return routes
}
