/** A real browser that looks at the dashboard, and remembers whatever it should not have to complain of. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { findChromium } from '../services/chromium.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
]
const WAIT_MS = 30_000

export interface Looks {
  scheme: 'light' | 'dark'
  width: 'wide' | 'narrow'
}
export const everyLook: readonly Looks[] = (['light', 'dark'] as const).flatMap((scheme) => (['wide', 'narrow'] as const).map((width) => ({ scheme, width })))
const sizes = { wide: { width: 1_280, height: 900 }, narrow: { width: 360, height: 780 } } as const

export interface Watched {
  page: Page
  context: BrowserContext
  /** Errors of scripts, of the policy and of the network, and requests to anywhere but the dashboard. */
  complaints: string[]
}

/** Throws where no browser can be had on this machine. */
export async function openBrowser(origin: string) {
  const { path, env, from } = await findChromium()
  const browser = await chromium.launch({ executablePath: path, env: env as Record<string, string>, args: ARGUMENTS, timeout: WAIT_MS })
  return {
    about: `Chromium ${browser.version()} from ${from}`,
    async look({ scheme, width }: Looks): Promise<Watched> {
      const context = await browser.newContext({
        baseURL: origin,
        colorScheme: scheme,
        viewport: sizes[width],
        locale: 'en-GB',
        timezoneId: 'America/New_York',
        ignoreHTTPSErrors: true,
      })
      context.setDefaultTimeout(WAIT_MS)
      const complaints: string[] = []
      const page = await context.newPage()
      page.on('request', (request) => {
        const url = request.url()
        if (!url.startsWith(`${origin}/`) && !url.startsWith('data:')) complaints.push(`asked ${url}`)
      })
      page.on('pageerror', (error) => complaints.push(`failed: ${error.message}`))
      page.on('console', (message) => {
        // What the API refuses is a page with its status, which a browser notes as well.
        if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) complaints.push(`said: ${message.text()} (${page.url()})`)
      })
      return { page, context, complaints }
    },
    close: () => browser.close(),
  }
}

export async function signIn(page: Page, { email, password }: { email: string; password: string }, origin = ''): Promise<void> {
  await page.goto(`${origin}/sign-in`)
  await page.getByLabel('E-mail address').fill(email)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
}

interface Found {
  id: string
  impact: string | null
  nodes: { target: unknown[]; failureSummary?: string }[]
}

/** What axe finds on the page that is serious or critical, a line each. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  const { violations } = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as { violations: Found[] }
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary = '' }) => `${id}: ${target.join(' ')} (${failureSummary.split('\n').slice(1).join(' ').trim()})`),
    )
}

/** What sticks out of the page to the right, so that all of it would scroll sideways. */
export const overflow = (page: Page): Promise<number> => page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
