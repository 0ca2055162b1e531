// The jobs that the page started: a list below every view, with progress, the latest line, and stop.

import { act, address, canAct, get, on } from './api.js'
import { announce, attempt, duration, h, status } from './elements.js'

const jobs = new Map()
const OPEN = ['waiting', 'running', 'stopping']

/** Start a job: its facts. */
export async function startJob(kind, options) {
  const job = await act('api/jobs', { kind, options })
  keep(job)
  return job
}

const watchers = new Set()

/** Call `listener` with the facts of a job whenever they change; returns a function that ends it. */
export function watchJob(id, listener) {
  const watcher = (job) => job.id === id && listener(job)
  watchers.add(watcher)
  if (jobs.has(id)) listener(jobs.get(id))
  return () => watchers.delete(watcher)
}

/**
 * Start a job, and show in `place` how it goes and then, as a button called `open`, its page; `ended` is called once it is
 * done. Returns a function that ends the watching.
 */
export async function showJob(place, kind, options, title, open, ended) {
  const { id } = await startJob(kind, options)
  announce(`${title} started`)
  return watchJob(id, (job) => {
    place.replaceChildren(job.page ? h('p', h('a.button', { href: `api/jobs/${id}/page`, target: '_blank' }, open)) : status(`${title}: ${job.state}. ${job.lines.at(-1) ?? ''}`))
    if (job.state === 'done') ended?.()
  })
}

let section = null
let list = null

/** Show all jobs in a section, and keep it up to date. */
export function listJobs(sectionElement, listElement) {
  section = sectionElement
  list = listElement
  on('job', keep)
  on('open', load)
  on('reload', load)
}

async function load() {
  const all = await get('api/jobs').catch(() => [])
  for (const job of all.reverse()) keep(job)
}

function keep(job) {
  const before = jobs.get(job.id)
  if (before?.time > job.time) return // a response that an event overtook
  jobs.set(job.id, job)
  for (const watcher of watchers) watcher(job)
  const element = jobElement(job)
  const old = list.querySelector(`[data-job="${job.id}"]`)
  if (old) {
    const hadFocus = old.contains(document.activeElement) ? document.activeElement.className : null
    const isOpen = old.querySelector('details')?.open
    old.replaceWith(element)
    if (isOpen) element.querySelector('details').open = true
    if (hadFocus !== null) element.querySelector(hadFocus ? `.${hadFocus.split(' ')[0]}` : 'summary')?.focus()
  } else {
    list.prepend(element)
  }
  section.hidden = !jobs.size
  if (before && before.state !== job.state) announce(`${job.title}: ${job.state}`)
}

function jobElement(job) {
  const isOpen = OPEN.includes(job.state)
  const latest = job.lines.at(-1) ?? ''
  const trouble = h('div')
  const stopIt = () => attempt(trouble, async () => keep(await act(`api/jobs/${job.id}/stop`)))
  const stop = isOpen && canAct ? h('button.stop', { onclick: stopIt, disabled: job.state === 'stopping' }, 'Stop', h('span.unseen', ` ${job.title}`)) : null
  return h('li', { className: `job ${job.state}`, 'data-job': job.id },
    h('div.job-head',
      h('strong', job.title),
      h('span.badge', job.state),
      h('span.quiet', job.seconds ? duration(job.seconds) : ''),
      job.run && job.state !== 'failed' ? h('a', { href: address('curves', { run: job.run }) }, 'Curves') : null,
      job.page ? h('a', { href: `api/jobs/${job.id}/page`, target: '_blank' }, 'Result') : null,
      stop),
    latest ? h('p.latest', latest) : null,
    h('details', h('summary', 'Command and output'),
      h('pre', { tabIndex: 0, 'aria-label': `Output of ${job.title}` }, `$ ${job.command.join(' ')}\n${job.lines.join('\n')}`)), trouble)
}
