// Look inside: blocks are removed from a trained network while one watches; its mistakes; the studies of `residua analyse`.

import { canAct, get, query, remember } from './api.js'
import { announce, attempt, byName, fill, h, problem, select, short, status, svg, table } from './elements.js'
import { showJob } from './jobs.js'

const GRID = 24
const MOST_CLASSES = 40
const ORDERS = { random: 'at random', last: 'from the last on', first: 'from the first on' }
const LISTS = { worst: 'Most confident mistakes', surprising: 'Least likely labels' }

/** Show the view in `element`; networks, images and removed blocks are in the address. */
export function show(element, params) {
  const chosen = { name: params.get('run') ?? '', beside: params.get('beside') ?? '', images: params.get('images') ?? '' }
  const order = { kind: params.get('order') ?? 'random', seed: Number(params.get('seed')) || 1 }
  const ends = []
  let lists = null
  let panels = []
  let turn = 0

  const trouble = h('div')
  const choices = h('div.controls')
  const lesion = h('section.box', { hidden: true })
  const mistakes = h('section.box', { hidden: true })
  const studies = h('section.box', { hidden: true })
  element.append(h('h1', 'Look inside'),
    h('p.lead', 'Remove blocks from a trained network, without training it again. See what it gets wrong, and what it computes.'),
    choices, trouble, lesion, mistakes, studies)

  const begin = () => attempt(trouble, async () => {
    const [inside, runs] = await Promise.all([get('api/inside'), get('api/runs')])
    lists = { ...inside, runs: runs.rows.filter((row) => row.best).map((row) => row.name).sort(byName) }
    if (!chosen.name) chosen.name = lists.runs[0] ?? lists.files[0] ?? ''
    if (chosen.name) await open()
    else trouble.replaceChildren(h('p.box.empty', 'No network is trained yet. The view Words trains one with a click.'))
  })

  function choosers() {
    const choose = (name) => (value) => { chosen[name] = value; open() }
    const networks = (name, none = []) => {
      const group = (label, names) => (names.length ? h('optgroup', { label }, names.map((one) => h('option', { selected: one === chosen[name] }, one))) : null)
      const choice = select(none, null, choose(name))
      choice.append(...[group('Runs', lists.runs), group('Files of weights', lists.files), group('Released weights', lists.released)].filter(Boolean))
      return choice
    }
    return [
      h('label', 'Network', networks('name')),
      h('label', 'Beside it', networks('beside', [['', 'none']])),
      h('label', 'Images', select([['', 'held out by the run'], ...lists.images], chosen.images, choose('images'))),
    ]
  }

  async function open() {
    if (!chosen.images && !lists.runs.includes(chosen.name)) chosen.images = lists.images.find((name) => name !== 'digits') ?? lists.images[0]
    choices.replaceChildren(...choosers())
    const mine = ++turn
    keep()
    trouble.replaceChildren(status('Reading networks and images …'))
    try {
      const names = [chosen.name, chosen.beside].filter(Boolean)
      const found = []
      for (const name of names) found.push(await get('api/inside/network', { name, images: chosen.images }))
      const count = Math.min(...found.map((network) => network.labels.length)) // both on the same images
      for (const [place, network] of found.entries()) {
        network.count = network.labels.length > count ? count : 0
        if (network.count) found[place] = { ...await get('api/inside/network', { name: network.name, images: chosen.images, count }), count }
      }
      if (mine !== turn) return
      trouble.replaceChildren()
      panels = found.map((network) => new Panel(network, chosen.images, changed))
      drawLesion()
      drawStudies()
      drawMistakes()
    } catch (error) {
      if (mine !== turn) return
      for (const section of [lesion, mistakes]) section.hidden = true
      trouble.replaceChildren(problem(error))
      drawStudies()
    }
  }

  let slider = null
  let output = null
  let plot = null

  function drawLesion() {
    slider = h('input#lesion', { type: 'range', min: 0, max: Math.max(...panels.map((panel) => panel.removable.length)), value: 0, step: 1, oninput: slide })
    output = h('output.number', { htmlFor: 'lesion' })
    const kind = select(Object.entries(ORDERS), order.kind, (name) => { order.kind = name; reorder() })
    const shuffle = h('button', { onclick: () => { order.kind = kind.value = 'random'; order.seed += 1; reorder() } }, 'Other blocks')
    const sweep = h('button', { onclick: sweepAll }, 'Draw the whole line')
    plot = h('figure.line-plot')
    fill(lesion, 'Without some of its blocks',
      h('p.quiet', 'A residual block loses its branch and keeps its shortcut. A plain block is replaced by nothing; where it changes the width it has to stay (after Veit et al. 2016). Select a block to remove it alone.'),
      h('div.controls.slider', h('label', { htmlFor: 'lesion' }, 'Blocks removed'), slider, output, h('label', 'Removed', kind), shuffle, sweep),
      h('div', { className: `panels panels-${panels.length}` }, panels.map((panel) => panel.element)), plot)
    panels.forEach((panel) => panel.order(order))
    slide()
  }

  function reorder() {
    keep()
    panels.forEach((panel) => { panel.order(order); panel.line.clear() })
    slide()
  }

  function slide() {
    output.textContent = slider.value
    panels.forEach((panel) => panel.removeFirst(Number(slider.value)))
  }

  function changed() {
    drawLine(plot, panels)
    const texts = panels.map((panel) => panel.text).filter(Boolean)
    slider.setAttribute('aria-valuetext', `${slider.value} blocks: ${texts.join('; ')}`)
  }

  async function sweepAll(event) {
    const button = event.target
    button.disabled = true
    const mine = turn
    for (let count = 0; count <= Number(slider.max) && mine === turn; count += 1) {
      await Promise.all(panels.map((panel) => panel.measure(count)))
      drawLine(plot, panels)
    }
    button.disabled = false
    announce('The line is complete')
  }

  async function drawMistakes() {
    mistakes.hidden = false
    const found = await attempt(mistakes, () => get('api/inside/mistakes', { name: chosen.name, images: chosen.images }))
    if (!found) return
    const grid = h('div.pictures')
    const list = (rows) => grid.replaceChildren(...rows.map((row) => card(picture(chosen.name, chosen.images, row.index, row.title), row.label !== row.predicted,
      [`label ${row.label}`, `${row.predicted} ${Math.round(100 * row.confidence)} %`])), rows.length ? '' : h('p.quiet', 'None: every image is classified as labelled.'))
    const pick = (label, predicted) => list([...found.worst, ...found.surprising].filter((row, place, all) => row.label === label && row.predicted === predicted && all.findIndex((one) => one.index === row.index) === place))
    fill(mistakes, `What ${chosen.name} gets wrong`,
      h('p.quiet', `Of ${found.images} images, always the same ones. Rows of the matrix are labels, columns predicted classes; select a number to see its images.`),
      h('div.columns.even', confusion(found, pick), h('div', h('div.controls', h('label', 'Images', select(Object.entries(LISTS), 'worst', (name) => list(found[name])))), grid)))
    list(found.worst)
  }

  function drawStudies() {
    const result = h('div')
    const run = ({ name, title }) => attempt(result, async () => {
      ends.push(await showJob(result, 'analyse', { name: chosen.name, beside: chosen.beside, study: name, images: chosen.images }, title, `Open “${title}”`))
    })
    const buttons = lists.studies.map((study) => h('li', h('button', { disabled: !canAct || !chosen.name, onclick: () => run(study) }, study.title), h('span.quiet', study.measures)))
    fill(studies, 'Studies', h('p.quiet', 'Each is a job of its own. Its page says how to read it.'), h('ul.studies', buttons), result)
  }

  function keep() {
    remember('inside', { run: chosen.name, beside: chosen.beside, images: chosen.images, order: order.kind, seed: order.seed })
  }

  trouble.append(status('Reading networks and images …'))
  begin()
  return () => {
    turn += 1
    ends.forEach((end) => end())
  }
}

