// The shell: which view is shown, by the hash of the address; whether the server responds; the jobs.

import { on, receive } from './api.js'
import { announce, h } from './elements.js'
import { listJobs } from './jobs.js'

const VIEWS = {
  runs: { title: 'Runs', file: './runs.js' },
  curves: { title: 'Curves', file: './curves.js' },
  compare: { title: 'Compare', file: './compare.js' },
  inside: { title: 'Look inside', file: './inside.js' },
  data: { title: 'Data', file: './data.js' },
  papers: { title: 'Papers', file: './papers.js' },
  words: { title: 'Words', file: './words.js' },
}
const part = (name) => document.getElementById(name)
let takeDown = null
let shown = 0

/** The view and its parameters in an address such as `#/curves?run=a&run=b`. */
function viewed() {
  const [name, search = ''] = location.hash.replace(/^#\/?/, '').split('?')
  return { name: name in VIEWS ? name : 'runs', params: new URLSearchParams(search) }
}

async function route() {
  if (location.hash === '#view') return // the skip link
  const { name, params } = viewed()
  const turn = ++shown
  showNavigation(name)
  const view = await import(VIEWS[name].file)
  if (turn !== shown) return
  takeDown?.()
  const element = h('div', { className: `view ${name}` })
  part('view').replaceChildren(element)
  document.title = `${VIEWS[name].title} · residua lab`
  takeDown = view.show(element, params)
  announce(VIEWS[name].title)
  if (turn > 1) part('view').focus({ preventScroll: true }) // the link that led here may be gone: Tab goes on in the view
}

function showNavigation(current) {
  part('views').replaceChildren(...Object.entries(VIEWS).map(([name, { title }]) => (
    h('a', { href: `#/${name}`, 'aria-current': name === current ? 'page' : null }, title)
  )))
}

function showState(text, className) {
  part('state').textContent = text
  part('state').className = `state ${className}`
}

on('open', () => showState('live', 'ready'))
on('closed', () => showState('no connection', ''))
addEventListener('hashchange', route)
listJobs(part('jobs'), part('job-list'))
receive()
route()
