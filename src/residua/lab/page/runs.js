// The table of runs: filtered, sorted, grouped; live; chosen runs lead to curves and a comparison.

import { act, actWith, address, canAct, get, on, remember } from './api.js'
import { ago, announce, attempt, breakable, byName, duration, frame, h, metricName, problem, select, short, svg } from './elements.js'
import { startJob } from './jobs.js'

const PAGE_ROWS = 200
const REDRAW_MS = 150
const COLUMNS = [
  { key: 'name', title: 'Run', value: (row) => row.name },
  { key: 'best', title: 'Best score', value: (row) => row.best?.value ?? null, numeric: true },
  { key: 'state', title: 'State', value: (row) => row.state },
  { key: 'spark', title: 'Curve' },
  { key: 'network', title: 'Network', value: (row) => row.network },
  { key: 'recipe', title: 'Recipe', value: (row) => row.recipe, minor: true },
  { key: 'seed', title: 'Seed', value: (row) => row.seed, numeric: true, minor: true },
  { key: 'epoch', title: 'Epochs', value: (row) => row.epoch, numeric: true },
  { key: 'left', title: 'Time left', value: (row) => row.seconds_left, numeric: true, minor: true },
  { key: 'updated', title: 'Changed', value: (row) => row.updated, numeric: true, minor: true },
]
const GROUPS = {
  none: { title: 'no groups', key: () => '' },
  group: { title: 'recipe, all seeds', key: (row) => `${row.network}, ${row.recipe || 'recipe'} on ${row.data} (${row.group})` },
  network: { title: 'network', key: (row) => row.network },
  recipe: { title: 'recipe name', key: (row) => row.recipe },
  state: { title: 'state', key: (row) => row.state },
}