/** One network: its blocks as buttons, its accuracy, what it predicts. */
class Panel {
  constructor(network, images, changed) {
    this.network = network
    this.images = images
    this.changed = changed
    this.removable = network.blocks.flatMap((block, number) => (block.is_removable ? [number] : []))
    this.sequence = this.removable
    this.line = new Map([[0, network.whole.accuracy]])
    this.turn = 0
    this.removed = new Set()
    this.buttons = network.blocks.map((block, number) => h('button', {
      className: `unit stage-${1 + (block.stage % 5)} ${block.has_shortcut ? 'skips' : 'plain'}`, disabled: !block.is_removable, title: `${block.name} ${block.word}`,
      'aria-pressed': 'false', 'aria-label': `Remove block ${block.name}`, onclick: () => this.toggle(number) }))
    this.score = h('p.score')
    this.grid = h('div.pictures')
    this.cards = network.labels.slice(0, GRID).map((label, index) => card(picture(network.name, images, index, `image ${index}`, network.count), false, [network.classes[label], '']))
    this.grid.append(...this.cards)
    this.element = h('section.panel', { 'aria-label': network.name },
      h('h3', network.name), h('p.quiet', `${network.network}, ${network.blocks.length} blocks`),
      h('div.units', { role: 'group', 'aria-label': `Blocks of ${network.name}` }, this.buttons), this.score, this.grid)
  }

