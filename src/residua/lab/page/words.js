// Words: type a block or a network; it is checked, drawn, counted and trained. Residual networks in nine steps.

import { address, canAct, get, remember } from './api.js'
import { announce, attempt, box, duration, fill, frame, h, problem, select, short, table } from './elements.js'
import { startJob, watchJob } from './jobs.js'

const trained = [] // what the page trained since it was loaded, the latest first

/** Show the view in `element`; what is typed is in the address. */
export function show(element, params) {
  const typed = { text: params.get('text') ?? '(CNA CN)A', depth: Number(params.get('depth')) || 20, shortcut: params.get('shortcut') ?? '' }
  const ends = []
  let turn = null
  let network = null
  let pictures = []

  const text = h('input.word#word', { value: typed.text, spellcheck: false, autocomplete: 'off', autocapitalize: 'off', maxLength: 200,
    'aria-describedby': 'word-state', oninput: () => { typed.text = text.value; check() } })
  const depth = h('input.number', { type: 'number', min: 5, max: 3002, value: typed.depth, oninput: () => { typed.depth = Number(depth.value); check() } })
  const depthLabel = h('label', 'Layers', depth)
  const shortcut = h('label', 'Shortcut')
  const state = h('p.word-state#word-state', { role: 'status' })
  const caret = h('pre.caret', { 'aria-hidden': 'true', hidden: true })
  const result = h('div.workbench')
  const train = h('section.box')
  const examples = h('div.examples', { role: 'group', 'aria-label': 'Examples' })
  const lessons = h('section.box')
  element.append(
    h('h1', 'Words'),
    h('p.lead', 'A residual network is a word for its block, repeated. Type one, or the name of a network, and see what it is.'),
    h('section.box.typing', { 'aria-label': 'The network' },
      h('label', { htmlFor: 'word' }, 'A word, an order from a to e, or a network such as resnet34:shortcut=A'), text, caret, state,
      h('div.controls', depthLabel, shortcut), examples),
    h('div.columns', result, h('div', train, lessons)))

  function type(values) {
    Object.assign(typed, values)
    text.value = typed.text
    depth.value = typed.depth
    shortcut.lastChild.value = typed.shortcut
    check()
  }

  /** A button that fills in a network. */
  function example({ title, text: word, depth: layers }) {
    return h('button', { onclick: () => { type({ text: word, depth: layers ?? typed.depth, shortcut: '' }); text.scrollIntoView({ block: 'nearest' }) } }, title)
  }

  const begin = () => attempt(lessons, async () => {
    const course = await get('api/words')
    shortcut.append(select(course.shortcuts, typed.shortcut, (value) => { typed.shortcut = value; check() }))
    examples.append(...course.examples.map(example))
    fill(lessons, `Residual networks in ${course.lessons.length} steps`,
      h('ol.lessons', course.lessons.map(({ title, paragraphs, examples: tries }, place) => h('li', h('details', { open: !place && !params.has('text') }, h('summary', title),
        paragraphs.map((paragraph) => h('p', paragraph)), h('p.examples', tries.map(example)))))))
  })

  async function check() {
    turn?.abort()
    turn = new AbortController()
    remember('words', typed)
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
    state.replaceChildren(`${where}${error}`, ...near.map((layers) => h('button', { onclick: () => type({ ...typed, depth: layers }) }, `${layers} layers`)))
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
      found.letters.length ? box('The word', spelled(found), h('ul.notes', found.notes.map((note) => h('li', note)))) : '',
      counts(found),
      box('Its blocks, letter by letter', picture(pictures[0], `The blocks of ${found.name}. ${found.description}`)),
      published(found),
      box('The whole network', h('div.whole', picture(pictures[1], `${found.name} as a column of layers, described by the table`), layers(found))))
    drawTraining()
  }

  function picture(url, alt) {
    return frame('drawing', 'Drawing', h('img', { src: url, alt }))
  }

  function drawTraining() {
    const go = h('button.primary', { disabled: !network || !canAct, onclick: start }, 'Train on digits')
    fill(train, 'Train it',
      h('p.quiet', canAct ? '1,797 real handwritten digits of 8 × 8 pixels. A fifth is held out and gives the test error.' : 'This lab is read-only: it trains nothing.'),
      h('p.controls', go), h('div.trouble'), results())
  }

  const start = () => attempt(train.querySelector('.trouble'), async () => {
    const { name } = network
    const job = await startJob('train_digits', typed)
    trained.unshift({ job: job.id, name, state: job.state, run: job.run })
    announce(`Training of ${name} started`)
    follow(trained[0])
  })

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

  begin()
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
  const chip = ({ letter, meaning }) => h('span', { className: `letter letter-${letter}` }, h('b', letter), h('small', meaning.split(',')[0]))
  const at = (place) => letters.filter((one) => one.place === place).map(chip)
  const skipped = at('inside')
  return h('p.letters', at('plain'), at('before'),
    skipped.length ? h('span.skipped', h('small.shortcut', `shortcut: ${shortcuts}`), skipped, h('span.plus', { role: 'img', 'aria-label': 'addition' }, '+')) : null,
    at('after'))
}

function counts({ counts: count, shortcuts, name }) {
  const field = count.receptive_field ? `${count.receptive_field.toLocaleString('en')} px of ${count.input}` : 'no maps'
  const pairs = [
    ['Parameters', count.params.toLocaleString('en')], ['Multiply-adds', large(count.macs)], ['Layers', count.depth.toLocaleString('en')],
    ['Activations on the main path', count.main_path_activations.toLocaleString('en')], ['Receptive field', field], ['Shortcuts', shortcuts],
  ]
  return h('section.box', { 'aria-label': `Counts of ${name}` }, h('dl.facts', pairs.map(([term, value]) => h('div', h('dt', term), h('dd', value)))))
}

function large(value) {
  const [size, unit] = value >= 1e9 ? [1e9, 'G'] : value >= 1e6 ? [1e6, 'M'] : [1e3, 'k']
  return `${(value / size).toPrecision(3)} ${unit}`
}

function published({ published: rows }) {
  return box('In the papers', rows.length
    ? table('What the papers print', ['Where', 'Data', 'Measure', 'Printed', 'Counted here'], rows.map((row) => [row.source, row.data, row.measure, row.paper, row.counted || '–']), [4])
    : h('p.quiet', 'The papers print no number for exactly this network.'))
}

function layers({ rows }) {
  return table('The layers', ['Part', 'Output', 'Layers', 'Words', 'Multiply-adds'], rows.map((row) => [row.part, row.output, row.layers, h('code', row.words), row.macs]), [4])
}

function results() {
  if (!trained.length) return h('p.trained.quiet', 'Train a plain network of 20 and of 56 layers, then a residual one of 56, and compare the training errors.')
  const small = (text) => h('span.interval', text)
  const rows = trained.map(({ name, state, result, run, seconds, latest }) => [
    [run ? h('a', { href: address('curves', { run }) }, name) : name, small(result ? `${result.depth} layers, ${large(result.params)}, ${duration(seconds)}` : state === 'running' ? latest : state)],
    result ? `${short(result.train_error)} %` : '…',
    [result ? `${short(result.test_error)} %` : '…', result?.interval ? small(result.interval.map((value) => value.toFixed(1)).join(' to ')) : null]])
  return h('div.trained', table('Trained here', ['Network', 'Training error', 'Test error'], rows, [1, 2]),
    h('p.quiet', 'After the last epoch; the interval is Wilson’s at 95 %. One seed, small images, a short schedule: differences within the intervals say nothing.'))
}
