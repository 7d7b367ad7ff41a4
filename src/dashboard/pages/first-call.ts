/** The command that shows that a new key works. */
import { type Html, html } from '../html.ts'
import type { Visit } from '../page.ts'

/** For a shell: between single quotes nothing is special but a single quote. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

export function firstCall({ proxyUrl, caPath }: Pick<Visit, 'proxyUrl' | 'caPath'>, key: string): Html {
  const body = JSON.stringify({ model: 'sandbox', messages: [{ role: 'user', content: 'Say hello.' }] })
  const trusted = caPath === null ? '' : `--cacert ${quoted(caPath)} `
  const command = `curl ${trusted}${quoted(`${proxyUrl}/v1/chat/completions`)} -H ${quoted(`Authorization: Bearer ${key}`)} -H 'Content-Type: application/json' -d ${quoted(body)}`
  return html`<p>Try it, with a model that one of your upstreams serves:</p>
    <div class="secret-box"><code id="first-call" class="wrap">${command}</code><button type="button" class="button" data-copy="first-call" hidden>Copy</button></div>
    <p class="quiet">Programs are given the base URL <code>${proxyUrl}/v1</code> and this key, and need no other change.${caPath === null ? null : html` They must trust <code>${caPath}</code>, the authority of this Earthflow’s own certificate.`}</p>`
}
