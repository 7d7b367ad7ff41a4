/** Shows the one way in which a condition is written, and tries a draft without leaving the page. */

const QUESTIONS_MAX = 12

for (const form of document.querySelectorAll('.editor')) {
  const choices = [...form.querySelectorAll('[name="condition_by"]')]
  const show = () => {
    const chosen = choices.find(({ checked }) => checked)?.value
    for (const part of form.querySelectorAll('[data-by]')) part.hidden = part.dataset.by !== chosen
  }
  for (const choice of choices) choice.addEventListener('change', show)
  show()

  const add = form.querySelector('[data-add-question]')
  const questions = () => [...form.querySelectorAll('.question')]
  const showAdd = () => {
    add.hidden = questions().length >= QUESTIONS_MAX
  }
  add.addEventListener('click', () => {
    const last = questions().at(-1)
    const at = questions().length
    const next = last.cloneNode(true)
    next.querySelector('legend').textContent = `Question ${at + 1}`
    for (const element of next.querySelectorAll('[id], [name], [for]')) {
      for (const name of ['id', 'name', 'for']) {
        const value = element.getAttribute(name)
        if (value !== null) element.setAttribute(name, value.replace(/-\d+$/, `-${at}`))
      }
      if (element.matches('textarea')) element.value = ''
      if (element.matches('[type="checkbox"]')) element.checked = false
    }
    last.after(next)
    next.querySelector('input').focus()
    showAdd()
  })
  showAdd()

  form.addEventListener(
    'submit',
    async (event) => {
      const { submitter } = event
      if (submitter?.value !== 'try') return
      event.preventDefault()
      event.stopImmediatePropagation()
      submitter.setAttribute('aria-disabled', 'true')
      const place = form.querySelector('.tester [aria-live]')
      try {
        // `form.action` would be the field of that name.
        const answer = await fetch(form.getAttribute('action'), { method: 'POST', body: new URLSearchParams(new FormData(form, submitter)), redirect: 'error' })
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
        const result = page.querySelector('.tester [aria-live]')
        const problem = page.querySelector('.notice.wrong')
        place.replaceChildren(...(result?.childNodes.length ? result.childNodes : problem ? [problem] : []))
      } catch {
        place.textContent = 'The server did not answer. Try again.'
      } finally {
        submitter.removeAttribute('aria-disabled')
      }
    },
    true,
  )
}
