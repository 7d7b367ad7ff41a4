/** A form as it stands in a page, as a browser would send it. */
import assert from 'node:assert/strict'

const names: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
export const unescaped = (text: string): string => text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => names[name] ?? '')

const attribute = (tag: string, name: string): string | undefined => {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1]
  return found === undefined ? undefined : unescaped(found)
}
const has = (tag: string, name: string): boolean => new RegExp(`\\s${name}(?=[\\s>]|="")`).test(tag)

/** What the fields hold of a form that posts to this address. Fails where the page has none. */
export function formIn(page: string, action: string): URLSearchParams {
  const forms = [...page.matchAll(/<form\b[^>]*>[\s\S]*?<\/form>/g)].map(([whole]) => whole).filter((whole) => /^<form[^>]*\smethod="post"/.test(whole))
  const form = forms.find((whole) => attribute(/^<form[^>]*>/.exec(whole)![0], 'action') === action)
  assert.ok(form, `no form to ${action}; there are ${forms.map((whole) => attribute(whole, 'action')).join(', ')}`)
  const sent = new URLSearchParams()
  for (const [tag] of form.matchAll(/<(?:input\b[^>]*>|select\b[\s\S]*?<\/select>|textarea\b[\s\S]*?<\/textarea>)/g)) {
    const name = attribute(tag, 'name')
    if (name === undefined) continue
    if (tag.startsWith('<textarea')) sent.append(name, unescaped(/>\r?\n?([\s\S]*)<\/textarea>$/.exec(tag)?.[1] ?? ''))
    else if (tag.startsWith('<select')) {
      const options = [...tag.matchAll(/<option\b[^>]*>/g)].map(([one]) => one)
      const chosen = options.find((one) => has(one, 'selected')) ?? options[0]
      if (chosen) sent.append(name, attribute(chosen, 'value') ?? '')
    } else if (attribute(tag, 'type') !== 'checkbox') sent.append(name, attribute(tag, 'value') ?? '')
    else if (has(tag, 'checked')) sent.append(name, attribute(tag, 'value') ?? 'on')
  }
  return sent
}

/** Every field can be reached by its label, and no id is there twice. */
export function assertAccessible(page: string, what: string): void {
  const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id)
  assert.deepEqual(
    ids.filter((id, at) => ids.indexOf(id) !== at),
    [],
    `${what}: ids that are there twice`,
  )
  const labelled = new Set([...page.matchAll(/<label\s+for="([^"]*)"/g)].map(([, id]) => id))
  for (const [tag] of page.matchAll(/<(?:input|select|textarea)\b[^>]*>/g)) {
    if (attribute(tag, 'type') === 'hidden') continue
    const id = attribute(tag, 'id') ?? ''
    assert.ok(labelled.has(id), `${what}: no label for ${tag}`)
    for (const other of (attribute(tag, 'aria-describedby') ?? '').split(' ').filter((one) => one !== ''))
      assert.ok(ids.includes(other), `${what}: ${other} describes nothing`)
  }
  assert.doesNotMatch(page, /\sstyle="|<style|\son[a-z]+="|<script(?![^>]*\ssrc=)/, what)
}
