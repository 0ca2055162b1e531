// Words: type a block or a network; it is checked, drawn, counted and trained. Residual networks in nine steps.

import { canAct, get } from './api.js'
import { announce, duration, h, problem, short } from './elements.js'
import { startJob, watchJob } from './jobs.js'
import { LESSONS } from './lessons.js'

const EXAMPLES = [
  ['Plain', { text: 'CNA CNA' }],
  ['(a) original', { text: '(CNA CN)A' }],
  ['(b) norm after addition', { text: '(CNA C)NA' }],
  ['(c) activation before addition', { text: '(CNA CNA)' }],
  ['(d) activation only', { text: '(ACN ACN)' }],
  ['(e) pre-activation', { text: '(NAC NAC)' }],
  ['ResStage', { text: 'resstage' }],
  ['Bottleneck', { text: '(CNA CNA CN)A' }],
]
const SHORTCUTS = {
  '': 'as it is', A: 'A: zeros where the width grows', B: 'B: projection where shapes change', C: 'C: projection everywhere',
  'scale0.5': 'halved', 'scale0.5,0.5': 'halved, the residual too', gate: 'gated', exclusive_gate: 'gated, the residual too',
  conv: '1×1 convolution', dropout: 'dropout',
}
const trained = [] // what the page trained since it was loaded, the latest first