/** Show the table in `element`; its state (filter, order, groups, chosen runs) is in the address. */
export function show(element, params) {
  const rows = new Map()
  const chosen = new Set(params.getAll('run'))
  const view = { sort: params.get('sort') ?? 'updated', down: params.get('down') !== '0', group: params.get('group') ?? 'none', filter: params.get('filter') ?? '', limit: PAGE_ROWS }
  let notes = {}
  let head = { folder: '', unread: 0, read_only: true, scanned: false }
  let redraw = 0
  let scores = []

  const title = h('h1', 'Runs')
  const count = h('p.quiet', { role: 'status' })
  const trouble = h('div')
  const filter = h('input', { type: 'search', value: view.filter, placeholder: 'name, network, state', autocomplete: 'off', spellcheck: false,
    oninput: () => { view.filter = filter.value; view.limit = PAGE_ROWS; drawSoon() } })
  const group = select(Object.entries(GROUPS).map(([name, { title: text }]) => [name, text]), view.group, (name) => { view.group = name; draw() })
  const table = frame('table', 'Runs')
  const more = h('button', { hidden: true, onclick: showMore })
  const bar = h('div.chosen-bar', { role: 'region', 'aria-label': 'Chosen runs', hidden: true })
  element.append(title, count, trouble,
    h('div.controls', h('label', 'Filter', filter), h('label', 'Group by', group)),
    table, h('p.controls', more), bar)

  const load = () => attempt(trouble, async () => {
    head = await get('api/runs')
    notes = head.notes
    rows.clear()
    for (const row of head.rows) rows.set(row.name, row)
    trouble.replaceChildren(...(head.problem ? [problem({ message: head.problem })] : []))
    draw()
  })

  function changed({ rows: fresh, gone, unread }) {
    for (const row of fresh) rows.set(row.name, row)
    for (const name of gone) {
      rows.delete(name)
      chosen.delete(name)
    }
    head.unread = unread
    head.scanned = true
    drawSoon()
  }

  function drawSoon() {
    redraw ||= setTimeout(draw, REDRAW_MS)
  }

  function draw() {
    clearTimeout(redraw)
    redraw = 0
    const visible = sorted([...rows.values()].filter((row) => matches(row, view.filter, notes[row.name])))
    const reading = head.unread ? `, reading the metrics of ${head.unread.toLocaleString('en')}` : ''
    const part = view.filter ? `${visible.length.toLocaleString('en')} of ` : ''
    count.textContent = `${part}${rows.size.toLocaleString('en')} runs in ${head.folder}${reading}`
    const focus = focusKey()
    scores = scoreNames()
    table.replaceChildren(rows.size || !head.scanned ? tableOf(visible.slice(0, view.limit)) : emptyFolder())
    more.hidden = visible.length <= view.limit
    more.textContent = `Show ${Math.min(PAGE_ROWS, visible.length - view.limit)} more of ${visible.length.toLocaleString('en')}`
    drawBar()
    restoreFocus(focus)
    keep()
  }

  function showMore() {
    const first = view.limit
    view.limit += PAGE_ROWS
    draw()
    table.querySelectorAll('tbody tr:not(.group-row) input')[first]?.focus()
  }

  function sorted(list) {
    const { value } = COLUMNS.find((column) => column.key === view.sort) ?? COLUMNS[0]
    const sign = view.down ? -1 : 1
    const { key } = GROUPS[view.group]
    const isHigher = view.sort === 'best' && list.some((row) => row.is_lower_better === false)
    return list.sort((a, b) => (
      (view.group !== 'none' && byName(key(a), key(b))) || byValue(value(a), value(b), isHigher ? -sign : sign) || byName(a.name, b.name)
    ))
  }

  function tableOf(list) {
    const body = h('tbody')
    let last = null
    for (const row of list) {
      const key = GROUPS[view.group].key(row)
      if (view.group !== 'none' && key !== last) body.append(groupRow(key, list.filter((one) => GROUPS[view.group].key(one) === key)))
      last = key
      body.append(runRow(row))
    }
    return h('table.runs-table',
      h('thead', h('tr', h('th', { scope: 'col' }, h('span.unseen', 'Chosen')), COLUMNS.map(headCell))),
      body)
  }

  function headCell({ key, title: text, value, numeric, minor }) {
    const classes = [numeric && 'numeric', minor && 'minor'].filter(Boolean).join(' ')
    if (!value) return h('th', { scope: 'col', className: classes }, text)
    const order = view.sort === key ? (view.down ? 'descending' : 'ascending') : 'none'
    return h('th', { scope: 'col', className: classes, 'aria-sort': order },
      h('button', { 'data-focus': `sort ${key}`, onclick: () => sortBy(key) }, key === 'best' && scores.length === 1 ? `Best ${scores[0]}` : text))
  }

  /** What the best scores are of: one name where all runs have the same. */
  function scoreNames() {
    return [...new Set([...rows.values()].filter((row) => row.best).map((row) => metricName(row.metric.replace('ema_', ''))))]
  }

  function sortBy(key) {
    view.down = view.sort === key ? !view.down : key === 'updated'
    view.sort = key
    draw()
  }

  function groupRow(key, members) {
    const scores = members.map((row) => row.best?.value).filter((value) => value !== undefined)
    const mean = scores.reduce((sum, value) => sum + value, 0) / scores.length
    const text = scores.length > 1 ? `${members.length} runs, best scores ${short(Math.min(...scores))} to ${short(Math.max(...scores))}, mean ${short(mean)}` : `${members.length} run${members.length > 1 ? 's' : ''}`
    return h('tr.group-row', h('th', { scope: 'rowgroup', colSpan: COLUMNS.length + 1 },
      key || 'unknown', ' ', h('span.quiet', text), ' ',
      h('button', { 'data-focus': `group ${key}`, onclick: () => { members.forEach((row) => chosen.add(row.name)); draw() } }, 'Choose all')))
  }

  function runRow(row) {
    const box = h('input', { type: 'checkbox', checked: chosen.has(row.name), 'aria-label': `Choose ${row.name}`, 'data-focus': `choose ${row.name}`,
      onchange: () => { box.checked ? chosen.add(row.name) : chosen.delete(row.name); box.closest('tr').classList.toggle('chosen', box.checked); drawBar(); keep() } })
    const note = notes[row.name]
    return h('tr', { className: chosen.has(row.name) ? 'chosen' : '' },
      h('td', box),
      h('th', { scope: 'row' }, h('a', { href: address('curves', { run: row.name }), 'data-focus': `open ${row.name}` }, breakable(row.name)),
        note?.tags.length ? h('span.interval', note.tags.map((tag) => h('span.tag', tag))) : null,
        note?.note ? h('span.interval', note.note.split('\n')[0].slice(0, 80)) : null),
      h('td.numeric', row.best ? h('strong', percent(row.best.value, row)) : row.num_rows === null && row.state !== 'damaged' ? '…' : '', interval(row, scores.length > 1)),
      h('td', h('span', { className: `dot ${row.state}` }, row.state), row.problem ? h('span.interval', row.problem) : null),
      h('td', sparkline(row)),
      h('td', breakable(row.network)),
      h('td.minor', row.recipe, row.data ? h('span.interval', row.data) : null),
      h('td.numeric.minor', row.recipe || row.network ? String(row.seed) : ''),
      h('td.numeric', row.epochs ? `${short(row.epoch)} of ${short(row.epochs)}` : short(row.epoch)),
      h('td.numeric.minor', row.seconds_left ? duration(row.seconds_left) : ''),
      h('td.numeric.minor', ago(row.updated)))
  }

  function drawBar() {
    const names = [...chosen].filter((name) => rows.has(name))
    bar.hidden = !names.length
    const row = names.length === 1 ? rows.get(names[0]) : null
    const active = bar.contains(document.activeElement) ? document.activeElement.dataset.focus : null
    bar.replaceChildren(
      h('strong', names.length === 1 ? names[0] : `${names.length} runs`),
      h('a.button.primary', { href: address('curves', { run: names }), 'data-focus': 'curves' }, 'Curves'),
      ...ACTIONS.filter(({ fits }) => fits(names.map((name) => rows.get(name)))).map(({ title: text, href }) => (
        h('a.button', { href: href(names), 'data-focus': text }, text))),
      ...(canAct && row ? actionsOf(row) : []),
      h('button', { 'data-focus': 'none', onclick: () => { chosen.clear(); draw(); filter.focus() } }, 'Choose none'))
    if (active) (bar.querySelector(`[data-focus="${CSS.escape(active)}"]`) ?? bar.querySelector('a'))?.focus() // Stop has gone once it stopped
  }

  function actionsOf(row) {
    const buttons = []
    const button = (text, action) => buttons.push(h('button', { 'data-focus': text, onclick: () => run(text, action) }, text))
    if (row.state === 'running') button('Stop', () => act('api/runs/stop', {}, { run: row.name }))
    if (row.state === 'stopped' || row.state === 'diverged') button('Resume', () => startJob('resume', { run: row.name }))
    if (row.state !== 'damaged') button('Train again, next seed', () => startJob('repeat', { run: row.name, seed: nextSeed(row) }))
    if (row.epoch) button('Try an image', () => tryImage(row))
    button('Tags and note', () => editNotes(row))
    return buttons
  }

  function nextSeed(row) {
    return 1 + Math.max(...[...rows.values()].filter((one) => one.group === row.group).map((one) => one.seed))
  }

  const run = (text, action) => attempt(trouble, async () => {
    await action()
    announce(`${text}: sent`)
    trouble.replaceChildren()
  })

  /** A window above the page; its form is closed by a button without a type of its own. */
  function openDialog(title, ...content) {
    const dialog = h('dialog', { 'aria-label': title, onclose: () => dialog.remove() }, h('h2', title), h('form', { method: 'dialog' }, content))
    document.body.append(dialog)
    dialog.showModal()
    return dialog
  }

  function editNotes(row) {
    const now = notes[row.name] ?? { tags: [], note: '' }
    const tags = h('input', { value: now.tags.join(', '), autocomplete: 'off' })
    const note = h('textarea', { rows: 5 }, now.note)
    const wrong = h('div')
    const dialog = openDialog(`Tags and note of ${row.name}`, h('label', 'Tags, with commas between', tags), h('label', 'Note', note),
      h('p.quiet', 'Kept in lab-notes.json beside the runs. No file of a run is changed.'), wrong,
      h('div.controls', h('button.primary', { type: 'submit' }, 'Save'), h('button', { onclick: () => dialog.close() }, 'Cancel')))
    dialog.onsubmit = (event) => {
      event.preventDefault()
      attempt(wrong, async () => {
        await act('api/runs/notes', { tags: tags.value.split(','), note: note.value }, { run: row.name })
        dialog.close()
        await load()
      })
    }
  }

  function tryImage(row) {
    const file = h('input', { type: 'file', accept: 'image/*', onchange: predict })
    const picture = h('img.tried', { alt: 'The chosen image', hidden: true })
    const result = h('div', { 'aria-live': 'polite' })
    openDialog(`Try an image on ${row.name}`, h('label', 'Image', file), picture, result, h('div.controls', h('button', { type: 'submit' }, 'Close')))
      .addEventListener('close', () => URL.revokeObjectURL(picture.src))
    async function predict() {
      const [image] = file.files
      if (!image) return
      URL.revokeObjectURL(picture.src)
      picture.src = URL.createObjectURL(image)
      picture.hidden = false
      result.replaceChildren(h('p.quiet', 'The network reads the image; the first one takes some seconds.'))
      await attempt(result, async () => result.replaceChildren(predictionOf(await actWith('api/predict', image, { run: row.name }))))
    }
  }

  function keep() {
    const { filter: text, sort, down, group: by } = view
    remember('runs', { filter: text, sort: sort === 'updated' ? null : sort, down: down ? null : 0, group: by === 'none' ? null : by, run: [...chosen] })
  }

  const ends = [on('runs', changed), on('reload', load), on('notes', load), on('open', load)]
  load()
  return () => {
    clearTimeout(redraw)
    ends.forEach((end) => end())
  }
}

