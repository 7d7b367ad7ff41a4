/** Asks for parts of the page anew, as long as somebody looks and has not paused it. */

const TICK_MS = 1_000
const parts = [...document.querySelectorAll('[data-live]')]
const button = document.querySelector('[data-live-pause]')
/** What takes long is asked for more rarely: it rests so many times as long as it took. */
const REST = 20
const asked = new WeakMap()
const restsUntil = new WeakMap()
let isPaused = false
let ticks = 0

/** What somebody is in is left as it is: it would be pulled away under their hands. */
const isInUse = (part) => part.contains(document.activeElement) || part.classList.contains('htmx-request')
const rests = (part) => performance.now() < (restsUntil.get(part) ?? 0)

if (parts.length > 0) {
  setInterval(() => {
    if (isPaused || document.visibilityState !== 'visible') return
    ticks++
    for (const part of parts) {
      if (ticks % Number(part.dataset.live) !== 0 || isInUse(part) || rests(part)) continue
      asked.set(part, performance.now())
      part.dispatchEvent(new Event('live'))
    }
  }, TICK_MS)
}

document.addEventListener('htmx:after:request', ({ target }) => {
  const now = performance.now()
  restsUntil.set(target, now + REST * (now - (asked.get(target) ?? now)))
})

if (button) {
  const state = document.createElement('span')
  state.className = 'quiet'
  state.setAttribute('role', 'status')
  button.after(state)
  const say = (text) => {
    if (state.textContent !== text) state.textContent = text
  }
  // What is seen stays, and is old.
  document.addEventListener('htmx:error', () => say('Earthflow does not answer; trying again.'))
  document.addEventListener('htmx:after:request', () => say(''))
  button.hidden = false
  button.addEventListener('click', () => {
    isPaused = !isPaused
    button.textContent = isPaused ? 'Go on' : 'Pause'
    say(isPaused ? 'Paused' : '')
  })
}
