/** A browser for tests: the machine's Chromium, else Debian's headless one, unpacked into the cache folder. */
import { accessSync, constants, globSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './cache-folder.ts'
import { unpackPackage } from './debian.ts'

export interface Browser {
  path: string
  env: NodeJS.ProcessEnv
  /** `the machine` or `a Debian package`. */
  from: string
}

const INSTALLED = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const PACKAGE = 'chromium-headless-shell'
/** A page is unreadable without letters. */
const FONTS = 'fonts-dejavu-core'

/** Throws where there is none on the machine and none can be had. */
export async function findChromium(): Promise<Browser> {
  const installed = INSTALLED.find(isProgram)
  if (installed !== undefined) return { path: installed, env: process.env, from: 'the machine' }
  const { root, env } = await unpackPackage(PACKAGE, [PACKAGE, 'chromium-common', FONTS])
  const [program] = globSync('usr/lib/chromium/{chrome-headless-shell,headless_shell,chromium-headless-shell}', { cwd: root })
  if (program === undefined) throw new Error(`${PACKAGE} holds no browser`)
  const settings = join(cacheFolder(), 'fonts')
  mkdirSync(settings, { recursive: true })
  const fonts = join(settings, 'fonts.conf')
  writeFileSync(
    fonts,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>${join(root, 'usr/share/fonts')}</dir><dir>/usr/share/fonts</dir><cachedir>${settings}</cachedir></fontconfig>`,
  )
  return { path: join(root, program), env: { ...env, FONTCONFIG_FILE: fonts }, from: 'a Debian package' }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
