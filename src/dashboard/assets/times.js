/** Times in the zone and the manner of whoever reads them; the page itself has them in UTC. */

const long = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const short = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })

function show(element) {
  const at = new Date(element.dateTime)
  if (Number.isNaN(at.getTime()) || element.title !== '') return
  const isToday = at.toDateString() === new Date().toDateString()
  element.title = `${element.dateTime.replace('T', ' ').slice(0, 19)} UTC`
  element.textContent = (element.hasAttribute('data-short') && isToday ? short : long).format(at)
}

const showAll = (root) => root.querySelectorAll('time[datetime]').forEach(show)

showAll(document)
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) {
      if (!(node instanceof Element)) continue
      if (node.matches('time[datetime]')) show(node)
      else showAll(node)
    }
  }
}).observe(document.body, { childList: true, subtree: true })