/** Show the view in `element`; what is typed is in the address. */
export function show(element, params) {
  const typed = { text: params.get('text') ?? '(CNA CN)A', depth: Number(params.get('depth')) || 20, shortcut: params.get('shortcut') ?? '' }
  const ends = []
  let turn = null
  let network = null
  let pictures = []

  const text = h('input', { id: 'word', className: 'word', value: typed.text, spellcheck: false, autocomplete: 'off', autocapitalize: 'off', maxLength: 200,
    'aria-describedby': 'word-state', oninput: () => { typed.text = text.value; check() } })
  const depth = h('input', { type: 'number', className: 'number', min: 5, max: 3002, value: typed.depth, oninput: () => { typed.depth = Number(depth.value); check() } })
  const depthLabel = h('label', {}, 'Layers', depth)
  const shortcut = h('select', { onchange: () => { typed.shortcut = shortcut.value; check() } },
    Object.entries(SHORTCUTS).map(([value, name]) => h('option', { value, selected: value === typed.shortcut }, name)))
  const state = h('p', { id: 'word-state', className: 'word-state', role: 'status' })
  const caret = h('pre', { className: 'caret', 'aria-hidden': 'true', hidden: true })
  const letters = h('div', { className: 'letters' })
  const result = h('div', { className: 'workbench' })
  const train = h('section', { className: 'box', 'aria-labelledby': 'train-title' })
  const examples = h('div', { className: 'examples', role: 'group', 'aria-label': 'Examples' },
    EXAMPLES.map(([name, values]) => h('button', { type: 'button', onclick: () => fill(values) }, name)))
  element.append(
    h('h1', {}, 'Words'),
    h('p', { className: 'lead' }, 'A residual network is a word for its block, repeated. Type one, or the name of a network, and see what it is.'),
    h('section', { className: 'box typing', 'aria-label': 'The network' },
      h('label', { htmlFor: 'word' }, 'A word, an order from a to e, or a network such as resnet34:shortcut=A'), text, caret, state,
      h('div', { className: 'controls' }, depthLabel, h('label', {}, 'Shortcut', shortcut)), examples),
    h('div', { className: 'columns' }, result, h('div', {}, train, lessons())))

  function fill(values) {
    Object.assign(typed, { depth: typed.depth, shortcut: '' }, values)
    text.value = typed.text
    depth.value = typed.depth
    shortcut.value = typed.shortcut
    check()
  }

  function lessons() {
    return h('section', { className: 'box lessons', 'aria-labelledby': 'lessons-title' },
      h('h2', { id: 'lessons-title' }, `Residual networks in ${LESSONS.length} steps`),
      h('ol', {}, LESSONS.map(({ title, paragraphs, tries }, place) => h('li', {}, h('details', { open: !place && !params.has('text') }, h('summary', {}, title),
        paragraphs.map((paragraph) => h('p', {}, paragraph)),
        h('p', { className: 'examples' }, tries.map(([name, values]) => h('button', { type: 'button', onclick: () => { fill(values); text.scrollIntoView({ block: 'center' }) } }, name))))))))
  }

  async function check() {
    turn?.abort()
    turn = new AbortController()
    remember()
    try {
      const found = await get('api/words/check', { text: typed.text, depth: typed.depth || 0, shortcut: typed.shortcut }, { signal: turn.signal })
      depth.step = found.step || 1
      depth.min = found.step ? found.step + 2 : 1
      depthLabel.hidden = !found.step && found.error === undefined
      found.error === undefined ? describe(found) : refuse(found)
    } catch (error) {
      if (error.name !== 'AbortError') state.replaceChildren(problem(error))
    }
  }

  function refuse({ error, position, step }) {
    network = null
    text.setAttribute('aria-invalid', 'true')
    const near = step && / depth /.test(` ${error} `) ? nearestDepths(step) : []
    const where = position === null ? '' : `At letter ${position + 1}: `
    state.className = 'word-state wrong'
    state.replaceChildren(`${where}${error}`, ...near.map((layers) => h('button', { type: 'button', onclick: () => fill({ ...typed, depth: layers }) }, `${layers} layers`)))
    caret.hidden = position === null
    caret.textContent = position === null ? '' : `${typed.text}\n${' '.repeat(position)}▲`
    result.classList.add('stale')
    drawTraining()
  }

  function nearestDepths(step) {
    const low = Math.max(1, Math.floor((typed.depth - 2) / step)) * step + 2
    return [low, low + step]
  }

  function describe(found) {
    network = found
    text.setAttribute('aria-invalid', 'false')
    caret.hidden = true
    state.className = 'word-state right'
    state.textContent = `${found.name}: ${found.source}`
    result.classList.remove('stale')
    pictures.forEach((url) => URL.revokeObjectURL(url))
    pictures = [found.blocks, found.column].map((drawing) => URL.createObjectURL(new Blob([drawing], { type: 'image/svg+xml' })))
    result.replaceChildren(
      found.letters.length ? h('section', { className: 'box', 'aria-labelledby': 'word-title' },
        h('h2', { id: 'word-title' }, 'The word'), spelled(found), h('ul', { className: 'notes' }, found.notes.map((note) => h('li', {}, note.replaceAll('`', ''))))) : '',
      counts(found),
      h('section', { className: 'box', 'aria-labelledby': 'blocks-title' },
        h('h2', { id: 'blocks-title' }, 'Its blocks, letter by letter'), picture(pictures[0], `The blocks of ${found.name}. ${found.description}`)),
      published(found),
      h('section', { className: 'box', 'aria-labelledby': 'whole-title' },
        h('h2', { id: 'whole-title' }, 'The whole network'), h('div', { className: 'whole' }, picture(pictures[1], `${found.name} as a column of layers, described by the table`), table(found))))
    drawTraining()
  }

  function picture(url, alt) {
    return h('div', { className: 'drawing', role: 'region', 'aria-label': 'Drawing', tabIndex: 0 }, h('img', { src: url, alt }))
  }

  function remember() {
    const search = new URLSearchParams({ text: typed.text, depth: typed.depth, ...(typed.shortcut ? { shortcut: typed.shortcut } : {}) })
    history.replaceState(null, '', `#/words?${search}`)
  }

  function drawTraining() {
    const go = h('button', { type: 'button', className: 'primary', disabled: !network || !canAct, onclick: start }, 'Train on digits')
    train.replaceChildren(h('h2', { id: 'train-title' }, 'Train it'),
      h('p', { className: 'quiet' }, canAct ? '1,797 real handwritten digits of 8 × 8 pixels. A fifth is held out and gives the test error.' : 'This lab is read-only: it trains nothing.'),
      h('p', { className: 'controls' }, go), h('div', { className: 'trouble' }), results())
  }

  async function start() {
    try {
      const name = network.name
      const job = await startJob('train_digits', typed)
      trained.unshift({ job: job.id, name, state: job.state, run: job.run })
      announce(`Training of ${name} started`)
      follow(trained[0])
    } catch (error) {
      train.querySelector('.trouble').replaceChildren(problem(error))
    }
  }

  function follow(row) {
    ends.push(watchJob(row.job, async (job) => {
      Object.assign(row, { state: job.state, latest: job.lines.at(-1) ?? '', seconds: job.seconds })
      if (job.state === 'done' && !row.result) {
        row.result = await get('api/words/result', { run: row.run }).catch(() => null)
        announce(`${row.name}: test error ${short(row.result?.test_error)} percent`)
      }
      const old = train.querySelector('.trained')
      if (old) old.replaceWith(results())
    }))
  }

  trained.filter((row) => !row.result).forEach(follow)
  check()
  return () => {
    turn?.abort()
    ends.forEach((end) => end())
    pictures.forEach((url) => URL.revokeObjectURL(url))
  }
}

