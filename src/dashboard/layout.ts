/** The frame of every page: what can be gone to, who looks, whose affairs are shown. */
import type { AssetUrls } from './assets.ts'
import { type Content, type Html, html } from './html.ts'
import type { Group, Page, View, Visit } from './page.ts'
import { told as toldNotice } from './parts/notice.ts'

/** htmx without what the policy of our pages forbids, or nobody needs: no style of its own, no history in the browser's store. */
const HTMX = JSON.stringify({ includeIndicatorCSS: false, history: false, defaultTimeout: 15_000, mode: 'same-origin' })
const GROUPS: readonly Group[] = ['Watch', 'Govern', 'Run']
const NAME = 'Earthflow'

const scriptsOf: Readonly<Record<View['scripts'][number], readonly string[]>> = {
  charts: ['uplot.js', 'charts.js'],
  'rule-editor': ['rule-editor.js'],
}

interface Framed {
  view: Pick<View, 'title' | 'body' | 'scripts'>
  assets: AssetUrls
  /** Was done just now. */
  told: string | null
}

/** A page for somebody who is logged in. */
export function pageOf({ view, assets, told }: Framed, visit: Visit, pages: readonly Page[]): Html {
  return documentOf(
    { view, assets },
    html`<a class="skip" href="#main">Skip to the content</a>
    <div class="frame">
      <header class="top">
        <a class="brand" href="${visit.link('/')}">${NAME}</a>
        ${chooser(visit)}
        <div class="who"><a href="${visit.link('/account')}"${visit.path === '/account' ? html` aria-current="page"` : null}>${visit.me.name ?? visit.me.email ?? visit.me.id}</a>
          <span class="quiet">${visit.me.role?.replace('_', ' ') ?? ''}</span>
          <form class="inline" method="post" action="/sign-out"><button class="button quiet-button">Sign out</button></form></div>
      </header>
      <nav class="side" aria-label="Main">${GROUPS.map((group) => navGroup(group, visit, pages))}</nav>
      <main id="main" tabindex="-1">
        <h1>${view.title}</h1>
        ${told === null ? null : toldNotice(told)}
        ${view.body}
      </main>
    </div>`,
  )
}

/** A page for whoever is not logged in. */
export const bareOf = ({ view, assets, told }: Framed): Html =>
  documentOf(
    { view, assets },
    html`<main id="main" class="bare" tabindex="-1">
      <p class="brand">${NAME}</p>
      <h1>${view.title}</h1>
      ${told === null ? null : toldNotice(told)}
      ${view.body}
    </main>`,
  )

const documentOf = ({ view, assets }: Pick<Framed, 'view' | 'assets'>, body: Html): Html =>
  html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="htmx-config" content="${HTMX}">
  <title>${view.title} · ${NAME}</title>
  <link rel="icon" href="${assets.of('icon.svg')}" type="image/svg+xml">
  ${['base.css', 'layout.css', 'parts.css', 'pages.css', 'pages-run.css', ...(view.scripts.includes('charts') ? ['uplot.css'] : [])].map((name) => html`<link rel="stylesheet" href="${assets.of(name)}">`)}
  <script src="${assets.of('htmx.js')}" defer></script>
  ${['dashboard.js', ...view.scripts.flatMap((one) => scriptsOf[one])].map((name) => html`<script src="${assets.of(name)}"${name === 'uplot.js' ? html` defer` : html` type="module"`}></script>`)}
</head>
<body>
${body}
</body>
</html>
`

function navGroup(group: Group, visit: Visit, pages: readonly Page[]): Content {
  const shown = pages.filter(({ nav }) => nav?.group === group && visit.may(nav.scope))
  if (shown.length === 0) return null
  return html`<h2 id="nav-${group}">${group}</h2>
    <ul aria-labelledby="nav-${group}">${shown.map(({ path, nav }) => html`<li><a href="${visit.link(path)}"${isWithin(visit.path, path) ? html` aria-current="page"` : null}>${nav?.label}</a></li>`)}</ul>`
}

const isWithin = (here: string, path: string): boolean => here === path || (path !== '/' && here.startsWith(`${path}/`))

/** Only for people of the whole installation, who see every tenant. */
function chooser({ me, tenants, tenantId, path }: Visit): Content {
  if (me.tenant_id !== null || tenants.length === 0) return null
  // Of more than there is room for, whoever is shown is among them.
  const all =
    tenantId === null || tenants.some(({ tenant_id }) => tenant_id === tenantId) ? tenants : [...tenants, { tenant_id: tenantId, name: tenantId, active: true }]
  return html`<form class="chooser" method="get" action="${path}" data-chooser>
    <label for="tenant">Tenant</label>
    <select id="tenant" name="tenant_id"><option value="">All tenants</option>${all.map((one) => html`<option value="${one.tenant_id}"${one.tenant_id === tenantId ? html` selected` : null}>${one.name}${one.active ? '' : ' (closed)'}</option>`)}</select>
    <button class="button" data-chooser-button>Show</button>
  </form>`
}