  order({ kind, seed }) {
    const all = [...this.removable]
    this.sequence = kind === 'first' ? all : kind === 'last' ? all.reverse() : shuffled(all, seed)
  }

  removeFirst(count) {
    return this.remove(new Set(this.sequence.slice(0, count)), Math.min(count, this.sequence.length))
  }

  toggle(number) {
    const removed = new Set(this.removed)
    removed.has(number) ? removed.delete(number) : removed.add(number)
    return this.remove(removed, null)
  }

  async measure(count) {
    if (this.line.has(count) || count > this.sequence.length) return
    const found = await this.ask(this.sequence.slice(0, count)).catch(() => null)
    if (found) this.line.set(count, found.accuracy)
  }

  ask(removed) {
    return get('api/inside/lesion', { name: this.network.name, images: this.images, count: this.network.count || null, removed: removed.join(',') })
  }

  async remove(removed, count) {
    const mine = ++this.turn
    this.removed = removed
    this.buttons.forEach((button, number) => button.setAttribute('aria-pressed', String(removed.has(number))))
    if (this.busy) return
    this.busy = true
    try {
      const found = await this.ask([...removed])
      if (count !== null) this.line.set(count, found.accuracy)
      this.draw(found)
      this.changed()
    } catch (error) {
      this.score.replaceChildren(problem(error))
    } finally {
      this.busy = false
    }
    if (mine !== this.turn) this.remove(this.removed, this.removed.size === 0 || isBeginning(this.removed, this.sequence) ? this.removed.size : null) // the slider moved on meanwhile
  }

  draw({ accuracy, interval, images, predicted, confidence, removed }) {
    const whole = this.network.whole
    this.text = `${this.network.name} ${accuracy.toFixed(1)} % right`
    this.score.replaceChildren(h('strong', `${accuracy.toFixed(1)} %`), ` right of ${images} images, `, h('span.quiet',
      `95 % interval ${interval.map((value) => value.toFixed(1)).join(' to ')}`, removed.length ? `; ${whole.accuracy.toFixed(1)} % with all blocks` : ''))
    this.cards.forEach((figure, index) => {
      const wrong = predicted[index] !== this.network.labels[index]
      figure.className = `card ${wrong ? 'wrong' : ''} ${predicted[index] !== whole.predicted[index] ? 'changed' : ''}`
      figure.querySelector('.prediction').textContent = `${this.network.classes[predicted[index]]} ${Math.round(100 * confidence[index])} %`
    })
  }
}