/** The letters in a row; an arc over those that the shortcut skips. */
function spelled({ letters, shortcuts }) {
  const chip = ({ letter, meaning }) => h('span', { className: `letter letter-${letter}` }, h('b', {}, letter), h('small', {}, meaning.split(',')[0]))
  const at = (place) => letters.filter((one) => one.place === place).map(chip)
  const skipped = at('inside')
  return h('p', { className: 'letters' }, at('plain'), at('before'),
    skipped.length ? h('span', { className: 'skipped' }, h('small', { className: 'shortcut' }, `shortcut: ${shortcuts}`), skipped, h('span', { className: 'plus', role: 'img', 'aria-label': 'addition' }, '+')) : null,
    at('after'))
}

function counts({ counts: count, shortcuts, name }) {
  const field = count.receptive_field ? `${count.receptive_field.toLocaleString('en')} px of ${count.input}` : 'no maps'
  const pairs = [
    ['Parameters', count.params.toLocaleString('en')], ['Multiply-adds', large(count.macs)], ['Layers', count.depth.toLocaleString('en')],
    ['Activations on the main path', count.main_path_activations.toLocaleString('en')], ['Receptive field', field], ['Shortcuts', shortcuts],
  ]
  return h('section', { className: 'box', 'aria-label': `Counts of ${name}` }, h('dl', { className: 'facts' }, pairs.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value)))))
}

function large(value) {
  const [size, unit] = value >= 1e9 ? [1e9, 'G'] : value >= 1e6 ? [1e6, 'M'] : [1e3, 'k']
  return `${(value / size).toPrecision(3)} ${unit}`
}

function published({ published: rows }) {
  const cells = rows.map((row) => h('tr', {}, h('th', { scope: 'row' }, row.source), h('td', {}, row.data), h('td', {}, row.measure), h('td', {}, row.paper), h('td', { className: 'numeric' }, row.counted || '–')))
  return h('section', { className: 'box', 'aria-labelledby': 'paper-title' }, h('h2', { id: 'paper-title' }, 'In the papers'),
    cells.length ? frame('What the papers print', ['Where', 'Data', 'Measure', 'Printed', 'Counted here'], cells, 4) : h('p', { className: 'quiet' }, 'The papers print no number for exactly this network.'))
}

function table({ rows }) {
  return frame('The layers', ['Part', 'Output', 'Layers', 'Words', 'Multiply-adds'], rows.map((row) => h('tr', {},
    h('th', { scope: 'row' }, row.part), h('td', {}, row.output), h('td', {}, row.layers), h('td', {}, h('code', {}, row.words)), h('td', { className: 'numeric' }, row.macs))), 4)
}

function results() {
  if (!trained.length) return h('p', { className: 'trained quiet' }, 'Train a plain network of 20 and of 56 layers, then a residual one of 56, and compare the training errors.')
  const cells = trained.map(({ name, state, result, run, seconds, latest }) => h('tr', {},
    h('th', { scope: 'row' }, run ? h('a', { href: `#/curves?runs=${encodeURIComponent(run)}` }, name) : name, h('span', { className: 'interval' }, result ? `${result.depth} layers, ${large(result.params)}, ${duration(seconds)}` : state === 'running' ? latest : state)),
    h('td', { className: 'numeric' }, result ? `${short(result.train_error)} %` : '…'),
    h('td', { className: 'numeric' }, result ? `${short(result.test_error)} %` : '…', result?.interval ? h('span', { className: 'interval' }, `${result.interval.map((value) => value.toFixed(1)).join(' to ')}`) : null)))
  return h('div', { className: 'trained' }, frame('Trained here', ['Network', 'Training error', 'Test error'], cells, 1),
    h('p', { className: 'quiet' }, 'After the last epoch; the interval is Wilson’s at 95 %. One seed, small images, a short schedule: differences within the intervals say nothing.'))
}

function frame(label, head, cells, numericFrom) {
  return h('div', { className: 'table', role: 'region', 'aria-label': label, tabIndex: 0 }, h('table', {},
    h('thead', {}, h('tr', {}, head.map((name, place) => h('th', { scope: 'col', className: place >= numericFrom ? 'numeric' : '' }, name)))), h('tbody', {}, cells)))
}
