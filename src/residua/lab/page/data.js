// Data: images are checked and cleaned by jobs; the table of a clean is edited beside its images and written back.

import { act, canAct, get, query, remember } from './api.js'
import { announce, attempt, fill, h, select, status } from './elements.js'
import { showJob } from './jobs.js'

const ACTIONS = ['keep', 'relabel', 'drop']

/** Show the view in `element`; the table is in the address. */
export function show(element, params) {
  const ends = []
  const edits = new Map()
  let name = params.get('table') ?? ''
  let sheet = null

  const trouble = h('div')
  const jobs = h('section.box')
  const table = h('section.box')
  element.append(h('h1', 'Data'), h('p.lead', 'Find unreadable files, duplicates, data leakage and wrong labels. No image is changed, moved or deleted: what you decide goes into clean.csv.'), trouble, jobs, table)

  const load = () => attempt(trouble, async () => {
    const lists = await get('api/data')
    name ||= lists.sheets[0] ?? ''
    drawJobs(lists)
    if (name) await open(lists.sheets)
    else fill(table, 'Clean', h('p.quiet', 'No table yet. Clean trains a network on each four fifths of the images and looks at what it predicts for the last fifth.'))
  })

  function drawJobs({ images }) {
    const choice = select(images)
    const result = h('div')
    const start = (kind, title, page) => h('button', { disabled: !canAct, onclick: () => attempt(result, async () => {
      ends.push(await showJob(result, kind, { images: choice.value }, title, page, () => kind === 'clean' && !name && load()))
    }) }, title)
    fill(jobs, 'Check', h('div.controls', h('label', 'Images', choice), start('check_data', 'Check', 'Open the page of the check'), start('clean', 'Clean', 'Open the page of the clean')), result)
  }

  async function open(sheets) {
    remember('data', { table: name })
    sheet = await get('api/data/sheet', { name })
    edits.clear()
    draw(sheets)
  }

  function draw(sheets) {
    const save = h('button.primary', { disabled: true, onclick: write }, 'Write into clean.csv')
    const choice = select(sheets, name, (value) => { name = value; attempt(trouble, () => open(sheets)) })
    const { keep, relabel, drop } = sheet.actions
    fill(table, 'Clean',
      h('div.controls', h('label', 'Table', choice), h('span.quiet', { role: 'status' }, `${sheet.images} images: keep ${keep}, relabel ${relabel}, drop ${drop}`), save),
      sheet.rows.length ? h('ol.sheet', sheet.rows.map((row) => item(row, save))) : h('p.quiet', 'No image has a reason to be reviewed.'),
      sheet.rows.length < sheet.num_reasons ? h('p.quiet', `The first ${sheet.rows.length} of ${sheet.num_reasons}; the others are in the table.`) : '')
    async function write() {
      save.disabled = true
      trouble.replaceChildren()
      await attempt(trouble, async () => {
        sheet = await act('api/data/sheet', { digest: sheet.digest, edits: Object.fromEntries(edits) }, { name })
        announce(`${edits.size} decisions written`)
        edits.clear()
        draw(sheets)
      })
      save.disabled = !edits.size
      if (trouble.firstChild) trouble.scrollIntoView({ block: 'center' })
    }
  }

  function item(row, save) {
    const decided = { action: row.action, suggested: row.suggested }
    const choose = (key, options, label) => select(options, row[key], (value) => { decided[key] = value; change() }, { 'aria-label': label })
    const group = choose('action', ACTIONS, `Action for ${row.path}`)
    const other = choose('suggested', sheet.classes, `New class of ${row.path}`)
    other.hidden = row.action !== 'relabel'
    const box = h('li', { className: `card ${row.action}` }, h('img', { src: `api/data/picture?${query({ name, path: row.path })}`, alt: row.path, loading: 'lazy' }),
      h('div', h('strong', row.label), h('span.quiet', row.reason), h('div.controls', canAct ? [group, other] : row.action)))
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
