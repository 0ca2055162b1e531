// Curves of many runs on one axis, as in the papers: training thin, test bold. The server samples for the width.

import { get, getBytes, on, query, remember } from './api.js'
import { announce, attempt, h, metricName, select, short, svg, table } from './elements.js'
import { Plot } from './plot.js'

const MOST_RUNS = 200
const FIRST_RUNS = 20 // where the address names none: the latest ones
const LIVE_MS = 200
const AXES = { epoch: 'epochs', step: 'steps', images: 'images', seconds: 'training seconds' }
const DENSE = 24 // lines from which bold ones would hide the others, and take long to draw
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]]

/** Show curves in `element`; runs, metrics, axis, smoothing and zoom are in the address. */
export function show(element, params) {
  const view = {
    runs: params.getAll('run').slice(0, MOST_RUNS),
    metrics: params.getAll('metric'),
    axis: params.get('axis') in AXES ? params.get('axis') : 'epoch',
    smooth: Number(params.get('smooth')) || 0,
    group: params.get('group') === '1',
    log: params.get('log') === '1',
    logY: params.get('logy') === '1',
    low: number(params.get('low')),
    high: number(params.get('high')),
  }
  const hidden = new Set()
  let rows = new Map()
  let document_ = null
  let turn = null
  let live = 0

  const title = h('h1', 'Curves')
  const trouble = h('div')
  const metric = h('label', 'Metric')
  const axis = select(Object.entries(AXES), view.axis, (name) => { view.axis = name; view.low = view.high = null; load() })
  const smooth = h('input', { type: 'range', min: 0, max: 20, step: 0.5, value: view.smooth * 100, oninput: () => { view.smooth = smooth.value / 100; load() } })
  const smoothText = h('span.number')
  const check = (text, key, change) => {
    const box = h('input', { type: 'checkbox', checked: view[key], onchange: () => { view[key] = box.checked; change() } })
    return h('label', box, text)
  }
  const unzoom = h('button', { hidden: true, onclick: () => zoom(null, null) }, 'Whole axis')
  const save = h('a.button.end', { download: '' }, 'Save as one HTML file')
  const frame = h('figure.plot')
  const readout = h('p.readout', { 'aria-live': 'polite' })
  const legend = h('ul.legend', { 'aria-label': 'Curves' })
  const numbers = h('details.box', { ontoggle: () => numbers.open && drawNumbers() }, h('summary', 'The curves as a table'))
  const plot = new Plot(frame, { zoom, point: (text) => { readout.textContent = text } })
  element.append(title, trouble,
    h('div.controls', metric, h('label', 'Against', axis),
      h('label', 'Smooth', smooth, smoothText), check('Seeds as mean and range', 'group', load),
      check('Logarithmic axis', 'log', () => { view.low = view.high = null; load() }), check('Logarithmic values', 'logY', draw), unzoom, save),
    frame, readout, legend, numbers)

  const begin = () => attempt(trouble, async () => {
    const table = await get('api/runs')
    rows = new Map(table.rows.map((row) => [row.name, row]))
    if (!view.runs.length) view.runs = table.rows.filter((row) => row.metric).sort((a, b) => b.updated - a.updated).slice(0, FIRST_RUNS).map((row) => row.name)
    if (!view.runs.length) {
      frame.replaceChildren(h('p.empty.quiet', 'No run has finished an epoch yet. The first one is drawn here.'))
      return
    }
    offerMetrics(await get('api/curves/metrics', { run: view.runs[0] }))
    await load()
  })

  function offerMetrics(names) {
    const pairs = names.filter((name) => name.startsWith('train_') && names.includes(name.replace('train_', 'test_')))
      .map((name) => [name, name.replace('train_', 'test_')])
    const singles = names.filter((name) => !['step', 'epoch'].includes(name)).map((name) => [name])
    const all = [...pairs.sort((a, b) => b[0].includes('error') - a[0].includes('error')), ...singles]
    if (!view.metrics.length) view.metrics = all[0] ?? []
    const title = ([first, second]) => (second ? `${metricName(first.replace('train_', ''))}, training and test` : metricName(first))
    metric.append(select(all.map((choice) => [choice.join(','), title(choice)]), view.metrics.join(','), (value) => { view.metrics = value.split(','); load() }))
  }

  async function load() {
    turn?.abort()
    turn = new AbortController()
    const { signal } = turn
    frame.classList.add('loading')
    await attempt(trouble, async () => {
      document_ = decode(await getBytes('api/curves', {
        run: view.runs, metric: view.metrics, axis: view.axis, width: columns(), low: view.low, high: view.high,
        log: view.log || null, smooth: view.smooth || null, group: view.group || null,
      }, { signal }))
      trouble.replaceChildren()
      draw()
    })
    if (!signal.aborted) frame.classList.remove('loading')
  }

  /** Columns that the server samples for: of one pixel; of two or three where there are many lines, which halves the time of a zoom. */
  function columns() {
    return Math.ceil(plot.pixels / Math.min(3, Math.ceil(view.runs.length * view.metrics.length / DENSE)))
  }

  function draw() {
    keep()
    if (!document_) return
    const { head, x, values } = document_
    const isDense = head.series.filter(({ part }) => part !== 'low' && part !== 'high').length > DENSE
    const lines = head.series.map((one, place) => styled(one, values[place], isDense))
    plot.draw({
      x, lines: lines.filter((line) => !hidden.has(line.run)), low: head.low, high: head.high, log: view.log, logY: view.logY,
      axis: AXES[view.axis], label: [...new Set(view.metrics.map((name) => metricName(name.replace(/^(train|test)_/, ''))))].join(', '),
      title: `${view.runs.length} runs, ${view.metrics.map(metricName).join(' and ')} against ${AXES[view.axis]}`,
    })
    smoothText.textContent = head.window ? `${short(head.window)} ${AXES[view.axis]}` : 'off'
    unzoom.hidden = view.low === null
    save.href = `api/export?${query({ run: view.runs })}`
    title.textContent = view.runs.length === 1 ? view.runs[0] : `${view.runs.length} runs`
    drawLegend(lines)
    if (numbers.open) drawNumbers()
  }

  /** A curve with how it is drawn: training thin, test bold; where there are many, training faint; raw lines faint behind smooth ones. */
  function styled(one, y, isDense) {
    const run = view.runs[one.run]
    const isBold = view.metrics.length === 1 || one.metric.includes('test')
    const alpha = one.part === 'raw' && view.smooth > 0 ? 0.3 : isDense && !isBold ? 0.4 : 1
    const order = view.group ? [...new Set(view.runs.map((name) => rows.get(name)?.group ?? name))].indexOf(rows.get(run)?.group ?? run) : one.run
    const name = view.group && one.runs > 1 ? `${rows.get(run)?.network ?? run}, ${one.runs} seeds` : run
    return {
      run, y, name, part: one.part, metric: one.metric, bold: isBold, colour: 1 + (order % 6), dash: DASHES[Math.floor(order / 6) % DASHES.length],
      width: one.part === 'low' || one.part === 'high' ? 0 : isBold && !isDense ? 2.25 : 1, alpha,
      label: `${name}, ${metricName(one.metric)}`,
    }
  }

  function drawLegend(lines) {
    const first = new Map()
    for (const line of lines) if (!first.has(line.name)) first.set(line.name, line)
    const state = JSON.stringify([...first.values()].map(({ name, run, colour, dash }) => [name, run, colour, dash, hidden.has(run)]))
    if (legend.state === state) return // a zoom changes no name
    legend.state = state
    legend.replaceChildren(...[...first.values()].map((line) => h('li',
      h('button', { 'aria-pressed': String(!hidden.has(line.run)), 'data-run': line.run,
        onclick: () => toggle(line), onpointerenter: () => plot.highlight(line.name), onpointerleave: () => plot.highlight(null),
        onfocus: () => plot.highlight(line.name), onblur: () => plot.highlight(null) },
      svg('svg', { viewBox: '0 0 28 12', 'aria-hidden': 'true' },
        svg('path', { d: 'M0 6H28', stroke: `var(--series-${line.colour})`, 'stroke-width': 2.5, 'stroke-dasharray': line.dash.join(' ') })),
      line.name))))
  }

  function toggle(line) {
    hidden.has(line.run) ? hidden.delete(line.run) : hidden.add(line.run)
    draw()
    legend.querySelector(`[data-run="${CSS.escape(line.run)}"]`)?.focus()
    announce(`${line.name} ${hidden.has(line.run) ? 'hidden' : 'visible'}`)
  }

  function drawNumbers() {
    const { head, x, values } = document_
    const rowsOf = head.series.map((one, place) => ({ line: styled(one, values[place]), y: values[place] }))
    const cells = rowsOf.map(({ line, y }) => {
      let least = Infinity, greatest = -Infinity, at = null, last = null
      y.forEach((value, place) => {
        if (Number.isNaN(value)) return
        if (value < least) [least, at] = [value, x[place]]
        greatest = Math.max(greatest, value)
        last = value
      })
      const name = line.part === 'raw' ? line.label : `${line.label}, ${line.part}`
      return [name, ...[least, at, greatest, last].map((value) => (Number.isFinite(value) ? short(value) : ''))]
    })
    numbers.replaceChildren(numbers.querySelector('summary'), table('The curves as a table', ['Curve', 'Lowest', `at ${AXES[view.axis]}`, 'Highest', 'Last'], cells, [1, 2, 3, 4]))
  }

  function zoom(low, high) {
    view.low = low
    view.high = high
    return load()
  }

  function keep() {
    remember('curves', {
      run: view.runs, metric: view.metrics, axis: view.axis === 'epoch' ? null : view.axis, smooth: view.smooth || null,
      group: view.group ? 1 : null, log: view.log ? 1 : null, logy: view.logY ? 1 : null, low: view.low, high: view.high,
    })
  }

  function changed({ rows: fresh }) {
    let isMine = false
    for (const row of fresh) {
      const before = rows.get(row.name)
      rows.set(row.name, row)
      isMine ||= view.runs.includes(row.name) && before?.metrics_bytes !== row.metrics_bytes
    }
    if (isMine) live ||= setTimeout(() => { live = 0; load() }, LIVE_MS)
  }

  const ends = [on('runs', changed), on('reload', begin)]
  begin()
  return () => {
    clearTimeout(live)
    turn?.abort()
    ends.forEach((end) => end())
    plot.close()
  }
}

function number(text) {
  return text === null || text === '' || Number.isNaN(Number(text)) ? null : Number(text)
}

/** The head, the shared positions and one array for each series, of a response of api/curves. */
function decode(bytes) {
  const length = new DataView(bytes).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)))
  const start = 8 * Math.ceil((4 + length) / 8)
  const values = (place) => new Float32Array(bytes, start + head.points * (8 + 4 * place), head.points)
  return { head, x: new Float64Array(bytes, start, head.points), values: head.series.map((_, place) => values(place)) }
}
