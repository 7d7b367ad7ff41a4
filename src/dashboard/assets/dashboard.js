/** What every page has: times in the reader's zone, parts that are asked for anew, and small comforts. All of it works without, less comfortably. */
import './times.js'
import './live.js'

document.addEventListener('click', async ({ target }) => {
  const button = target instanceof Element ? target.closest('[data-copy]') : null
  if (!button) return
  const text = document.getElementById(button.dataset.copy)?.textContent ?? ''
  try {
    await navigator.clipboard.writeText(text)
    button.textContent = 'Copied'
  } catch {
    button.textContent = 'Select and copy it by hand'
  }
})

// Only where a browser lets pages write to the clipboard.
for (const button of document.querySelectorAll('[data-copy]')) button.hidden = navigator.clipboard === undefined

document.addEventListener('submit', (event) => {
  const { target: form, submitter } = event
  const question = submitter?.dataset.confirm ?? form.dataset.confirm
  if (question !== undefined && !window.confirm(question)) event.preventDefault()
})

// Twice pressed is once meant.
const sent = new WeakSet()
document.addEventListener('submit', (event) => {
  const { target: form } = event
  if (event.defaultPrevented || form.getAttribute('method') !== 'post' || form.hasAttribute('hx-post')) return
  if (sent.has(form)) event.preventDefault()
  sent.add(form)
})
// Whoever comes back to a page by the browser's button may send again.
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload()
})

for (const chooser of document.querySelectorAll('[data-chooser]')) {
  chooser.querySelector('[data-chooser-button]')?.remove()
  chooser.addEventListener('change', () => chooser.requestSubmit())
}

// On a narrow screen the navigation is a strip: where one is in it is seen. (scrollIntoView would also move where the Tab key begins.)
const strip = document.querySelector('.side')
const here = strip?.querySelector('[aria-current]')
if (here) strip.scrollLeft = here.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2