/** Classes with bars, or boxes of a detector as rows. */
function predictionOf({ classes, boxes }) {
  const rows = boxes ? boxes.map((box) => ({ class: box.class, probability: box.score })) : classes
  if (!rows.length) return h('p.quiet', 'Nothing was detected.')
  return h('ol.classes', rows.map((row) => h('li', h('span', row.class),
    h('meter', { min: 0, max: 1, value: row.probability, 'aria-label': row.class }), h('span.number', `${(100 * row.probability).toFixed(1)} %`))))
}

/** Other views that chosen runs lead to. */
const ACTIONS = [
  { title: 'Compare', fits: (rows) => rows.length > 1 && rows.length <= 6 && rows.every((row) => row.best), href: (names) => address('compare', { run: names }) },
  { title: 'Look inside', fits: (rows) => rows.length === 1 && rows[0].best, href: ([run]) => address('inside', { run }) },
]

function matches(row, filter, note) {
  const text = [row.name, row.network, row.recipe, row.data, row.state, ...(note?.tags ?? []), note?.note ?? ''].join(' ').toLowerCase()
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word))
}

function byValue(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null)
  return sign * (typeof a === 'string' ? byName(a, b) : a - b)
}

function percent(value, row) {
  return row.metric.includes('error') || row.metric.includes('map') ? `${value.toFixed(2)} %` : short(value)
}

