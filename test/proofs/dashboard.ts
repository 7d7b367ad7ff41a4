import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { everyLook, openBrowser, overflow, seriousFaults, signIn } from '../dashboard/browser.ts'
import { openScene } from '../dashboard/scene.ts'
import { findChromium } from '../services/chromium.ts'

export const about =
  'every page of the dashboard in a real browser, light and dark, wide and narrow: a picture of each (in SCREENSHOTS, else a temporary folder), nothing serious found by axe, no request to anybody else, no breach of the policy'

export default async function prove({ short, say }: ProofContext): Promise<void> {
  const missing = await findChromium().then(
    () => null,
    (error: unknown) => String(error),
  )
  if (missing !== null) return say(`no browser can be had on this machine: nothing was shown (${missing})`)
  const folder = process.env.SCREENSHOTS ?? mkdtempSync(join(tmpdir(), 'earthflow-screenshots-'))
  mkdirSync(folder, { recursive: true })
  const scene = await openScene()
  try {
    const browser = await openBrowser(scene.dashboard)
    say(`${browser.about}; pictures in ${folder}`)
    let pictures = 0
    const faults: string[] = []
    for (const look of short ? everyLook.slice(0, 2) : everyLook) {
      const { page, complaints, context } = await browser.look(look)
      const keep = async (name: string): Promise<void> => {
        await page.screenshot({ path: join(folder, `${name}-${look.scheme}-${look.width}.png`), fullPage: true })
        pictures++
        faults.push(...(await seriousFaults(page)).map((fault) => `${name} ${look.scheme} ${look.width}: ${fault}`))
        if ((await overflow(page)) > 0) faults.push(`${name} ${look.scheme} ${look.width}: sticks out`)
      }
      await page.goto('/sign-in')
      await keep('sign-in')
      await signIn(page, scene.owner)
      for (const path of scene.paths) {
        await page.goto(path)
        await keep(nameOf(path, scene.paths.indexOf(path)))
      }
      await context.close()
      faults.push(...complaints)
    }
    await scene.fill()
    const { page, context } = await browser.look({ scheme: 'light', width: 'wide' })
    await signIn(page, scene.owner)
    await page.goto('/')
    await page.screenshot({ path: join(folder, 'for-the-readme.png'), clip: { x: 0, y: 0, width: 1_280, height: 1_120 }, fullPage: true })
    await context.close()
    await browser.close()
    say(`${pictures} pictures, ${faults.length} faults`)
    assert.deepEqual(faults, [])
  } finally {
    await scene.close()
  }
}

/** `07-rules-versions` for `/rules/versions?…`; ids are left out. */
const nameOf = (path: string, index: number): string =>
  `${String(index).padStart(2, '0')}-${
    path
      .split('?')[0]!
      .split('/')
      .filter((word) => word !== '')
      .map((word) => (/_[0-9a-z]{20}/.test(word) ? 'one' : word))
      .join('-') || 'overview'
  }`
