// Data: images are checked and cleaned by jobs; the table of a clean is edited beside its images and written back.

import { act, canAct, get, query } from './api.js'
import { announce, h, problem } from './elements.js'
import { startJob, watchJob } from './jobs.js'

const ACTIONS = { keep: 'keep', relabel: 'relabel', drop: 'drop' }

/** Show the view in `element`; the table is in the address. */
export function show(element, params) {
  const ends = []
  const edits = new Map()
  let name = params.get('run') ?? ''
  let sheet = null

  const trouble = h('div')
  const jobs = h('section', { className: 'box', 'aria-labelledby': 'check-title' })
  const table = h('section', { className: 'box', 'aria-labelledby': 'sheet-title' })
  element.append(h('h1', {}, 'Data'), h('p', { className: 'lead' }, 'Find unreadable files, duplicates, data leakage and wrong labels. No image is changed, moved or deleted: what you decide goes into clean.csv.'), trouble, jobs, table)

  async function load() {
    try {
      const lists = await get('api/data')
      name ||= lists.sheets[0] ?? ''
      drawJobs(lists)
      if (name) await open(lists.sheets)
      else table.replaceChildren(h('h2', { id: 'sheet-title' }, 'Clean'), h('p', { className: 'quiet' }, 'No table yet. Clean trains a network on each four fifths of the images and looks at what it predicts for the last fifth.'))
    } catch (error) {
      trouble.replaceChildren(problem(error))
    }
  }

  function drawJobs({ images }) {
    const choice = h('select', {}, images.map((one) => h('option', {}, one)))
    const result = h('div')
    const start = (kind, title) => h('button', { type: 'button', disabled: !canAct, onclick: async () => {
      try {
        const job = await startJob(kind, { images: choice.value })
        announce(`${title} started`)
        ends.push(watchJob(job.id, (now) => {
          result.replaceChildren(now.page ? h('p', {}, h('a', { className: 'button', href: `api/jobs/${job.id}/page`, target: '_blank' }, `Open the page of the ${kind === 'clean' ? 'clean' : 'check'}`)) : h('p', { className: 'quiet', role: 'status' }, `${title}: ${now.state}. ${now.lines.at(-1) ?? ''}`))
          if (kind === 'clean' && now.state === 'done' && !name) load()
        }))
      } catch (error) {
        result.replaceChildren(problem(error))
      }
    } }, title)
    jobs.replaceChildren(h('h2', { id: 'check-title' }, 'Check'), h('div', { className: 'controls' }, h('label', {}, 'Images', choice), start('check_data', 'Check'), start('clean', 'Clean')), result)
  }

  async function open(sheets) {
    history.replaceState(null, '', `#/data/${encodeURIComponent(name)}`)
    sheet = await get('api/data/sheet', { name })
    edits.clear()
    draw(sheets)
  }

  function draw(sheets) {
    const save = h('button', { type: 'button', className: 'primary', disabled: true, onclick: write }, 'Write into clean.csv')
    const choice = h('select', { onchange: () => { name = choice.value; open(sheets).catch((error) => trouble.replaceChildren(problem(error))) } }, sheets.map((one) => h('option', { selected: one === name }, one)))
    const { keep, relabel, drop } = sheet.actions
    table.replaceChildren(h('h2', { id: 'sheet-title' }, 'Clean'),
      h('div', { className: 'controls' }, h('label', {}, 'Table', choice), h('span', { className: 'quiet', role: 'status' }, `${sheet.images} images: keep ${keep}, relabel ${relabel}, drop ${drop}`), save),
      sheet.rows.length ? h('ol', { className: 'sheet' }, sheet.rows.map((row) => item(row, save))) : h('p', { className: 'quiet' }, 'No image has a reason to be reviewed.'),
      sheet.rows.length < sheet.num_reasons ? h('p', { className: 'quiet' }, `The first ${sheet.rows.length} of ${sheet.num_reasons}; the others are in the table.`) : '')
    async function write() {
      save.disabled = true
      try {
        sheet = await act('api/data/sheet', { digest: sheet.digest, edits: Object.fromEntries(edits) }, { name })
        announce(`${edits.size} decisions written`)
        edits.clear()
        trouble.replaceChildren()
        draw(sheets)
      } catch (error) {
        trouble.replaceChildren(problem(error))
        trouble.scrollIntoView({ block: 'center' })
        save.disabled = false
      }
    }
  }

  function item(row, save) {
    const decided = { action: row.action, suggested: row.suggested }
    const group = h('select', { 'aria-label': `Action for ${row.path}`, onchange: () => { decided.action = group.value; change() } }, Object.entries(ACTIONS).map(([value, text]) => h('option', { value, selected: value === row.action }, text)))
    const other = h('select', { 'aria-label': `New class of ${row.path}`, hidden: row.action !== 'relabel', onchange: () => { decided.suggested = other.value; change() } }, sheet.classes.map((one) => h('option', { selected: one === row.suggested }, one)))
    const box = h('li', { className: `card ${row.action}` }, h('img', { src: `api/data/picture?${query({ name, path: row.path })}`, alt: row.path, loading: 'lazy' }),
      h('div', {}, h('strong', {}, row.label), h('span', { className: 'quiet' }, row.reason), h('div', { className: 'controls' }, canAct ? [group, other] : row.action)))
    function change() {
      other.hidden = decided.action !== 'relabel'
      box.className = `card ${decided.action}`
      decided.action === row.action && decided.suggested === row.suggested ? edits.delete(row.path) : edits.set(row.path, { ...decided })
      save.disabled = !edits.size
      save.textContent = edits.size ? `Write ${edits.size} into clean.csv` : 'Write into clean.csv'
    }
    return box
  }

  load()
  return () => ends.forEach((end) => end())
}