function interval({ best, metric, num_test: count }, isNamed) {
  if (!best) return null
  const range = best.low === null ? '' : `${best.low.toFixed(2)} to ${best.high.toFixed(2)}`
  const title = range ? `${metricName(metric)}, 95 % interval of ${count.toLocaleString('en')} examples` : metricName(metric)
  return h('span.interval', { title }, [isNamed || !range ? metricName(metric) : '', range].filter(Boolean).join(', '))
}

/** A small curve of the score; the latest point is a dot. */
function sparkline({ spark, name, metric, is_lower_better: isLower }) {
  if (spark.length < 2) return ''
  const low = Math.min(...spark)
  const span = Math.max(...spark) - low || 1
  const points = spark.map((value, place) => [(100 * place) / (spark.length - 1), 26 - (24 * (value - low)) / span])
  const text = `${metricName(metric)} of ${name} from ${short(spark[0])} to ${short(spark.at(-1))}, ${isLower ? 'lowest' : 'highest'} ${short(isLower ? low : low + span)}`
  return svg('svg', { class: 'spark', viewBox: '0 0 100 28', preserveAspectRatio: 'none', role: 'img', 'aria-label': text },
    svg('path', { d: `M${points.map((point) => point.map((number) => number.toFixed(1)).join(' ')).join('L')}` }))
}

function emptyFolder() {
  return h('div.empty', h('h2', 'No runs yet'), h('p.quiet', 'This page shows each run as soon as its folder exists.'),
    h('pre', 'residua train digits'))
}

function focusKey() {
  return document.activeElement?.dataset?.focus ?? null
}

function restoreFocus(key) {
  if (key && document.activeElement?.dataset?.focus !== key) document.querySelector(`[data-focus="${CSS.escape(key)}"]`)?.focus()
}