function isBeginning(removed, sequence) {
  return sequence.slice(0, removed.size).every((number) => removed.has(number))
}

function shuffled(all, seed) {
  let state = seed * 2654435761 % 4294967296
  for (let last = all.length - 1; last > 0; last -= 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const other = state % (last + 1)
    ;[all[last], all[other]] = [all[other], all[last]]
  }
  return all
}

/** The address of an image. */
function picture(name, images, index, alt, count = 0) {
  return h('img', { src: `api/inside/picture?${query({ name, images, index, count: count || null })}`, alt, loading: 'lazy' })
}

/** A picture with its label and what is predicted. */
export function card(image, isWrong, [label, predicted]) {
  return h('figure', { className: isWrong ? 'card wrong' : 'card' }, image, h('figcaption', h('span', label), h('span.prediction', predicted)))
}

/** A confusion matrix whose mistakes can be selected. */
export function confusion({ classes, confusion: counts }, pick) {
  if (classes.length > MOST_CLASSES) return h('p.quiet', `${classes.length} classes: too many for a matrix.`)
  const most = Math.max(1, ...counts.flatMap((row, label) => row.filter((_, column) => column !== label)))
  const cell = (count, label, column) => {
    if (!count) return '·'
    if (label === column) return h('td.numeric.right', count)
    const shade = h('td.numeric.mistake', pick ? h('button', { 'aria-label': `${count} ${classes[label]} predicted as ${classes[column]}`, onclick: () => pick(classes[label], classes[column]) }, count) : count)
    shade.style.setProperty('--share', String(count / most))
    return shade
  }
  const frame = table('Confusion matrix', ['Label', ...classes], counts.map((row, label) => [classes[label], ...row.map((count, column) => cell(count, label, column))]), classes.map((_, place) => place + 1))
  frame.classList.add('confusion')
  return frame
}

/** Accuracy over the number of removed blocks, for each panel. */
function drawLine(figure, panels) {
  const [width, height, left, bottom] = [640, 220, 44, 34]
  const most = Math.max(1, ...panels.map((panel) => panel.removable.length))
  const x = (count) => left + (width - left - 12) * count / most
  const y = (accuracy) => 8 + (height - bottom - 8) * (1 - accuracy / 100)
  const ticks = [0, 25, 50, 75, 100].map((value) => [svg('line', { x1: left, x2: width - 12, y1: y(value), y2: y(value), class: 'grid' }), label(left - 6, y(value) + 4, `${value} %`, 'end')])
  const steps = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * most)).map((count) => label(x(count), height - bottom + 16, String(count), 'middle'))
  const lines = panels.flatMap((panel, place) => {
    const points = [...panel.line].sort((a, b) => a[0] - b[0])
    const colour = `line-${place + 1}`
    return [svg('polyline', { points: points.map(([count, value]) => `${x(count).toFixed(1)},${y(value).toFixed(1)}`).join(' '), class: colour }),
      ...points.map(([count, value]) => svg('circle', { cx: x(count), cy: y(value), r: 3, class: colour }))]
  })
  const text = panels.map((panel) => `${panel.network.name}: ${[...panel.line].sort((a, b) => a[0] - b[0]).map(([count, value]) => `${count} removed ${short(value)} %`).join(', ')}`).join('. ')
  const chart = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Accuracy over the number of removed blocks. ${text}` }, ...ticks.flat(), ...steps, label((left + width) / 2, height - 4, 'blocks removed', 'middle'), ...lines)
  figure.replaceChildren(chart, h('figcaption.quiet', 'Accuracy on these images over the number of removed blocks. ', panels.map((panel, place) => h('span', { className: `key line-${place + 1}` }, panel.network.name))))
}

function label(x, y, text, anchor) {
  return svg('text', { x, y, 'text-anchor': anchor }, text)
}
